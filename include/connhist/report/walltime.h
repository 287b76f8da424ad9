/* SPDX-License-Identifier: MIT */
/* Between the record's clock, which never steps, and the wall clock that people saw. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/batch.h"

struct db;

struct walltime {
    struct epoch_vec epochs; /* ascending */
};

/* Reads the file's epochs. */
int walltime_load(struct walltime *walltime, struct db *db, struct err *err);
void walltime_finish(struct walltime *walltime);

/* Wall clock of a record time; TIME_UNKNOWN stays. */
int64_t walltime_of_record(const struct walltime *walltime, int64_t record_ms);

/* Until when the wall clock kept its distance from the record's that it had at a record time: the
 * record time of the next change; INT64_MAX: it never changed again. */
int64_t walltime_until(const struct walltime *walltime, int64_t record_ms);

/* Record time of a wall time. Where the clock was set back one wall time happened twice: the first
 * and the last are given, else both are the same. A wall time that was jumped over lies behind
 * *ret_last, the last instant before the jump, and before *ret_first, the first one after it: only
 * then the last is less than the first. */
void walltime_to_record(const struct walltime *walltime, int64_t wall_ms, int64_t *ret_first,
                        int64_t *ret_last);
