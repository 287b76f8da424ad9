/* SPDX-License-Identifier: MIT */
/* From the minutes of the file to the points of series. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/rate.h"
#include "lookup.h"
#include "sweep.h"

struct db;

/* A service that has minutes in the span. */
struct rated_service {
    struct series_key key; /* of the series it counts for */
    int64_t id;            /* services.id */
    double total;          /* of the measure, over the span */
};

struct rated_services {
    VEC_FIELDS(struct rated_service);
};

/* Minutes of the file: those that begin in [from_ms, end_ms) of record time. */
struct minute_range {
    int64_t from_ms;
    int64_t end_ms;
};

/* The span of an answer. */
struct rate_span {
    int64_t since_ms; /* begin of the first bucket, wall time; a whole minute */
    int64_t until_ms; /* end of the last one, wall time */
    int64_t step_ms;  /* width of a bucket; whole minutes */
    size_t n;         /* how many there are */
    int64_t from_ms;  /* record time of since_ms, the first if there are two */
    int64_t end_ms;   /* record time of until_ms, the last */
    struct {
        VEC_FIELDS(struct minute_range);
    } minutes; /* which count: several where the clock was set; ascending; owned */
};

/* The minute of the wall clock that a minute of the record is told as: the two may begin at
 * different times, then it is the one in which its middle lies. */
int64_t rate_wall_minute(const struct walltime *walltime, int64_t record_ms);

/* Sets span->minutes from the rest. 0 or -ENOMEM. */
int rate_find_minutes(const struct walltime *walltime, struct rate_span *span);

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

/* Adds the minutes of n services to points, of which there are span->n. */
int rate_load_points(struct db *db, const struct walltime *walltime, enum rate_measure measure,
                     const struct rate_span *span, const struct rated_service *services, size_t n,
                     struct rate_point *points, struct err *err);
