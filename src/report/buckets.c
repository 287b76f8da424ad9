/* SPDX-License-Identifier: MIT */
#include "buckets.h"

#include <errno.h>
#include <stdlib.h>

#define TARGET 60
#define SEC    INT64_C(1000)
#define MIN    (60 * SEC)
#define HOUR   (60 * MIN)
#define DAY    (24 * HOUR)

int64_t buckets_choose_step(int64_t span_ms, int64_t interval_ms)
{
    static const int64_t rounds[] = {
        100,      200,       500,     SEC,      2 * SEC,  5 * SEC,  10 * SEC, 15 * SEC, 30 * SEC,
        MIN,      2 * MIN,   5 * MIN, 10 * MIN, 15 * MIN, 30 * MIN, HOUR,     2 * HOUR, 3 * HOUR,
        6 * HOUR, 12 * HOUR, DAY,     2 * DAY,  7 * DAY,  14 * DAY, 28 * DAY,
    };
    int64_t wanted = span_ms / TARGET > interval_ms ? span_ms / TARGET : interval_ms;

    for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++)
        if (rounds[i] >= wanted)
            return rounds[i];
    return (wanted + 28 * DAY - 1) / (28 * DAY) * (28 * DAY);
}

static int add_moment(struct buckets *buckets, size_t index, size_t bucket, int64_t n)
{
    struct run_of_moments run = {.first = index, .end = index + 1, .bucket = bucket};
    struct run_of_moments *last =
        buckets->runs.n ? &buckets->runs.items[buckets->runs.n - 1] : NULL;

    buckets->filled[bucket] += n;
    if (last && last->bucket == bucket) {
        last->end = index + 1;
        return 0;
    }
    return vec_push(&buckets->runs, run);
}

/* The bucket of a wall time; buckets->n: none. */
static size_t find_bucket(const struct buckets *buckets, int64_t wall_ms, int64_t until_ms)
{
    if (wall_ms < buckets->since_ms || wall_ms >= until_ms)
        return buckets->n;
    return (size_t)((wall_ms - buckets->since_ms) / buckets->step_ms);
}

static int sort_moments(struct buckets *buckets, const struct walltime *walltime, int64_t until_ms,
                        struct moments *moments)
{
    size_t kept = 0, kept_periods = 0, next = 0;

    for (size_t i = 0; i < moments->times.n; i++) {
        int64_t at_ms = moments->times.items[i], n = 1, wall_ms;
        struct period *period = next < moments->periods.n && moments->periods.items[next].at == i
                                    ? &moments->periods.items[next++]
                                    : NULL;
        size_t bucket;

        wall_ms = period ? period_middle(walltime, period->tier, at_ms)
                         : walltime_of_record(walltime, at_ms);
        if (period)
            n = period->done;
        bucket = find_bucket(buckets, wall_ms, until_ms);
        if (bucket == buckets->n) {
            buckets->outside += n;
            continue;
        }
        if (add_moment(buckets, kept, bucket, n) < 0)
            return -ENOMEM;
        if (period) {
            period->at = kept;
            moments->periods.items[kept_periods++] = *period;
        }
        moments->times.items[kept++] = at_ms;
    }
    moments->times.n = kept;
    moments->periods.n = kept_periods;
    return 0;
}

int buckets_init(struct buckets *buckets, const struct walltime *walltime, int64_t since_ms,
                 int64_t until_ms, int64_t step_ms, struct moments *moments)
{
    buckets->since_ms = since_ms;
    buckets->step_ms = step_ms;
    buckets->n = (size_t)((until_ms - since_ms - 1) / step_ms + 1);
    buckets->filled = calloc(buckets->n, sizeof(*buckets->filled));
    if (!buckets->filled)
        return -ENOMEM;
    return sort_moments(buckets, walltime, until_ms, moments);
}

void buckets_finish(struct buckets *buckets)
{
    free(buckets->filled);
    vec_finish(&buckets->runs);
}

/* avg holds the sum until all are in. */
static void add_stretch(struct trend_point *point, const struct stretch *stretch)
{
    if (!point->recorded || stretch->min < point->min)
        point->min = stretch->min;
    if (!point->recorded || stretch->max > point->max)
        point->max = stretch->max;
    point->recorded = true;
    point->bounds |= stretch->bounds;
    point->last = stretch->last;
    point->avg += stretch->sum;
}

int buckets_fill(const struct buckets *buckets, const struct sweep *sweep,
                 const struct counted *counted, struct trend_series *series)
{
    struct sweep_walk walk = {0};
    struct stretch stretch;

    if (vec_reserve(&series->points, buckets->n) < 0)
        return -ENOMEM;
    series->points.n = buckets->n;
    for (size_t i = 0; i < buckets->n; i++)
        series->points.items[i] = (struct trend_point){
            .at_ms = buckets->since_ms + (int64_t)i * buckets->step_ms,
        };
    for (size_t i = 0; i < buckets->runs.n; i++)
        while (sweep_next(sweep, counted, &walk, buckets->runs.items[i].end, &stretch))
            add_stretch(&series->points.items[buckets->runs.items[i].bucket], &stretch);
    for (size_t i = 0; i < buckets->n; i++)
        if (buckets->filled[i])
            series->points.items[i].avg /= (double)buckets->filled[i];
    return 0;
}
