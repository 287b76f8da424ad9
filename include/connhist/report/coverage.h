/* SPDX-License-Identifier: MIT */
/* What the record covers of a span. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/coverage.h"
#include "connhist/report/walltime.h"
#include "connhist/store/upkeep.h"

struct db;
struct filter; /* report/filter.h */

/* The complete snapshots of a span, on the record's clock. */
struct snapshot_times {
    VEC_FIELDS(int64_t);
};

/* A gap by the record's clock, with the wall times of its ends. A reason that is too long is cut. */
void coverage_gap(const struct walltime *walltime, int64_t from_ms, int64_t until_ms,
                  const char *reason, struct gap *ret);

/* Reads coverage of [from_ms, until_ms) (record time) with wall times in its gaps. A gap begins
 * where the next complete snapshot is more than 1.5 intervals away, also at the span's ends (the
 * end is no gap while the recorder is running and its next snapshot is not due). times may be NULL.
 */
int coverage_load(struct db *db, const struct walltime *walltime, int64_t from_ms, int64_t until_ms,
                  struct coverage *ret, struct snapshot_times *times, struct err *err);

/* The same where the filter names a namespace: the snapshots that are complete there count, and
 * there are gaps where it was not recorded. NULL: none is named. *ret_apart (may be NULL): its
 * coverage is not that of all. */
int coverage_load_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t from_ms, int64_t until_ms, struct coverage *ret,
                     struct snapshot_times *times, bool *ret_apart, struct err *err);
/* The first and the last snapshot that is there or was added up, complete or not; the last before the first: none. */
int coverage_any(struct db *db, int64_t *ret_first_ms, int64_t *ret_last_ms, struct err *err);

/* The first and the last complete snapshot ever recorded, also if they are removed by now; the last
 * before the first: there was none. */
int coverage_extent(struct db *db, int64_t *ret_first_ms, int64_t *ret_last_ms, struct err *err);

/* Adds to coverage what was removed of the span, and where the tier that an answer needs is no longer
 * there a gap. */
int coverage_add_pruned(struct db *db, const struct walltime *walltime, enum tier needed,
                        int64_t from_ms, int64_t until_ms, struct coverage *coverage,
                        struct err *err);
