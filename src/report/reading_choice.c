/* SPDX-License-Identifier: MIT */
/* Which reading of counters, interfaces or routes an instant is answered by. */
#include <stddef.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/life.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"
#include "counted.h"
#include "recordings.h"
#include "tiers.h"

static unsigned lacks_of(unsigned which)
{
    return (which & TABLE_COUNTERS ? (unsigned)COUNTED_COUNTERS : 0U) |
           (which & TABLE_INTERFACES ? (unsigned)COUNTED_INTERFACES : 0U) |
           (which & TABLE_ROUTES ? (unsigned)COUNTED_ROUTES : 0U);
}

/* The last reading of a namespace, or where readings are gone that of the hour or the day before: its
 * end says as much about counters. 1: there is one. */
static int choose_in(struct db *db, struct stmt *stmt, const struct counted_spans *spans,
                     const struct counted_span *span, int64_t at_ms, struct reading_choice *ret,
                     struct err *err)
{
    struct counted_period period;
    int r;

    *ret = (struct reading_choice){.found = true, .netns = span->netns};
    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, span->from_ms);
    stmt_bind_i64(stmt, 2, at_ms);
    stmt_bind_i64(stmt, 3, span->netns);
    r = stmt_step(stmt, err);
    if (r > 0)
        ret->values_ms = ret->record_ms = ret->minute_ms = stmt_i64(stmt, 0);
    if (r != 0)
        return r;
    r = counted_period_before(db, spans, span->netns, at_ms, &period, err);
    if (r <= 0 || period.last_ms < span->from_ms)
        return r < 0 ? r : 0;
    ret->by_period_ms = period.end_ms - period.from_ms;
    ret->record_ms = ret->minute_ms = period.last_ms;
    ret->values_ms = period.end_ms - 1;
    return 1;
}

/* The last time in (?2, ?3] at which a namespace's rows changed, without readings that lacked some of
 * them; 0: there is none. Each part finds its rows by the index. */
#define READ_WHOLE(what)                                                     \
    "NOT EXISTS (SELECT 1 FROM reading_lacks AS l WHERE l.at_ms = " what " " \
    "AND l.netns = ?1 AND l.lacks & 6)"
#define LAST_END(table)                                                   \
    "coalesce((SELECT c.until_ms FROM " table " AS c WHERE c.netns = ?1 " \
    "AND c.until_ms > ?2 AND c.until_ms <= ?3 AND " READ_WHOLE(           \
        "c.until_ms") " "                                                 \
                      "ORDER BY c.until_ms DESC LIMIT 1), 0)"
#define LAST_BEGIN(table, until)                                                        \
    "coalesce((SELECT max(c.from_ms) FROM " table " AS c WHERE c.netns = ?1 AND " until \
    " AND c.from_ms > ?2 AND c.from_ms <= ?3 AND " READ_WHOLE("c.from_ms") "), 0)"
#define LAST_OF(table) \
    LAST_END(table)    \
    ", " LAST_BEGIN(table, "c.until_ms IS NULL") ", " LAST_BEGIN(table, "c.until_ms > ?2")

/* Routes, and interfaces, whose names they are shown by, are also read when they change. 1: there is a
 * reading or a change. */
static int choose_change(struct db *db, const struct counted_span *span, int64_t at_ms,
                         bool has_reading, struct reading_choice *ret, struct err *err)
{
    static const char sql[] = "SELECT max(" LAST_OF("routes") ", " LAST_OF("interfaces") ")";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, span->netns);
    stmt_bind_i64(stmt, 2, has_reading ? ret->record_ms : span->from_ms - 1);
    stmt_bind_i64(stmt, 3, at_ms);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    if (stmt_i64(stmt, 0) == 0)
        return has_reading;
    ret->record_ms = stmt_i64(stmt, 0);
    if (!has_reading)
        ret->minute_ms = ret->record_ms;
    return 1;
}

/* Which answer goes before others. */
enum rank {
    RANK_NONE,
    RANK_ENDED,  /* of a namespace that was not recorded any more */
    RANK_BEFORE, /* of one that was recorded again by then, from before that */
    RANK_THEN,   /* of one that was recorded */
};

static bool is_live(const struct counted_span *span, int64_t at_ms)
{
    return span->from_ms <= at_ms && at_ms <= span->until_ms - span->gone;
}

static enum rank rank_of(const struct counted_spans *spans, size_t at, int64_t at_ms)
{
    bool any = false;

    if (is_live(&spans->items[at], at_ms))
        return RANK_THEN;
    for (size_t i = 0; i < spans->n; i++) {
        if (!is_live(&spans->items[i], at_ms))
            continue;
        if (spans->items[i].netns == spans->items[at].netns)
            return RANK_BEFORE;
        any = true;
    }
    /* another one had its name by then */
    return any ? RANK_NONE : RANK_ENDED;
}

static void note_ended(const struct walltime *walltime, const struct counted_span *span,
                       enum rank rank, struct reading_choice *choice)
{
    choice->in_gap = rank != RANK_THEN;
    choice->ended_ms = TIME_UNKNOWN;
    if (rank != RANK_ENDED || !*span->name)
        return;
    choice->ended_ms = walltime_of_record(walltime, span->until_ms);
    choice->gone = span->gone;
}

static void note_unread(const struct walltime *walltime, const struct counted_spans *spans,
                        int64_t at_ms, struct reading_choice *choice)
{
    for (size_t i = 0; i < spans->n; i++)
        if (is_live(&spans->items[i], at_ms)) {
            choice->unread_ms = walltime_of_record(walltime, spans->items[i].from_ms);
            choice->netns = spans->items[i].netns;
        }
}

static int choose(struct db *db, const struct walltime *walltime, const struct counted_spans *spans,
                  int64_t at_ms, unsigned which, struct reading_choice *ret, struct err *err)
{
    static const char sql[] =
        "SELECT r.at_ms FROM readings AS r WHERE r.at_ms >= ?1 AND r.at_ms <= ?2 AND NOT EXISTS "
        "(SELECT 1 FROM reading_lacks AS l WHERE l.at_ms = r.at_ms AND l.netns = ?3 "
        "AND l.lacks & ?4) ORDER BY r.at_ms DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    enum rank best = RANK_NONE;
    int r = spans->n ? db_prepare(db, sql, &stmt, err) : 0;

    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        const struct counted_span *span = &spans->items[i];
        enum rank rank = span->from_ms <= at_ms ? rank_of(spans, i, at_ms) : RANK_NONE;
        struct reading_choice one;
        int64_t last_ms;

        if (rank == RANK_NONE || rank < best)
            continue;
        stmt_bind_i64(stmt, 4, (int64_t)lacks_of(which));
        /* the snapshot that finds it gone reads it no more */
        last_ms = span->until_ms - span->gone < at_ms ? span->until_ms - span->gone : at_ms;
        r = choose_in(db, stmt, spans, span, last_ms, &one, err);
        if (r >= 0 && lacks_of(which) == COUNTED_ROUTES)
            r = choose_change(db, span, last_ms, r > 0, &one, err);
        if (r <= 0 || (rank == best && one.record_ms < ret->record_ms))
            continue;
        one.unread_ms = TIME_UNKNOWN;
        note_ended(walltime, span, rank, &one);
        *ret = one;
        best = rank;
    }
    if (r >= 0 && !ret->found)
        note_unread(walltime, spans, at_ms, ret);
    return r < 0 ? r : 0;
}

/* How far apart readings are at most, of the run that was on at an instant, and when it ended; INT64_MAX:
 * nobody knows of an end. */
static int find_run(struct db *db, int64_t record_ms, int64_t *ret_late_ms, int64_t *ret_ended_ms,
                    struct err *err)
{
    static const char sql[] = "SELECT interval_ms, ended_ms FROM recordings WHERE started_ms <= ?1 "
                              "ORDER BY id DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t interval_ms = 0;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, record_ms);
    r = stmt_step(stmt, err);
    *ret_ended_ms = INT64_MAX;
    if (r > 0) {
        interval_ms = stmt_i64(stmt, 0);
        if (!stmt_is_null(stmt, 1))
            *ret_ended_ms = stmt_i64(stmt, 1);
    }
    *ret_late_ms = counting_late_ms(interval_ms);
    return r < 0 ? r : 0;
}

/* A recorder that was killed left no note of its end: whether an instant lies behind its last snapshot.
 * 1: it does. */
static int is_behind(struct db *db, int64_t record_ms, struct err *err)
{
    static const char sql[] =
        "SELECT s.start_ms, r.interval_ms FROM snapshots AS s JOIN recordings AS r ON r.id = "
        "s.recording WHERE s.start_ms < coalesce((SELECT min(g.started_ms) FROM recordings AS g "
        "WHERE g.started_ms > ?1), 9223372036854775807) ORDER BY s.start_ms DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct kept kept = {0};
    struct run run = {0};
    int r = kept_load(&kept, db, err);

    if (r == 0)
        r = db_prepare(db, sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, record_ms);
    r = stmt_step(stmt, err);
    if (r <= 0 || stmt_i64(stmt, 0) < kept.from_ms[TIER_DETAIL + 1])
        return r < 0 ? r : 0;
    run.interval_ms = stmt_i64(stmt, 1);
    return runs_is_gap(&run, NULL, record_ms - stmt_i64(stmt, 0));
}

int reading_choose(struct db *db, const struct walltime *walltime,
                   const struct counted_spans *spans, unsigned which, int64_t at_ms,
                   struct reading_choice *choice, struct err *err)
{
    int64_t first_ms, last_ms, read_ms, late_ms = 0, unused_ms = 0, ended_ms = INT64_MAX;
    int r, behind = 0;

    walltime_to_record(walltime, at_ms, &first_ms, &last_ms);
    r = choose(db, walltime, spans, last_ms, which, choice, err);
    if (r < 0 || !choice->found)
        return r;
    r = find_run(db, choice->record_ms, &late_ms, &unused_ms, err);
    if (r == 0)
        r = find_run(db, last_ms, &unused_ms, &ended_ms, err);
    if (r == 0)
        r = behind = is_behind(db, last_ms, err);
    if (r < 0)
        return r;
    choice->reading_ms = walltime_of_record(walltime, choice->record_ms);
    choice->distance_ms = at_ms - choice->reading_ms;
    late_ms += choice->by_period_ms;
    /* a change is no reading that was due, unless none came any more */
    read_ms =
        choice->record_ms - choice->minute_ms > late_ms ? choice->record_ms : choice->minute_ms;
    choice->in_gap |=
        last_ms < first_ms || last_ms > ended_ms || last_ms - read_ms > late_ms || behind;
    if (choice->record_ms > choice->minute_ms)
        choice->by_period_ms = 0;
    return 0;
}
