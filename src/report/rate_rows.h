/* SPDX-License-Identifier: MIT */
/* From the rates of the file to the points of series. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/rate.h"
#include "lookup.h"
#include "sweep.h"
#include "tiers.h"

struct db;

/* A service that has rates in the span. */
struct rated_service {
    struct series_key key; /* of the series it counts for */
    int64_t id;            /* services.id */
    double total;          /* of the measure, over the span */
};

struct rated_services {
    VEC_FIELDS(struct rated_service);
};

/* The span of an answer. */
struct rate_span {
    int64_t since_ms;      /* begin of the first bucket, wall time; a multiple of shortest_ms */
    int64_t until_ms;      /* end of the last one, wall time */
    int64_t shortest_ms;   /* length of the shortest periods that are there throughout */
    int64_t step_ms;       /* width of a bucket; likewise */
    size_t n;              /* how many there are */
    int64_t from_ms;       /* record time of since_ms, the first if there are two */
    int64_t end_ms;        /* record time of until_ms, the last */
    int64_t first_ms;      /* nothing was counted before, record time */
    int64_t last_ms;       /* ... and nothing from then on */
    struct pieces minutes; /* which count: several where the clock was set; owned */
    struct pieces points;  /* the same in longer periods, each in one bucket; owned */
    struct pieces totals;  /* the same in the longest ones; owned */
};

/* Sets the span's pieces from the rest: a minute of the record counts for that of the wall clock in
 * which its middle lies. 0 or -ENOMEM. */
int rate_find_pieces(const struct walltime *walltime, const struct kept *kept,
                     struct rate_span *span);
void rate_span_finish(struct rate_span *span);

/* What is known of a bucket. */
struct bucket_cover {
    int64_t covered_ms; /* how much of it was recorded; more than its width where the clock was set
                           back */
    bool at_least;      /* something may lack in it */
};

/* Says for each bucket of the span how much of it was recorded, and adds to the gaps of coverage
 * the times in which the recorder did not count what the measure tells. *ret: span->n; the
 * caller's to free. */
int rate_cover(struct db *db, const struct walltime *walltime, enum rate_measure measure,
               const struct rate_span *span, struct coverage *coverage, struct bucket_cover **ret,
               struct err *err);

/* The chosen services with a total that is not 0. */
int rate_load_totals(struct db *db, const struct lookup *lookup,
                     const struct rate_question *question, const struct rate_span *span,
                     struct rated_services *ret, struct err *err);

/* How many sockets came, or went unless the measure is RATE_OPENED, at services that were not told
 * apart and may be those of the filter. */
int rate_load_other(struct db *db, const struct lookup *lookup,
                    const struct rate_question *question, const struct rate_span *span,
                    int64_t *ret, struct err *err);

/* Adds the rates of n services to points, of which there are span->n. */
int rate_load_points(struct db *db, const struct walltime *walltime, enum rate_measure measure,
                     const struct rate_span *span, const struct rated_service *services, size_t n,
                     struct rate_point *points, struct err *err);
