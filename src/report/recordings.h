/* SPDX-License-Identifier: MIT */
/* The recorder's runs, read whole: there are few. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

struct db;

struct run {
    int64_t id;          /* recordings.id */
    int64_t boot;        /* boots.id */
    int64_t interval_ms; /* planned distance of snapshots */
    bool ended;          /* it left its closing note */
    unsigned detail;     /* enum coverage_detail */
};

struct runs {
    VEC_FIELDS(struct run); /* ascending by id */
};

int runs_load(struct runs *runs, struct db *db, struct err *err);

/* NULL: no such run. */
const struct run *runs_find(const struct runs *runs, int64_t id);

/* Whether two complete snapshots lie further apart than planned: 1.5 intervals. Where the interval
 * was changed between them the longer one counts. */
bool runs_is_gap(const struct run *before, const struct run *after, int64_t distance_ms);
