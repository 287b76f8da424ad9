/* SPDX-License-Identifier: MIT */
/* The buckets of an answer: which snapshots fall into which. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/report/coverage.h"
#include "connhist/report/trend.h"
#include "sweep.h"

/* Snapshots one behind the other in the same bucket. */
struct run_of_snapshots {
    size_t first;  /* index of the first one */
    size_t end;    /* index behind the last one */
    size_t bucket; /* where they fall */
};

struct buckets {
    int64_t since_ms; /* begin of the first bucket, wall time */
    int64_t step_ms;  /* width */
    size_t n;         /* how many */
    int64_t *filled;  /* snapshots in each; owned */
    struct {
        VEC_FIELDS(struct run_of_snapshots);
    } runs; /* in the order of record time; owned */
};

/* A round width not below interval_ms that makes about 60 buckets of a span. */
int64_t buckets_choose_step(int64_t span_ms, int64_t interval_ms);

/* Sorts snapshots into buckets of [since_ms, until_ms]; a snapshot at until_ms counts for the last
 * bucket. Snapshots whose wall time lies outside (the clock was set) are taken out of times. 0 or
 * -ENOMEM. */
int buckets_init(struct buckets *buckets, const struct walltime *walltime, int64_t since_ms,
                 int64_t until_ms, int64_t step_ms, struct snapshot_times *times);
void buckets_finish(struct buckets *buckets);

/* Sets the points of a series. 0 or -ENOMEM. */
int buckets_fill(const struct buckets *buckets, const struct counted *counted,
                 struct trend_series *series);
