/* SPDX-License-Identifier: MIT */
/* How large the record is, by part, and how it grows. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/walltime.h"
#include "connhist/store/sizes.h"

struct db;

struct budget {
    int64_t bytes[SIZE_PARTS];
    int64_t
        since_ms[SIZE_PARTS]; /* the oldest of it, wall time; TIME_UNKNOWN: nothing, or no matter */
    int64_t max_bytes; /* what the file and its companions may take; 0: not known, or no bound */
    int64_t
        day_bytes; /* growth per day, each part by what it took so far, but for those of which the oldest
                          goes for its age; -1: not known */
};

/* Between db_begin() and db_end(). Errors as db_prepare(). */
int budget_ask(struct db *db, const struct walltime *walltime, struct budget *ret, struct err *err);
