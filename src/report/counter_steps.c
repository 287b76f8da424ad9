/* SPDX-License-Identifier: MIT */
/* One counter, step by step. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buckets.h"
#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"
#include "counted.h"

#define STEPS_MAX 100000

void counter_steps_finish(struct counter_steps *steps)
{
    vec_finish(steps);
}

/* From which on there are readings, and before that hours. */
struct ranges {
    int64_t since_ms;    /* record time of the first step */
    int64_t end_ms;      /* behind the last one */
    int64_t hours_ms;    /* days before that */
    int64_t readings_ms; /* hours before that */
};

static int64_t ceil_to(int64_t at_ms, int64_t length_ms)
{
    return (at_ms + length_ms - 1) / length_ms * length_ms;
}

static struct grown *step_of(struct counter_steps *steps, const struct ranges *ranges,
                             int64_t at_ms)
{
    int64_t at = at_ms < ranges->since_ms ? 0 : (at_ms - ranges->since_ms) / steps->step_ms;

    return (size_t)at < steps->n ? &steps->items[at] : NULL;
}

struct covering {
    const struct ranges *ranges;
    struct counter_steps *steps;
};

static void cover(void *arg, int64_t at_ms, uint32_t readings, int64_t covered_ms)
{
    const struct covering *covering = arg;
    struct grown *step = step_of(covering->steps, covering->ranges, at_ms);

    if (!step)
        return;
    step->readings += readings;
    step->covered_ms += covered_ms;
}

static const char readings_sql[] =
    "SELECT at_ms, grew, value, 1 << turn, value, value, iif(over_gap, grew, 0) FROM counters "
    "WHERE netns = ?1 AND at_ms >= ?2 AND at_ms < ?3 AND ?4 = 1 AND counter = (SELECT id FROM "
    "counter_names WHERE name = ?5) ORDER BY at_ms";
static const char rollups_sql[] =
    "SELECT at_ms, grew, last, turns, coalesce(low, last), coalesce(high, last), "
    "gap_grew FROM counter_rollups WHERE tier = ?4 AND netns = ?1 AND at_ms >= ?2 AND at_ms < ?3 "
    "AND counter = "
    "(SELECT id FROM counter_names WHERE name = ?5) ORDER BY at_ms";

static void add_row(struct stmt *stmt, struct grown *step)
{
    int64_t low = stmt_i64(stmt, 4), high = stmt_i64(stmt, 5), grew = stmt_i64(stmt, 1);

    if (grew > 0 && __builtin_add_overflow(step->grew, grew, &step->grew))
        step->grew = INT64_MAX;
    if (__builtin_add_overflow(step->gap_grew, stmt_i64(stmt, 6), &step->gap_grew))
        step->gap_grew = INT64_MAX;
    step->low = step->has_last && step->low < low ? step->low : low;
    step->high = step->has_last && step->high > high ? step->high : high;
    step->last = stmt_i64(stmt, 2);
    step->turns |= (unsigned)stmt_i64(stmt, 3);
    step->has_last = true;
}

static int add(struct db *db, const struct ranges *ranges, const struct counted_piece *piece,
               int64_t netns, const char *name, struct counter_steps *steps, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, piece->tier == 1 ? readings_sql : rollups_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, netns);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    stmt_bind_i64(stmt, 4, piece->tier);
    stmt_bind_text(stmt, 5, name);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct grown *step = step_of(steps, ranges, stmt_i64(stmt, 0));

        if (step)
            add_row(stmt, step);
    }
    return r;
}

static int fill(struct db *db, const struct counted_spans *spans, const struct ranges *ranges,
                const char *name, struct counter_steps *steps, struct err *err)
{
    const struct counted_piece pieces[] = {
        {ranges->hours_ms > ranges->since_ms ? ranges->since_ms - ranges->since_ms % COUNTED_DAY_MS
                                             : ranges->hours_ms,
         ranges->hours_ms, 3},
        {ranges->hours_ms, ranges->readings_ms, 2},
        {ranges->readings_ms, ranges->end_ms, 1},
    };
    struct covering covering = {ranges, steps};
    int r = 0;

    for (size_t i = 0; i < 3 && r >= 0; i++) {
        struct counted_piece piece = pieces[i];

        if (piece.end_ms > ranges->end_ms)
            piece.end_ms = ranges->end_ms;
        if (piece.from_ms >= piece.end_ms)
            continue;
        if (piece.tier > 1)
            steps->tier_ms = steps->tier_ms    ? steps->tier_ms
                             : piece.tier == 3 ? COUNTED_DAY_MS
                                               : COUNTED_HOUR_MS;
        for (size_t j = 0; j < spans->n && r >= 0; j++) {
            bool again = false;

            for (size_t k = 0; k < j; k++)
                again |= spans->items[k].netns == spans->items[j].netns;
            if (again)
                continue;
            r = counted_cover_each(db, spans->items[j].netns, &piece, cover, &covering, err);
            if (r >= 0)
                r = add(db, ranges, &piece, spans->items[j].netns, name, steps, err);
        }
    }
    return r;
}

/* A gauge keeps its value over steps in which it did not change. */
static void carry(struct counter_steps *steps, int64_t level, bool has_level)
{
    for (size_t i = 0; i < steps->n; i++) {
        struct grown *step = &steps->items[i];

        if (step->has_last) {
            if (has_level) {
                step->low = step->low < level ? step->low : level;
                step->high = step->high > level ? step->high : level;
            }
            level = step->last;
            has_level = true;
        } else if (has_level && step->readings) {
            step->low = step->high = step->last = level;
            step->has_last = true;
        }
    }
}

static struct ranges cut(const struct counted_spans *spans, int64_t since_ms, int64_t until_ms,
                         int64_t step_ms)
{
    struct ranges ranges = {.since_ms = since_ms, .end_ms = until_ms};

    /* steps of whole hours are told by hours, and begin with one */
    if (step_ms % COUNTED_HOUR_MS == 0)
        ranges.since_ms -= ranges.since_ms % COUNTED_HOUR_MS;
    ranges.hours_ms = ranges.since_ms;
    if (ranges.since_ms < spans->hours_from_ms)
        ranges.hours_ms = ceil_to(spans->hours_from_ms, COUNTED_DAY_MS);
    ranges.readings_ms = ranges.hours_ms;
    if (ranges.since_ms < spans->minutes_from_ms)
        ranges.readings_ms = ceil_to(spans->minutes_from_ms, COUNTED_HOUR_MS);
    if (step_ms % COUNTED_HOUR_MS ==
        0) { /* of the last hour what is behind the end does not count */
        int64_t rest_ms = ranges.end_ms % COUNTED_HOUR_MS;

        ranges.readings_ms = ranges.end_ms;
        if (ranges.end_ms - rest_ms >= spans->minutes_from_ms)
            ranges.readings_ms -= rest_ms;
    }
    if (ranges.readings_ms < ranges.hours_ms)
        ranges.readings_ms = ranges.hours_ms;
    return ranges;
}

int counter_steps(struct db *db, const struct walltime *walltime, const struct filter *filter,
                  const char *name, int64_t since_ms, int64_t until_ms, int64_t step_ms,
                  struct counter_steps *ret, struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    const struct counter *before;
    struct reading_choice choice = {0};
    struct tables tables = {0};
    struct ranges ranges;
    int64_t first_ms = 0, since_record = 0, until_record = 0, n;
    int r = counted_spans_load(&spans, db, filter, err);

    if (r < 0)
        return r;
    if (!step_ms)
        step_ms = buckets_choose_step(until_ms - since_ms, COUNTING_PERIOD_MS);
    walltime_to_record(walltime, since_ms, &since_record, &first_ms);
    walltime_to_record(walltime, until_ms, &first_ms, &until_record);
    ranges = cut(&spans, since_record, until_record, step_ms);
    n = ranges.end_ms > ranges.since_ms ? (ranges.end_ms - ranges.since_ms - 1) / step_ms + 1 : 0;
    if (n > STEPS_MAX)
        return err_set(err, -EINVAL, "--step: that makes more than %d steps", STEPS_MAX);
    if (vec_reserve(ret, (size_t)n) < 0)
        return err_errno(err, -ENOMEM, "reading the counter");
    if (n > 0)
        memset(ret->items, 0, (size_t)n * sizeof(ret->items[0]));
    ret->n = (size_t)n;
    ret->step_ms = step_ms;
    ret->since_ms = walltime_of_record(walltime, ranges.since_ms);
    r = fill(db, &spans, &ranges, name, ret, err);
    if (r == 0)
        r = tables_at(db, walltime, filter, TABLE_COUNTERS, ret->since_ms - 1, &tables, &choice,
                      err);
    before = counter_table_find(&tables.counters, name);
    carry(ret, before ? before->value : 0, before && choice.found);
    tables_finish(&tables);
    return r;
}
