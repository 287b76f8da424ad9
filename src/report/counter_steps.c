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

/* What is asked for, and from which on there are readings, and before that hours. */
struct ranges {
    int64_t since_ms;                /* record time of the first step */
    int64_t end_ms;                  /* behind the last one */
    int64_t hours_ms;                /* days before that */
    int64_t readings_ms;             /* hours before that */
    int64_t counter;                 /* counter_names.id */
    int64_t *levels;                 /* of a gauge, by span: the value that was read last; owned */
    const struct walltime *walltime; /* not owned */
    bool gauge;                      /* its values are those of an instant */
};

/* A reading, and the time that what it found belongs to. */
struct taken {
    int64_t at_ms;
    int64_t middle_ms;
    int64_t covered_ms; /* since the one before; 0: a gap lies between */
};

struct taken_vec {
    VEC_FIELDS(struct taken); /* in order of time; owned */
};

static void finish_taken(struct taken_vec *taken)
{
    vec_finish(taken);
}

static int64_t ceil_to(int64_t at_ms, int64_t length_ms)
{
    return (at_ms + length_ms - 1) / length_ms * length_ms;
}

/* Steps are of the wall clock, which may have been set meanwhile. NULL: it is in none. */
static struct grown *step_of(struct counter_steps *steps, const struct ranges *ranges,
                             int64_t at_ms)
{
    int64_t since_ms = walltime_of_record(ranges->walltime, at_ms) - steps->since_ms;

    if (at_ms < ranges->since_ms || at_ms >= ranges->end_ms || since_ms < 0 ||
        (size_t)(since_ms / steps->step_ms) >= steps->n)
        return NULL;
    return &steps->items[since_ms / steps->step_ms];
}

struct covering {
    const struct ranges *ranges;
    struct counter_steps *steps;
    struct taken_vec taken;
    int64_t middle_ms; /* of a period, behind its begin; 0: readings one by one */
    bool failed;       /* no memory */
};

static void cover(void *arg, int64_t at_ms, uint32_t readings, int64_t covered_ms)
{
    struct covering *covering = arg;
    struct taken one = {
        .at_ms = at_ms, .middle_ms = at_ms + covering->middle_ms, .covered_ms = covered_ms};
    struct grown *step;

    if (!covering->middle_ms && !covering->ranges->gauge)
        one.middle_ms -= covered_ms / 2;
    covering->failed |= vec_push(&covering->taken, one) < 0;
    step = step_of(covering->steps, covering->ranges, one.middle_ms);
    if (!step)
        return;
    step->readings += readings;
    step->covered_ms += covered_ms;
}

static const char readings_sql[] =
    "SELECT at_ms, grew, value, 1 << turn, value, value, iif(over_gap, grew, 0) FROM counters "
    "WHERE netns = ?1 AND at_ms >= ?2 AND at_ms < ?3 AND ?4 = 1 AND counter = ?5 ORDER BY at_ms";
static const char rollups_sql[] =
    "SELECT at_ms, grew, last, turns, coalesce(low, last), coalesce(high, last), "
    "gap_grew FROM counter_rollups WHERE tier = ?4 AND netns = ?1 AND at_ms >= ?2 AND at_ms < ?3 "
    "AND counter = ?5 ORDER BY at_ms";

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

static int prepare(struct db *db, const struct ranges *ranges, const struct counted_piece *piece,
                   int64_t netns, struct stmt **ret, struct err *err)
{
    int r = db_prepare(db, piece->tier == 1 ? readings_sql : rollups_sql, ret, err);

    if (r < 0)
        return r;
    stmt_bind_i64(*ret, 1, netns);
    stmt_bind_i64(*ret, 2, piece->from_ms);
    stmt_bind_i64(*ret, 3, piece->end_ms);
    stmt_bind_i64(*ret, 4, piece->tier);
    stmt_bind_i64(*ret, 5, ranges->counter);
    return 0;
}

static int add(struct db *db, const struct ranges *ranges, const struct counted_piece *piece,
               int64_t netns, const struct taken_vec *taken, struct counter_steps *steps,
               struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = prepare(db, ranges, piece, netns, &stmt, err);
    size_t at = 0;

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        int64_t at_ms = stmt_i64(stmt, 0);
        struct grown *step;

        while (at < taken->n && taken->items[at].at_ms < at_ms)
            at++;
        if (at < taken->n && taken->items[at].at_ms == at_ms)
            at_ms = taken->items[at].middle_ms;
        step = step_of(steps, ranges, at_ms);
        if (step)
            add_row(stmt, step);
    }
    return r;
}

static void add_value(struct grown *step, int64_t value)
{
    step->low = step->has_last && step->low < value ? step->low : value;
    step->high = step->has_last && step->high > value ? step->high : value;
    step->last = value;
    step->has_last = true;
}

/* Of a gauge each reading, or hour or day, tells a value: a new one, or that before. Only what was
 * read in a step counts for it. */
static int add_gauge(struct db *db, const struct ranges *ranges, const struct counted_piece *piece,
                     int64_t netns, const struct taken_vec *taken, int64_t *level,
                     struct counter_steps *steps, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = prepare(db, ranges, piece, netns, &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    for (size_t i = 0; i < taken->n && r >= 0; i++) {
        struct grown *step = step_of(steps, ranges, taken->items[i].middle_ms);
        bool changed = r > 0 && stmt_i64(stmt, 0) == taken->items[i].at_ms;

        if (changed)
            *level = stmt_i64(stmt, 2);
        if (step && changed)
            add_row(stmt, step);
        else if (step)
            add_value(step, *level);
        if (changed)
            r = stmt_step(stmt, err);
    }
    return r < 0 ? r : 0;
}

static int fill_piece(struct db *db, const struct counted_spans *spans, const struct ranges *ranges,
                      const struct counted_piece *piece, struct counter_steps *steps,
                      struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        struct covering covering = {.ranges = ranges, .steps = steps};
        int64_t netns = spans->items[i].netns;

        if (counted_is_again(spans, i))
            continue;
        if (piece->tier > 1)
            covering.middle_ms = (piece->tier == 2 ? COUNTED_HOUR_MS : COUNTED_DAY_MS) / 2;
        r = counted_cover_each(db, spans, netns, piece, cover, &covering, err);
        if (covering.failed)
            r = err_errno(err, -ENOMEM, "reading the counter");
        if (r >= 0)
            r = ranges->gauge ? add_gauge(db, ranges, piece, netns, &covering.taken,
                                          &ranges->levels[i], steps, err)
                              : add(db, ranges, piece, netns, &covering.taken, steps, err);
        finish_taken(&covering.taken);
    }
    return r;
}

static int fill(struct db *db, const struct counted_spans *spans, const struct ranges *ranges,
                struct counter_steps *steps, struct err *err)
{
    const struct counted_piece pieces[] = {
        {ranges->since_ms, ranges->hours_ms, 3},
        {ranges->hours_ms, ranges->readings_ms, 2},
        /* a reading behind the end may tell of the time before it: intervals are an hour at most */
        {ranges->readings_ms, ranges->end_ms + COUNTED_HOUR_MS, 1},
    };
    int r = 0;

    steps->tier = TIER_MINUTES;
    for (size_t i = 0; i < 3 && r >= 0; i++) {
        struct counted_piece piece = pieces[i];

        if (piece.tier > 1 && piece.end_ms > ranges->end_ms)
            piece.end_ms = ranges->end_ms;
        if (piece.from_ms >= piece.end_ms)
            continue;
        if (piece.tier > (int)steps->tier)
            steps->tier = (enum tier)piece.tier;
        r = fill_piece(db, spans, ranges, &piece, steps, err);
    }
    return r;
}

static void note_taken(void *arg, int64_t at_ms, uint32_t readings, int64_t covered_ms)
{
    struct taken *taken = arg;

    (void)readings;
    *taken = (struct taken){
        .at_ms = at_ms, .middle_ms = at_ms - covered_ms / 2, .covered_ms = covered_ms};
}

/* Takes one reading from a step, which has it unless its hour is not in the file, to the one before;
 * NULL: that was not asked for. */
static int move(struct db *db, const struct ranges *ranges, int64_t netns,
                const struct taken *taken, struct grown *from, struct grown *to, struct err *err)
{
    const struct counted_piece piece = {taken->at_ms, taken->at_ms + 1, 1};
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = prepare(db, ranges, &piece, netns, &stmt, err);

    if (r < 0 || !from->readings)
        return r;
    from->readings--;
    from->covered_ms -= taken->covered_ms;
    if (to) {
        to->readings++;
        to->covered_ms += taken->covered_ms;
    }
    r = stmt_step(stmt, err);
    if (r <= 0)
        return r;
    from->grew -= stmt_i64(stmt, 1);
    if (to)
        add_row(stmt, to);
    return 0;
}

/* The first reading behind a border, if the middle of the time that it tells of is before that. */
static int find_early(struct db *db, const struct counted_spans *spans, int64_t netns,
                      int64_t border_ms, struct taken *ret, struct err *err)
{
    struct counted_piece piece = {.tier = 1};
    int r = counted_reading_after(db, spans, netns, border_ms, &piece.from_ms, err);

    if (r <= 0 || piece.from_ms >= border_ms + COUNTED_HOUR_MS)
        return r < 0 ? r : 0;
    piece.end_ms = piece.from_ms + 1;
    *ret = (struct taken){.middle_ms = INT64_MAX};
    r = counted_cover_each(db, spans, netns, &piece, note_taken, ret, err);
    return r < 0 ? r : ret->middle_ms < border_ms;
}

static bool is_near(const struct counted_span *span, int64_t at_ms)
{
    return span->from_ms < at_ms && span->until_ms >= at_ms;
}

/* A namespace that was recorded at that time, each once. */
static bool is_next(const struct counted_spans *spans, size_t at, int64_t at_ms)
{
    for (size_t i = 0; i < at; i++)
        if (spans->items[i].netns == spans->items[at].netns && is_near(&spans->items[i], at_ms))
            return false;
    return is_near(&spans->items[at], at_ms);
}

/* Hours hold what was read in them: where there still are readings, that which a step begins with
 * goes to the step before if that has more of its time, as it does in shorter steps. */
static int mend(struct db *db, const struct counted_spans *spans, const struct ranges *ranges,
                struct counter_steps *steps, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < steps->n && r >= 0; i++) {
        int64_t border_ms, unused_ms;

        walltime_to_record(ranges->walltime, steps->since_ms + (int64_t)i * steps->step_ms,
                           &border_ms, &unused_ms);
        /* once the clock was set, hours may no longer begin where steps do */
        if (border_ms >= ranges->readings_ms || border_ms % COUNTED_HOUR_MS)
            continue;
        for (size_t j = 0; border_ms >= spans->minutes_from_ms && j < spans->n && r >= 0; j++) {
            struct taken taken;

            if (!is_next(spans, j, border_ms))
                continue;
            r = find_early(db, spans, spans->items[j].netns, border_ms, &taken, err);
            if (r > 0)
                r = move(db, ranges, spans->items[j].netns, &taken, &steps->items[i],
                         i ? &steps->items[i - 1] : NULL, err);
        }
    }
    return r;
}

/* How long periods are at an instant of a span that begins at since_ms, where readings are gone; 1:
 * they are there. */
static int64_t period_at(const struct counted_spans *spans, int64_t since_ms, int64_t at_ms)
{
    if (since_ms < spans->hours_from_ms && at_ms - at_ms % COUNTED_DAY_MS < spans->hours_from_ms)
        return COUNTED_DAY_MS;
    return since_ms < spans->minutes_from_ms &&
                   at_ms - at_ms % COUNTED_HOUR_MS < spans->minutes_from_ms
               ? COUNTED_HOUR_MS
               : 1;
}

/* Whether hours of the record are such of the wall clock, but for a minute: it may have been set. */
static bool keeps_hours(const struct walltime *walltime, int64_t since_ms, int64_t until_ms)
{
    int64_t offset_ms = walltime_of_record(walltime, since_ms) - since_ms;

    for (int64_t at_ms = since_ms; at_ms < until_ms; at_ms = walltime_until(walltime, at_ms))
        if (llabs(walltime_of_record(walltime, at_ms) - at_ms - offset_ms) > COUNTING_PERIOD_MS)
            return false;
    return true;
}

static void cut(const struct counted_spans *spans, int64_t since_ms, int64_t until_ms,
                int64_t step_ms, struct ranges *ret)
{
    bool hourly = step_ms % COUNTED_HOUR_MS == 0 && keeps_hours(ret->walltime, since_ms, until_ms);

    ret->since_ms = since_ms - since_ms % period_at(spans, since_ms, since_ms);
    ret->end_ms = ceil_to(until_ms, period_at(spans, since_ms, until_ms - 1));
    /* steps of whole hours are told by hours, and begin with one */
    if (hourly)
        ret->since_ms -= ret->since_ms % COUNTED_HOUR_MS;
    ret->hours_ms = ret->since_ms;
    if (since_ms < spans->hours_from_ms)
        ret->hours_ms = ceil_to(spans->hours_from_ms, COUNTED_DAY_MS);
    ret->readings_ms = ret->hours_ms;
    if (since_ms < spans->minutes_from_ms)
        ret->readings_ms = ceil_to(spans->minutes_from_ms, COUNTED_HOUR_MS);
    /* of the last hour what is behind the end does not count */
    if (hourly && ret->end_ms - ret->end_ms % COUNTED_HOUR_MS > ret->readings_ms)
        ret->readings_ms = ret->end_ms - ret->end_ms % COUNTED_HOUR_MS;
    /* nor does the hour that a copy ends in have a row */
    if (ret->readings_ms > spans->hours_until_ms &&
        spans->hours_until_ms >= ceil_to(spans->minutes_from_ms, COUNTED_HOUR_MS))
        ret->readings_ms = spans->hours_until_ms;
    if (ret->readings_ms < ret->hours_ms)
        ret->readings_ms = ret->hours_ms;
}

static int find_counter(struct db *db, const char *name, struct ranges *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, "SELECT id, kind FROM counter_names WHERE name = ?1", &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_text(stmt, 1, name);
    r = stmt_step(stmt, err);
    if (r > 0) {
        ret->counter = stmt_i64(stmt, 0);
        ret->gauge = stmt_i64(stmt, 1) == COUNTER_GAUGE;
    }
    return r < 0 ? r : 0;
}

/* What each namespace's gauge was before the first step; 0 where it never was anything else. */
static int load_levels(struct db *db, const struct counted_spans *spans, struct ranges *ranges,
                       struct err *err)
{
    static const char sql[] =
        "SELECT coalesce((SELECT value FROM counters WHERE netns = ?1 AND at_ms >= ?4 AND at_ms < "
        "?2 AND counter = ?3 ORDER BY at_ms DESC LIMIT 1), (SELECT last FROM counter_rollups WHERE "
        "tier = 2 AND netns = ?1 AND at_ms >= ?5 AND at_ms < ?4 AND counter = ?3 ORDER BY at_ms "
        "DESC LIMIT 1), (SELECT last FROM counter_rollups WHERE tier = 3 AND netns = ?1 AND at_ms "
        "< ?5 AND counter = ?3 ORDER BY at_ms DESC LIMIT 1), 0)";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    ranges->levels = calloc(spans->n + 1, sizeof(*ranges->levels));
    if (!ranges->levels)
        return err_errno(err, -ENOMEM, "reading the counter");
    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        if (counted_is_again(spans, i))
            continue;
        stmt_reset(stmt);
        stmt_bind_i64(stmt, 1, spans->items[i].netns);
        stmt_bind_i64(stmt, 2, ranges->since_ms);
        stmt_bind_i64(stmt, 3, ranges->counter);
        stmt_bind_i64(stmt, 4, ranges->since_ms - ranges->since_ms % COUNTED_HOUR_MS);
        stmt_bind_i64(stmt, 5, ranges->since_ms - ranges->since_ms % COUNTED_DAY_MS);
        r = stmt_step(stmt, err);
        if (r > 0)
            ranges->levels[i] = stmt_i64(stmt, 0);
    }
    return r < 0 ? r : 0;
}

static int choose_steps(const struct counted_spans *spans, const struct walltime *walltime,
                        int64_t since_ms, int64_t until_ms, int64_t step_ms, struct ranges *ranges,
                        struct counter_steps *ret, struct err *err)
{
    int64_t since_record, until_record, unused_ms, period_ms, n;

    ranges->walltime = walltime;
    walltime_to_record(walltime, since_ms, &since_record, &unused_ms);
    walltime_to_record(walltime, until_ms, &unused_ms, &until_record);
    period_ms = period_at(spans, since_record, since_record);
    if (step_ms > INT64_MAX - period_ms)
        return err_set(err, -EINVAL, "--step: that is too long");
    step_ms = ceil_to(step_ms, period_ms);
    cut(spans, since_record, until_record, step_ms, ranges);
    ret->since_ms = walltime_of_record(walltime, ranges->since_ms);
    ret->until_ms =
        ranges->end_ms == until_record ? until_ms : walltime_of_record(walltime, ranges->end_ms);
    n = ret->until_ms > ret->since_ms ? (ret->until_ms - ret->since_ms - 1) / step_ms + 1 : 0;
    if (n > STEPS_MAX)
        return err_set(err, -EINVAL, "--step: that makes more than %d steps", STEPS_MAX);
    if (vec_reserve(ret, (size_t)n) < 0)
        return err_errno(err, -ENOMEM, "reading the counter");
    if (n > 0)
        memset(ret->items, 0, (size_t)n * sizeof(ret->items[0]));
    ret->n = (size_t)n;
    ret->step_ms = step_ms;
    ret->shortest_ms = period_ms > 1 ? period_ms : 0;
    return 0;
}

int counter_steps(struct db *db, const struct walltime *walltime, const struct filter *filter,
                  const char *name, int64_t since_ms, int64_t until_ms, int64_t step_ms,
                  struct counter_steps *ret, struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    struct ranges ranges = {0};
    int r = counted_spans_load(&spans, db, filter, err);

    if (!step_ms)
        step_ms = buckets_choose_step(until_ms - since_ms, COUNTING_PERIOD_MS);
    if (r == 0)
        r = find_counter(db, name, &ranges, err);
    if (r == 0)
        r = choose_steps(&spans, walltime, since_ms, until_ms, step_ms, &ranges, ret, err);
    if (r == 0 && ranges.gauge)
        r = load_levels(db, &spans, &ranges, err);
    if (r == 0)
        r = fill(db, &spans, &ranges, ret, err);
    if (r == 0 && !ranges.gauge)
        r = mend(db, &spans, &ranges, ret, err);
    free(ranges.levels);
    return r;
}
