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

static int add_snapshot(struct buckets *buckets, size_t index, size_t bucket)
{
    struct run_of_snapshots run = {.first = index, .end = index + 1, .bucket = bucket};
    struct run_of_snapshots *last =
        buckets->runs.n ? &buckets->runs.items[buckets->runs.n - 1] : NULL;

    buckets->filled[bucket]++;
    if (last && last->bucket == bucket) {
        last->end = index + 1;
        return 0;
    }
    return vec_push(&buckets->runs, run);
}

int buckets_init(struct buckets *buckets, const struct walltime *walltime, int64_t since_ms,
                 int64_t until_ms, int64_t step_ms, struct snapshot_times *times)
{
    size_t kept = 0;

    buckets->since_ms = since_ms;
    buckets->step_ms = step_ms;
    buckets->n = (size_t)((until_ms - since_ms - 1) / step_ms + 1);
    buckets->filled = calloc(buckets->n, sizeof(*buckets->filled));
    if (!buckets->filled)
        return -ENOMEM;
    for (size_t i = 0; i < times->n; i++) {
        int64_t wall_ms = walltime_of_record(walltime, times->items[i]);
        size_t bucket;

        if (wall_ms < since_ms || wall_ms > until_ms)
            continue;
        bucket = (size_t)((wall_ms - since_ms) / step_ms);
        if (bucket >= buckets->n)
            bucket = buckets->n - 1;
        if (add_snapshot(buckets, kept, bucket) < 0)
            return -ENOMEM;
        times->items[kept++] = times->items[i];
    }
    times->n = kept;
    return 0;
}

void buckets_finish(struct buckets *buckets)
{
    free(buckets->filled);
    vec_finish(&buckets->runs);
}

/* n snapshots of a point showed this count; avg holds the sum until all are in. */
static void add_counts(struct trend_point *point, int64_t count, size_t n)
{
    if (!point->recorded || count < point->min)
        point->min = count;
    if (!point->recorded || count > point->max)
        point->max = count;
    point->recorded = true;
    point->last = count;
    point->avg += (double)count * (double)n;
}

/* Walks the runs and the changes of a series side by side. */
static void fill(const struct buckets *buckets, const struct counted *counted,
                 struct trend_point *points)
{
    const struct change *change = counted->changes.items;
    const struct change *end = change + counted->changes.n;
    int64_t count = 0;

    for (size_t i = 0; i < buckets->runs.n; i++) {
        const struct run_of_snapshots *run = &buckets->runs.items[i];
        size_t at = run->first;

        while (at < run->end) {
            size_t next = run->end;

            for (; change < end && change->at <= at; change++)
                count += change->delta;
            if (change < end && change->at < next)
                next = change->at;
            add_counts(&points[run->bucket], count, next - at);
            at = next;
        }
    }
}

int buckets_fill(const struct buckets *buckets, const struct counted *counted,
                 struct trend_series *series)
{
    if (vec_reserve(&series->points, buckets->n) < 0)
        return -ENOMEM;
    series->points.n = buckets->n;
    for (size_t i = 0; i < buckets->n; i++)
        series->points.items[i] = (struct trend_point){
            .at_ms = buckets->since_ms + (int64_t)i * buckets->step_ms,
        };
    fill(buckets, counted, series->points.items);
    for (size_t i = 0; i < buckets->n; i++)
        if (buckets->filled[i])
            series->points.items[i].avg /= (double)buckets->filled[i];
    return 0;
}
