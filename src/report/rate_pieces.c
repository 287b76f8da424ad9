/* SPDX-License-Identifier: MIT */
/* Which rows of rates belong to an answer. */
#include <errno.h>

#include "rate_rows.h"

#define HALF_MS (RATE_PERIOD_MS / 2)

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN + 1;
    return sum;
}

static int add_range(struct pieces *minutes, int64_t from_ms, int64_t end_ms)
{
    struct piece *last = minutes->n ? &minutes->items[minutes->n - 1] : NULL;
    struct piece range = {.tier = TIER_MINUTES, .from_ms = from_ms, .end_ms = end_ms};

    if (from_ms >= end_ms)
        return 0;
    if (!last || last->end_ms != from_ms)
        return vec_push(minutes, range);
    last->end_ms = end_ms;
    return 0;
}

/* A clock that drifts makes many epochs, but few ranges: they touch, and become one. */
static int find_minutes(const struct walltime *walltime, struct rate_span *span)
{
    int64_t until_ms = floor_to(add(span->until_ms, RATE_PERIOD_MS - 1), RATE_PERIOD_MS), next_ms;
    int64_t end_ms = add(span->end_ms, RATE_PERIOD_MS);
    int r = 0;

    /* the middles of minutes: these lie in one epoch */
    for (int64_t at_ms = add(span->from_ms, -RATE_PERIOD_MS); at_ms < end_ms && r == 0;
         at_ms = next_ms) {
        int64_t offset_ms = add(walltime_of_record(walltime, at_ms), -at_ms);
        int64_t first_ms = add(span->since_ms, -offset_ms), last_ms = add(until_ms, -offset_ms);

        next_ms = walltime_until(walltime, at_ms);
        if (next_ms > end_ms)
            next_ms = end_ms;
        r = add_range(&span->minutes, add(first_ms > at_ms ? first_ms : at_ms, -HALF_MS),
                      add(last_ms < next_ms ? last_ms : next_ms, -HALF_MS));
    }
    return r;
}

/* Ranges are of middles: the first period begins behind their begin. */
static int cut(const struct grid *grid, const struct pieces *minutes, struct pieces *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < minutes->n; i++) {
        const struct piece *range = &minutes->items[i];

        r = grid_cut(grid, floor_to(range->from_ms + RATE_PERIOD_MS - 1, RATE_PERIOD_MS),
                     floor_to(range->end_ms + RATE_PERIOD_MS - 1, RATE_PERIOD_MS), ret);
    }
    return r;
}

/* Outside of what was ever recorded there is nothing to look for. */
static void clip(struct pieces *minutes, int64_t first_ms, int64_t last_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < minutes->n; i++) {
        struct piece range = minutes->items[i];

        if (range.from_ms < first_ms)
            range.from_ms = first_ms;
        if (range.end_ms > last_ms)
            range.end_ms = last_ms;
        if (range.from_ms < range.end_ms)
            minutes->items[kept++] = range;
    }
    minutes->n = kept;
}

int rate_find_pieces(const struct walltime *walltime, const struct kept *kept,
                     struct rate_span *span)
{
    struct grid grid = {
        .walltime = walltime,
        .kept = kept,
        .since_ms = span->since_ms,
        .until_ms = span->until_ms,
        .step_ms = span->step_ms,
        .finest = TIER_MINUTES,
        .coarsest = TIER_DAYS,
    };
    int r = find_minutes(walltime, span);

    clip(&span->minutes, span->first_ms, span->last_ms);
    if (r == 0)
        r = cut(&grid, &span->minutes, &span->points);
    grid.step_ms = 0;
    return r < 0 ? r : cut(&grid, &span->minutes, &span->totals);
}

void rate_span_finish(struct rate_span *span)
{
    vec_finish(&span->minutes);
    vec_finish(&span->points);
    vec_finish(&span->totals);
}
