/* SPDX-License-Identifier: MIT */
/* What answers about counters share: which namespaces of the file, which rows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/report/filter.h"

struct db;

#define COUNTED_HOUR_MS INT64_C(3600000)
#define COUNTED_DAY_MS  (24 * COUNTED_HOUR_MS)

/* A namespace while it was recorded, record time. */
struct counted_span {
    int64_t netns; /* netns.id */
    int64_t from_ms;
    int64_t until_ms; /* INT64_MAX: it still is */
    char name[80];
};

struct counted_spans {
    VEC_FIELDS(struct counted_span); /* by from_ms */
    int64_t minutes_from_ms;         /* readings are there from here on */
    int64_t hours_from_ms;
};

/* Those of the filter's namespace, or else of the recorder's own. -ENOENT: there is none. An older
 * file gives none and 0. */
int counted_spans_load(struct counted_spans *ret, struct db *db, const struct filter *filter,
                       struct err *err);
void counted_spans_finish(struct counted_spans *spans);

/* A stretch of rows: of one tier, [from_ms, end_ms) of record time. */
struct counted_piece {
    int64_t from_ms, end_ms;
    int tier; /* 1 readings, 2 hours, 3 days */
};

/* Cuts (from_ms, until_ms] in pieces: days where they are whole, then hours, then readings. Returns
 * how many, at most 5. */
unsigned counted_cut(int64_t from_ms, int64_t until_ms, struct counted_piece ret[static 5]);
