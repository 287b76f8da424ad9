/* SPDX-License-Identifier: MIT */
/* From the minutes of the file to the points of series. */
#pragma once

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

/* The span of an answer. */
struct rate_span {
    int64_t since_ms; /* begin of the first bucket, wall time */
    int64_t until_ms; /* end of the last one, wall time */
    int64_t step_ms;  /* width of a bucket */
    size_t n;         /* how many there are */
    int64_t from_ms;  /* record time: no minute before counts */
    int64_t end_ms;   /* record time: nor any from here on */
};

/* The chosen services with a total that is not 0. */
int rate_load_totals(struct db *db, const struct lookup *lookup,
                     const struct rate_question *question, const struct rate_span *span,
                     struct rated_services *ret, struct err *err);

/* Adds the minutes of n services to points, of which there are span->n. */
int rate_load_points(struct db *db, const struct walltime *walltime, enum rate_measure measure,
                     const struct rate_span *span, const struct rated_service *services, size_t n,
                     struct rate_point *points, struct err *err);
