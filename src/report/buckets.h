/* SPDX-License-Identifier: MIT */
/* The buckets of an answer: which moments fall into which. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/report/trend.h"
#include "sweep.h"

/* Moments one behind the other in the same bucket. */
struct run_of_moments {
    size_t first;  /* index of the first one */
    size_t end;    /* index behind the last one */
    size_t bucket; /* where they fall */
};

struct buckets {
    int64_t since_ms; /* begin of the first bucket, wall time */
    int64_t step_ms;  /* width */
    size_t n;         /* how many */
    int64_t *filled;  /* snapshots in each; owned */
    int64_t outside;  /* snapshots that are in none */
    struct {
        VEC_FIELDS(struct run_of_moments);
    } runs; /* in the order of record time; owned */
};

/* A round width not below interval_ms that makes about 60 buckets of a span. */
int64_t buckets_choose_step(int64_t span_ms, int64_t interval_ms);

/* Sorts moments into buckets of [since_ms, until_ms), a period by its middle. Moments whose wall time lies outside (the clock was set) are taken out. 0 or
 * -ENOMEM. */
int buckets_init(struct buckets *buckets, const struct walltime *walltime, int64_t since_ms,
                 int64_t until_ms, int64_t step_ms, struct moments *moments);
void buckets_finish(struct buckets *buckets);

/* Sets the points of a series. 0 or -ENOMEM. */
int buckets_fill(const struct buckets *buckets, const struct sweep *sweep,
                 const struct counted *counted, struct trend_series *series);
