/* SPDX-License-Identifier: MIT */
/* When the counters of a namespace were read. */
#include "counted.h"

#include "connhist/base/cleanup.h"
#include "connhist/model/counting.h"
#include "connhist/store/db.h"

/* Whether a reading told of the namespace's counters. One that is gone was not read any more by the
 * snapshot that found it so. */
#define WAS_READ                                                                                   \
    "NOT EXISTS (SELECT 1 FROM reading_lacks AS l WHERE l.at_ms = r.at_ms AND l.netns = ?1 AND "   \
    "l.lacks & 1) AND EXISTS (SELECT 1 FROM netns_spans AS s WHERE s.netns = ?1 AND s.from_ms <= " \
    "r.at_ms AND (s.until_ms IS NULL OR s.until_ms > r.at_ms OR (s.until_ms = r.at_ms AND "        \
    "(s.ended <> 1 OR EXISTS (SELECT 1 FROM counter_cover AS c WHERE c.tier = 2 AND c.netns = ?1 " \
    "AND c.at_ms = r.at_ms / 3600000 * 3600000 AND c.last_ms >= r.at_ms)))))"

/* With the interval of the run that took each. */
static const char readings_sql[] =
    "SELECT r.at_ms, coalesce((SELECT g.interval_ms FROM recordings AS g WHERE g.started_ms <= "
    "r.at_ms ORDER BY g.id DESC LIMIT 1), 0) FROM readings AS r WHERE r.at_ms >= ?2 AND r.at_ms < "
    "?3 AND " WAS_READ " ORDER BY r.at_ms";
static const char before_sql[] = "SELECT r.at_ms FROM readings AS r WHERE r.at_ms >= ?2 AND "
                                 "r.at_ms <= ?3 AND " WAS_READ " ORDER BY r.at_ms DESC LIMIT 1";
static const char after_sql[] = "SELECT r.at_ms FROM readings AS r WHERE r.at_ms >= ?2 AND "
                                "r.at_ms <= ?3 AND " WAS_READ " ORDER BY r.at_ms LIMIT 1";

static int find_reading(struct db *db, const struct counted_spans *spans, int64_t netns,
                        int64_t at_ms, bool after, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    bool found = false;
    int r = db_prepare(db, after ? after_sql : before_sql, &stmt, err);

    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        const struct counted_span *span = &spans->items[i];

        if (netns && span->netns != netns)
            continue;
        stmt_reset(stmt);
        stmt_bind_i64(stmt, 1, span->netns);
        stmt_bind_i64(stmt, 2, after && at_ms > span->from_ms ? at_ms : span->from_ms);
        stmt_bind_i64(stmt, 3, !after && at_ms < span->until_ms ? at_ms : span->until_ms);
        r = stmt_step(stmt, err);
        if (r <= 0 || (found && (stmt_i64(stmt, 0) < *ret) != after))
            continue;
        *ret = stmt_i64(stmt, 0);
        found = true;
    }
    return r < 0 ? r : found;
}

int counted_reading_before(struct db *db, const struct counted_spans *spans, int64_t netns,
                           int64_t at_ms, int64_t *ret, struct err *err)
{
    return find_reading(db, spans, netns, at_ms, false, ret, err);
}

int counted_reading_after(struct db *db, const struct counted_spans *spans, int64_t netns,
                          int64_t at_ms, int64_t *ret, struct err *err)
{
    return find_reading(db, spans, netns, at_ms, true, ret, err);
}

/* Also where it is gone, and its hour or day left. -1: there is none. */
static int last_before(struct db *db, const struct counted_spans *spans, int64_t netns,
                       int64_t at_ms, int64_t *ret, struct err *err)
{
    struct counted_period period;
    int r = counted_reading_before(db, spans, netns, at_ms - 1, ret, err);

    if (r != 0)
        return r < 0 ? r : 0;
    r = counted_period_before(db, spans, netns, at_ms, &period, err);
    *ret = r > 0 ? period.last_ms : -1;
    return r < 0 ? r : 0;
}

static int each_reading(struct db *db, const struct counted_spans *spans, int64_t netns,
                        const struct counted_piece *piece, counted_cover_fn fn, void *arg,
                        struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t before_ms;
    int r = last_before(db, spans, netns, piece->from_ms, &before_ms, err);

    if (r == 0)
        r = db_prepare(db, readings_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, netns);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t at_ms = stmt_i64(stmt, 0), since_ms = at_ms - before_ms;
        bool follows = before_ms >= 0 && since_ms <= counting_late_ms(stmt_i64(stmt, 1));

        fn(arg, at_ms, 1, follows ? since_ms : 0);
        before_ms = at_ms;
    }
    return r;
}

int counted_cover_each(struct db *db, const struct counted_spans *spans, int64_t netns,
                       const struct counted_piece *piece, counted_cover_fn fn, void *arg,
                       struct err *err)
{
    static const char sql[] = "SELECT at_ms, readings, covered_ms FROM counter_cover WHERE "
                              "tier = ?4 AND netns = ?1 AND at_ms >= ?2 AND at_ms < ?3";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (piece->tier == 1)
        return each_reading(db, spans, netns, piece, fn, arg, err);
    r = db_prepare(db, sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, netns);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    stmt_bind_i64(stmt, 4, piece->tier);
    while ((r = stmt_step(stmt, err)) > 0)
        fn(arg, stmt_i64(stmt, 0), (uint32_t)stmt_i64(stmt, 1), stmt_i64(stmt, 2));
    return r;
}

static int find_period(struct db *db, int64_t netns, int tier, const char *sql, int64_t at_ms,
                       struct counted_period *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, tier);
    stmt_bind_i64(stmt, 2, netns);
    stmt_bind_i64(stmt, 3, at_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret = (struct counted_period){.from_ms = stmt_i64(stmt, 0),
                                       .end_ms = stmt_i64(stmt, 0) +
                                                 (tier == 2 ? COUNTED_HOUR_MS : COUNTED_DAY_MS),
                                       .first_ms = stmt_i64(stmt, 1),
                                       .last_ms = stmt_i64(stmt, 2)};
    return r;
}

int counted_period_before(struct db *db, const struct counted_spans *spans, int64_t netns,
                          int64_t at_ms, struct counted_period *ret, struct err *err)
{
    static const char sql[] = "SELECT at_ms, first_ms, last_ms FROM counter_cover WHERE tier = ?1 "
                              "AND netns = ?2 AND at_ms < ?3 ORDER BY at_ms DESC LIMIT 1";
    int r = find_period(db, netns, 2, sql, at_ms - at_ms % COUNTED_HOUR_MS, ret, err);

    if (r < 0 || (r > 0 && ret->from_ms >= spans->hours_from_ms))
        return r;
    return find_period(db, netns, 3, sql, at_ms - at_ms % COUNTED_DAY_MS, ret, err);
}

int counted_period_first(struct db *db, const struct counted_spans *spans, int64_t netns,
                         int64_t at_ms, struct counted_period *ret, struct err *err)
{
    static const char sql[] = "SELECT at_ms, first_ms, last_ms FROM counter_cover WHERE tier = ?1 "
                              "AND netns = ?2 AND last_ms >= ?3 AND at_ms >= ?3 - 86400000 "
                              "ORDER BY at_ms LIMIT 1";

    return find_period(db, netns, at_ms - at_ms % COUNTED_DAY_MS < spans->hours_from_ms ? 3 : 2,
                       sql, at_ms, ret, err);
}

int counted_period_at(struct db *db, const struct counted_spans *spans, int64_t netns,
                      int64_t at_ms, struct counted_period *ret, struct err *err)
{
    static const char sql[] = "SELECT at_ms, first_ms, last_ms FROM counter_cover WHERE tier = ?1 "
                              "AND netns = ?2 AND at_ms > ?3 ORDER BY at_ms LIMIT 1";
    bool days = at_ms - at_ms % COUNTED_DAY_MS < spans->hours_from_ms;

    return find_period(db, netns, days ? 3 : 2, sql,
                       at_ms - (days ? COUNTED_DAY_MS : COUNTED_HOUR_MS), ret, err);
}
