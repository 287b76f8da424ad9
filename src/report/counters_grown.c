/* SPDX-License-Identifier: MIT */
/* What counters grew by between two readings. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/life.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"
#include "counted.h"

/* By counter_names.id. */
struct sums {
    struct grown *items; /* owned */
    size_t n;
};

static void finish_sums(struct sums *sums)
{
    free(sums->items);
}

void growth_finish(struct growth *growth)
{
    vec_finish(growth);
}

/* Both kinds of rows: counter, grew, last, bits of turns, what grew over gaps. */
static const char readings_sql[] =
    "SELECT counter, grew, value, 1 << turn, iif(over_gap, grew, 0) FROM counters WHERE netns = ?1 "
    "AND at_ms >= ?2 AND at_ms < ?3 AND ?4 = 1 ORDER BY at_ms";
static const char rollups_sql[] = "SELECT counter, grew, last, turns, gap_grew FROM "
                                  "counter_rollups WHERE tier = ?4 AND netns = ?1 AND "
                                  "at_ms >= ?2 AND at_ms < ?3 ORDER BY at_ms";

static int add_piece(struct db *db, int64_t netns, const struct counted_piece *piece,
                     struct sums *sums, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, piece->tier == 1 ? readings_sql : rollups_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, netns);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    stmt_bind_i64(stmt, 4, piece->tier);
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t id = stmt_i64(stmt, 0), grew = stmt_i64(stmt, 1);
        struct grown *sum;

        if (id <= 0 || (size_t)id >= sums->n)
            continue;
        sum = &sums->items[id];
        if (grew > 0 && __builtin_add_overflow(sum->grew, grew, &sum->grew))
            sum->grew = INT64_MAX;
        if (__builtin_add_overflow(sum->gap_grew, stmt_i64(stmt, 4), &sum->gap_grew))
            sum->gap_grew = INT64_MAX;
        sum->last = stmt_i64(stmt, 2);
        sum->has_last = true;
        sum->turns |= (unsigned)stmt_i64(stmt, 3);
    }
    return r;
}

/* Where readings are gone, hours or days begin or end the span. All 1: there is one. */
typedef int (*period_fn)(struct db *db, const struct counted_spans *spans, int64_t netns,
                         int64_t at_ms, struct counted_period *ret, struct err *err);

/* Of all namespaces the latest one, or the earliest one. */
static int find_period(struct db *db, const struct counted_spans *spans, period_fn fn, bool latest,
                       int64_t at_ms, struct counted_period *ret, struct err *err)
{
    int found = 0;

    for (size_t i = 0; i < spans->n; i++) {
        struct counted_period one;
        int r = fn(db, spans, spans->items[i].netns, at_ms, &one, err);

        if (r < 0)
            return r;
        if (r > 0 &&
            (!found || (latest ? one.last_ms > ret->last_ms : one.first_ms < ret->first_ms)))
            *ret = one;
        found |= r;
    }
    return found;
}

static int period_before(struct db *db, const struct counted_spans *spans, int64_t at_ms,
                         struct counted_period *ret, struct err *err)
{
    return find_period(db, spans, counted_period_before, true, at_ms, ret, err);
}

static int period_first(struct db *db, const struct counted_spans *spans, int64_t at_ms,
                        struct counted_period *ret, struct err *err)
{
    return find_period(db, spans, counted_period_first, false, at_ms, ret, err);
}

/* Two readings, and (from_ms, until_ms] of the rows that tell what grew between them. Record time. */
struct between {
    int64_t from_ms, until_ms;
};

/* Of the hour that a reading is in, all are there. */
static bool has_hour(const struct counted_spans *spans, int64_t at_ms)
{
    return at_ms - at_ms % COUNTED_HOUR_MS >= spans->minutes_from_ms;
}

/* The last reading not after since_ms; of a record that begins later the first one, or when the
 * namespace came into being. */
static int choose_begin(struct db *db, const struct counted_spans *spans, int64_t since_ms,
                        struct growth *ret, struct between *between, struct err *err)
{
    struct counted_period period;
    int64_t birth_ms = 0;
    int r = counted_reading_before(db, spans, 0, since_ms, &ret->record_from_ms, err);

    between->from_ms = ret->record_from_ms;
    if (r != 0)
        return r;
    r = period_before(db, spans, since_ms, &period, err);
    if (r > 0) {
        ret->record_from_ms = period.last_ms;
        between->from_ms = period.end_ms - 1;
    }
    if (r != 0)
        return r;
    r = period_first(db, spans, since_ms, &period, err);
    if (r > 0 && period.from_ms < spans->minutes_from_ms) {
        ret->record_from_ms = period.first_ms;
        between->from_ms = period.from_ms - 1;
        return 1;
    }
    if (r >= 0)
        r = counted_reading_after(db, spans, 0, since_ms, &ret->record_from_ms, err);
    if (r > 0) {
        r = counted_birth(db, spans, ret->record_from_ms, &birth_ms, err);
        ret->born = r > 0;
        if (r > 0)
            ret->record_from_ms = birth_ms;
        r = r < 0 ? r : 1;
    }
    between->from_ms = ret->record_from_ms;
    return r;
}

/* The last one where none follows the end. */
static int choose_last(struct db *db, const struct counted_spans *spans, int64_t until_ms,
                       struct growth *ret, struct between *between, struct err *err)
{
    struct counted_period period;
    int r = counted_reading_before(db, spans, 0, until_ms, &ret->record_until_ms, err);

    between->until_ms = ret->record_until_ms;
    if (r < 0 || (r > 0 && has_hour(spans, ret->record_until_ms)))
        return r;
    r = period_before(db, spans, until_ms, &period, err);
    if (r > 0) {
        ret->record_until_ms = period.last_ms;
        between->until_ms = period.end_ms - 1;
    }
    return r;
}

/* The first reading not before until_ms; of periods the last reading in that which until_ms ends or
 * lies in. */
static int choose_end(struct db *db, const struct counted_spans *spans, int64_t until_ms,
                      struct growth *ret, struct between *between, struct err *err)
{
    struct counted_period period;
    int found = counted_reading_after(db, spans, 0, until_ms, &ret->record_until_ms, err), r;

    between->until_ms = ret->record_until_ms;
    if (found < 0 || (found > 0 && has_hour(spans, until_ms)))
        return found;
    r = find_period(db, spans, counted_period_at, false, until_ms - 1, &period, err);
    if (r < 0)
        return r;
    if (r > 0 && period.from_ms < spans->minutes_from_ms) {
        ret->record_until_ms = period.last_ms;
        between->until_ms = period.end_ms - 1;
        return r;
    }
    return found ? found : choose_last(db, spans, until_ms, ret, between, err);
}

/* The readings of a span. 1: there are two. */
static int choose(struct db *db, const struct counted_spans *spans, int64_t since_ms,
                  int64_t until_ms, struct growth *ret, struct between *between, struct err *err)
{
    int r = choose_begin(db, spans, since_ms, ret, between, err);

    if (r <= 0 || ret->record_from_ms > until_ms)
        return r < 0 ? r : 0;
    r = choose_end(db, spans, until_ms, ret, between, err);
    return r < 0 ? r : r > 0 && ret->record_until_ms > ret->record_from_ms;
}

static int collect(struct db *db, const struct sums *sums, struct growth *ret, struct err *err)
{
    static const char sql[] = "SELECT id, name, kind, protocol, place FROM counter_names "
                              "ORDER BY name";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        struct grown_counter one = {.kind = (uint8_t)stmt_i64(stmt, 2),
                                    .protocol = (uint8_t)stmt_i64(stmt, 3),
                                    .place = (uint16_t)stmt_i64(stmt, 4)};
        int64_t id = stmt_i64(stmt, 0);

        if (id <= 0 || (size_t)id >= sums->n)
            continue;
        one.grown = sums->items[id];
        snprintf(one.name, sizeof(one.name), "%s", stmt_text(stmt, 1));
        if (vec_push(ret, one) < 0)
            return err_errno(err, -ENOMEM, "reading the counters");
    }
    return r;
}

/* One more than the highest number of a name. */
static int count_names(struct db *db, size_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, "SELECT coalesce(max(id), 0) FROM counter_names", &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    *ret = 1 + (r > 0 ? (size_t)(stmt_i64(stmt, 0) & 0xfffff) : 0);
    return r < 0 ? r : 0;
}

static int add_up(struct db *db, const struct counted_spans *spans, const struct between *between,
                  struct growth *ret, struct err *err)
{
    _cleanup_(finish_sums) struct sums sums = {0};
    struct counted_piece pieces[5];
    unsigned n = counted_cut(between->from_ms, between->until_ms, pieces);
    int r = count_names(db, &sums.n, err);

    if (r < 0)
        return r;
    sums.items = calloc(sums.n, sizeof(*sums.items));
    if (!sums.items)
        return err_errno(err, -ENOMEM, "reading the counters");
    r = 0;
    for (size_t i = 0; i < spans->n && r >= 0; i++)
        for (unsigned j = 0; !counted_is_again(spans, i) && j < n && r >= 0; j++)
            r = add_piece(db, spans->items[i].netns, &pieces[j], &sums, err);
    if (r >= 0)
        r = collect(db, &sums, ret, err);
    return r < 0 ? r : grown_choose_interfaces(db, spans, between->from_ms, ret, err);
}

/* When counters were read first and last. */
static int find_extent(struct db *db, const struct walltime *walltime,
                       const struct counted_spans *spans, struct growth *ret, struct err *err)
{
    struct counted_period period;
    int64_t first_ms = 0, last_ms = 0;
    int r = period_first(db, spans, 0, &period, err);

    if (r > 0)
        first_ms = period.first_ms;
    else if (r == 0)
        r = counted_reading_after(db, spans, 0, 0, &first_ms, err);
    if (r <= 0)
        return r;
    ret->first_ms = walltime_of_record(walltime, first_ms);
    r = counted_reading_before(db, spans, 0, INT64_MAX, &last_ms, err);
    if (r == 0) {
        r = period_before(db, spans, INT64_MAX, &period, err);
        last_ms = period.last_ms;
    }
    if (r > 0)
        ret->last_ms = walltime_of_record(walltime, last_ms);
    return r < 0 ? r : 0;
}

static void begin(const struct walltime *walltime, const struct counted_spans *spans,
                  struct growth *ret)
{
    int64_t last_ms = INT64_MIN;

    *ret = (struct growth){.from_ms = TIME_UNKNOWN,
                           .until_ms = TIME_UNKNOWN,
                           .ended_ms = TIME_UNKNOWN,
                           .first_ms = TIME_UNKNOWN,
                           .last_ms = TIME_UNKNOWN};
    if (spans->n)
        snprintf(ret->netns, sizeof(ret->netns), "%s", spans->items[spans->n - 1].name);
    /* what was recorded last, and is no more */
    for (size_t i = 0; i < spans->n; i++) {
        const struct counted_span *span = &spans->items[i];

        if (span->until_ms == INT64_MAX || !*span->name) {
            ret->ended_ms = TIME_UNKNOWN;
            return;
        }
        if (span->until_ms > last_ms) {
            last_ms = span->until_ms;
            ret->ended_ms = walltime_of_record(walltime, last_ms);
            ret->gone = span->gone;
        }
    }
}

int counters_extent(struct db *db, const struct walltime *walltime, const struct filter *filter,
                    struct growth *ret, struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    int r = counted_spans_load(&spans, db, filter, err);

    begin(walltime, &spans, ret);
    return r < 0 || spans.n == 0 ? r : find_extent(db, walltime, &spans, ret, err);
}

int counters_grown(struct db *db, const struct walltime *walltime, const struct filter *filter,
                   int64_t since_ms, int64_t until_ms, struct growth *ret, struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    int64_t first_ms, since_record, until_record;
    struct between between = {0};
    int r = counted_spans_load(&spans, db, filter, err);

    begin(walltime, &spans, ret);
    if (r < 0 || spans.n == 0)
        return r;
    walltime_to_record(walltime, since_ms, &since_record, &first_ms);
    walltime_to_record(walltime, until_ms, &first_ms, &until_record);
    r = choose(db, &spans, since_record, until_record, ret, &between, err);
    if (r <= 0)
        return r < 0 ? r : find_extent(db, walltime, &spans, ret, err);
    ret->from_ms = walltime_of_record(walltime, ret->record_from_ms);
    ret->until_ms = walltime_of_record(walltime, ret->record_until_ms);
    return add_up(db, &spans, &between, ret, err);
}

const struct grown_counter *growth_find(const struct growth *growth, const char *name)
{
    for (size_t i = 0; i < growth->n; i++)
        if (counter_compare_names(growth->items[i].name, name) == 0)
            return &growth->items[i];
    return NULL;
}
