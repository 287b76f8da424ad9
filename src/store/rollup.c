/* SPDX-License-Identifier: MIT */
#include "rollup.h"

#include <errno.h>

#include "sql.h"
#include "writer.h"

/* Minutes are added up ten at a time: a series of counts takes a page of the file, which is written
 * once for all ten. After a standstill more are taken at once. */
#define GROUP_MINUTES 10

/* A range ends behind so many snapshots, if it has more than one minute. */
#define MOMENTS_MAX 2000

/* The most periods of a range, by tier. */
static const int64_t periods_max[TIER_COUNT] = {
    [TIER_MINUTES + 1] = 60,
    [TIER_HOURS + 1] = 24,
    [TIER_DAYS + 1] = 7,
};

void rollup_forget(struct rollup *rollup)
{
    vec_finish(&rollup->moments);
    vec_finish(&rollup->lacks);
    *rollup = (struct rollup){0};
}

static int read_until(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT tier, until_ms FROM tiers WHERE tier BETWEEN 1 AND 3";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = store->rollup.is_known ? 0 : sql_prepare(store->db, sql, &stmt, err);

    if (r < 0 || store->rollup.is_known)
        return r;
    while ((r = sql_step(stmt, err)) > 0)
        store->rollup.until_ms[sqlite3_column_int(stmt, 0) + 1] = sqlite3_column_int64(stmt, 1);
    store->rollup.is_known = r == 0;
    return r;
}

/* One number. 1: it is there; 0: there is no row. */
static int ask(struct store *store, enum writer_stmt which, const char *sql, int64_t first,
               int64_t second, int64_t *ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, which, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, first, second);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return 1;
}

static int64_t floor_to(int64_t at_ms, int64_t length_ms)
{
    return at_ms - at_ms % length_ms;
}

static const char next_snapshot_sql[] = "SELECT start_ms FROM snapshots WHERE start_ms >= ?1 "
                                        "AND ?2 ORDER BY start_ms LIMIT 1";
static const char next_cover_sql[] = "SELECT at_ms FROM cover_rollups WHERE at_ms >= ?1 "
                                     "AND tier = ?2 ORDER BY at_ms LIMIT 1";

/* When there was something to count first, from an instant on. 1: there is such. */
static int find_next(struct store *store, enum tier tier, int64_t from_ms, int64_t *ret_ms,
                     struct err *err)
{
    bool ticks = tier == TIER_MINUTES;

    return ask(store, ticks ? STMT_NEXT_SNAPSHOT : STMT_NEXT_COVER,
               ticks ? next_snapshot_sql : next_cover_sql, from_ms, ticks ? 1 : tier - 1, ret_ms,
               err);
}

/* How far a tier can be added up now: a minute is whole when there is a snapshot behind it, since they
 * are written in their order; an hour when its minutes are there. */
static int find_whole(struct store *store, enum tier tier, int64_t *ret_ms, struct err *err)
{
    static const char sql[] = "SELECT start_ms FROM snapshots ORDER BY start_ms DESC LIMIT 1";
    int64_t length_ms = tier_length_ms(tier), last_ms = 0;
    int r = 0;

    *ret_ms = floor_to(store->rollup.until_ms[tier], length_ms);
    if (tier != TIER_MINUTES)
        return 0;
    r = sql_query_i64(store->db, sql, &last_ms, err);
    *ret_ms = floor_to(last_ms, GROUP_MINUTES * length_ms);
    return r;
}

/* Finds the next range of a tier: up to the end of its last period with something to count, and over
 * what lies empty behind that. 1: there is one. */
static int find_range(struct store *store, enum tier tier, struct err *err)
{
    struct rollup *rollup = &store->rollup;
    int64_t length_ms = tier_length_ms(tier), first_ms = INT64_MAX, next_ms = INT64_MAX, whole_ms;
    int r = find_whole(store, tier, &whole_ms, err);

    rollup->from_ms = rollup->until_ms[tier + 1];
    if (r < 0 || whole_ms <= rollup->from_ms)
        return r < 0 ? r : 0;
    r = find_next(store, tier, rollup->from_ms, &first_ms, err);
    if (r <= 0 || first_ms >= whole_ms)
        return r < 0 ? r : 0;
    r = find_next(store, tier, floor_to(first_ms, length_ms) + periods_max[tier + 1] * length_ms,
                  &next_ms, err);
    rollup->end_ms = r > 0 && next_ms < whole_ms ? floor_to(next_ms, length_ms) : whole_ms;
    return r < 0 ? r : 1;
}

/* The last column: complete in some namespaces alone. */
static const char ticks_sql[] =
    "SELECT start_ms, anchor, status, apart FROM (SELECT s.start_ms, s.anchor, s.status, "
    "s.status <> 0 AND EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms) AS "
    "apart FROM snapshots AS s WHERE s.start_ms >= ?1 AND s.start_ms < ?2) "
    "WHERE status = 0 OR anchor = 1 OR apart ORDER BY start_ms";
static const char cover_sql[] =
    "SELECT at_ms, 0, done = 0, apart FROM (SELECT c.at_ms, c.done, EXISTS (SELECT 1 FROM "
    "netns_covers AS n WHERE n.tier = c.tier AND n.at_ms = c.at_ms) AS apart "
    "FROM cover_rollups AS c WHERE c.tier = ?3 AND c.at_ms >= ?1 AND c.at_ms < ?2) "
    "WHERE done > 0 OR apart ORDER BY at_ms";
static const char ticks_lacks_sql[] =
    "SELECT start_ms, netns FROM incomplete WHERE start_ms >= ?1 AND start_ms < ?2 "
    "ORDER BY start_ms, netns";
static const char cover_lacks_sql[] =
    "SELECT at_ms, netns FROM netns_covers WHERE tier = ?3 AND done = 0 "
    "AND at_ms >= ?1 AND at_ms < ?2 ORDER BY at_ms, netns";

/* Reads where namespaces lack, in a range of which moments are apart. */
static int read_lacks(struct store *store, enum tier tier, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct rollup *rollup = &store->rollup;
    int r;

    vec_clear(&rollup->lacks);
    rollup->apart = false;
    for (size_t i = 0; i < rollup->moments.n && !rollup->apart; i++)
        rollup->apart = rollup->moments.items[i].apart;
    if (!rollup->apart)
        return 0;
    r = sql_prepare(store->db, tier == TIER_MINUTES ? ticks_lacks_sql : cover_lacks_sql, &stmt,
                    err);
    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, rollup->from_ms);
    sqlite3_bind_int64(stmt, 2, rollup->end_ms);
    if (tier != TIER_MINUTES)
        sqlite3_bind_int64(stmt, 3, tier - 1);
    while ((r = sql_step(stmt, err)) > 0) {
        struct rollup_lack lack = {sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};

        if (vec_push(&rollup->lacks, lack) < 0)
            return err_errno(err, -ENOMEM, "%s", store->path);
    }
    return r;
}

/* Reads when there was something to count; ends the range earlier if that is too much for one. */
static int read_moments(struct store *store, enum tier tier, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct rollup *rollup = &store->rollup;
    int64_t length_ms = tier_length_ms(tier), period_ms = 0;
    int r = sql_prepare(store->db, tier == TIER_MINUTES ? ticks_sql : cover_sql, &stmt, err);

    if (r < 0)
        return r;
    vec_clear(&rollup->moments);
    sqlite3_bind_int64(stmt, 1, rollup->from_ms);
    sqlite3_bind_int64(stmt, 2, rollup->end_ms);
    if (tier != TIER_MINUTES)
        sqlite3_bind_int64(stmt, 3, tier - 1);
    while ((r = sql_step(stmt, err)) > 0) {
        struct moment moment = {.at_ms = sqlite3_column_int64(stmt, 0),
                                .anchor = sqlite3_column_int(stmt, 1) != 0,
                                .partial = sqlite3_column_int(stmt, 2) != 0,
                                .apart = sqlite3_column_int(stmt, 3) != 0};

        if (rollup->moments.n >= MOMENTS_MAX && moment.at_ms >= period_ms + length_ms) {
            rollup->end_ms = floor_to(moment.at_ms, length_ms);
            return 0;
        }
        period_ms = floor_to(moment.at_ms, length_ms);
        if (vec_push(&rollup->moments, moment) < 0)
            return err_errno(err, -ENOMEM, "%s", store->path);
    }
    return r;
}

static int find_base(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT start_ms FROM snapshots WHERE anchor = 1 "
                              "AND start_ms < ?1 ORDER BY start_ms DESC LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    sqlite3_bind_int64(stmt, 1, store->rollup.from_ms);
    r = sql_step(stmt, err);
    store->rollup.base_ms = r > 0 ? sqlite3_column_int64(stmt, 0) : INT64_MIN;
    return r < 0 ? r : 0;
}

/* Takes up a range, from the finest tier that has one. 1: one is at work. */
static int choose(struct store *store, struct err *err)
{
    struct rollup *rollup = &store->rollup;
    int r = read_until(store, err);

    for (int tier = TIER_MINUTES; r >= 0 && !rollup->tier && tier <= TIER_DAYS; tier++) {
        r = find_range(store, tier, err);
        if (r <= 0)
            continue;
        r = read_moments(store, tier, err);
        if (r >= 0)
            r = read_lacks(store, tier, err);
        if (r >= 0)
            r = find_base(store, err);
        if (r >= 0)
            rollup->tier = tier;
        rollup->service = rollup->state = rollup->rate_service = 0;
        rollup->counts_done = false;
    }
    return r < 0 ? r : rollup->tier != 0;
}

static const char cover_ticks_sql[] =
    "INSERT OR REPLACE INTO cover_rollups (tier, at_ms, done, interrupted, first_ms, last_ms, "
    "unkept, details) "
    "SELECT ?1, s.start_ms - s.start_ms % ?4, sum(s.status = 0), sum(s.status <> 0), "
    "min(iif(s.status = 0, s.start_ms, NULL)), max(iif(s.status = 0, s.start_ms, NULL)), "
    "sum(s.unkept), max(CASE r.detail WHEN 'on' THEN 1 ELSE 0 END) + "
    "max(CASE r.detail WHEN 'anonymous' THEN 2 ELSE 0 END) + "
    "max(CASE r.detail WHEN 'off' THEN 4 ELSE 0 END) "
    "FROM snapshots AS s JOIN recordings AS r ON r.id = s.recording "
    "WHERE s.start_ms >= ?2 AND s.start_ms < ?3 GROUP BY 2";
static const char cover_longer_sql[] =
    "INSERT OR REPLACE INTO cover_rollups (tier, at_ms, done, interrupted, first_ms, last_ms, "
    "unkept, details) "
    "SELECT ?1, c.at_ms - c.at_ms % ?4, sum(c.done), sum(c.interrupted), min(c.first_ms), "
    "max(c.last_ms), sum(c.unkept), "
    "max(c.details & 1) | max(c.details & 2) | max(c.details & 4) "
    "FROM cover_rollups AS c WHERE c.tier = ?1 - 1 AND c.at_ms >= ?2 AND c.at_ms < ?3 GROUP BY 2";

/* What periods with snapshots that were complete in some namespaces alone have of each: of those that failed, and as 0
 * of all others. */
static const char netns_ticks_sql[] =
    "INSERT OR REPLACE INTO netns_covers (tier, at_ms, netns, done, first_ms, last_ms) "
    "SELECT ?1, f.at_ms, f.netns, count(s.start_ms), min(s.start_ms), max(s.start_ms) FROM ("
    "SELECT DISTINCT start_ms - start_ms % ?4 AS at_ms, netns FROM incomplete "
    "WHERE start_ms >= ?2 AND start_ms < ?3 UNION SELECT start_ms - start_ms % ?4, 0 "
    "FROM incomplete WHERE start_ms >= ?2 AND start_ms < ?3) AS f "
    "LEFT JOIN snapshots AS s ON s.start_ms >= f.at_ms AND s.start_ms < f.at_ms + ?4 "
    "AND (s.status = 0 OR (EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms) "
    "AND NOT EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms "
    "AND i.netns = f.netns))) GROUP BY f.at_ms, f.netns";
static const char netns_longer_sql[] =
    "INSERT OR REPLACE INTO netns_covers (tier, at_ms, netns, done, first_ms, last_ms) "
    "SELECT ?1, f.at_ms, f.netns, sum(coalesce(n.done, o.done, c.done)), "
    "min(CASE WHEN n.done IS NOT NULL THEN n.first_ms WHEN o.done IS NOT NULL THEN o.first_ms "
    "ELSE c.first_ms END), "
    "max(CASE WHEN n.done IS NOT NULL THEN n.last_ms WHEN o.done IS NOT NULL THEN o.last_ms "
    "ELSE c.last_ms END) FROM (SELECT DISTINCT at_ms - at_ms % ?4 AS at_ms, netns "
    "FROM netns_covers WHERE tier = ?1 - 1 AND at_ms >= ?2 AND at_ms < ?3) AS f "
    "JOIN cover_rollups AS c ON c.tier = ?1 - 1 AND c.at_ms >= f.at_ms AND c.at_ms < f.at_ms + ?4 "
    "LEFT JOIN netns_covers AS n ON n.tier = c.tier AND n.at_ms = c.at_ms AND n.netns = f.netns "
    "LEFT JOIN netns_covers AS o ON o.tier = c.tier AND o.at_ms = c.at_ms AND o.netns = 0 "
    "GROUP BY f.at_ms, f.netns";

static int conclude_netns(struct store *store, struct err *err)
{
    const struct rollup *rollup = &store->rollup;
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r;

    if (!rollup->apart)
        return 0;
    r = sql_prepare(store->db, rollup->tier == TIER_MINUTES ? netns_ticks_sql : netns_longer_sql,
                    &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, rollup->tier, rollup->from_ms, rollup->end_ms, tier_length_ms(rollup->tier));
    return sql_run(stmt, err);
}

/* The end of a range: with this it counts. */
static int conclude(struct store *store, struct err *err)
{
    static const char until_sql[] = "UPDATE tiers SET until_ms = ?2 WHERE tier = ?1";
    const struct rollup *rollup = &store->rollup;
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *cover = NULL, *until = NULL;
    int r = sql_prepare(
        store->db, rollup->tier == TIER_MINUTES ? cover_ticks_sql : cover_longer_sql, &cover, err);

    if (r >= 0)
        r = sql_prepare(store->db, until_sql, &until, err);
    if (r < 0)
        return r;
    SQL_BIND(cover, rollup->tier, rollup->from_ms, rollup->end_ms, tier_length_ms(rollup->tier));
    SQL_BIND(until, rollup->tier, rollup->end_ms);
    r = sql_run(cover, err);
    if (r >= 0)
        r = conclude_netns(store, err);
    return r < 0 ? r : sql_run(until, err);
}

/* 1: the range is not at its end. */
static int work(struct store *store, struct err *err)
{
    struct rollup *rollup = &store->rollup;
    int rows = ROLLUP_STEP_ROWS, r = 0;

    if (!rollup->counts_done) {
        r = rollup_counts(store, &rows, err);
        rollup->counts_done = r == 0;
    }
    if (r == 0 && rollup->tier != TIER_MINUTES) /* batches write the minutes of rates themselves */
        r = rollup_rates(store, &rows, err);
    return r == 0 ? conclude(store, err) : r;
}

/* In memory as it is committed. */
static void end_range(struct rollup *rollup)
{
    rollup->until_ms[rollup->tier + 1] = rollup->end_ms;
    rollup->tier = 0;
    vec_finish(&rollup->moments);
    vec_finish(&rollup->lacks);
}

int rollup_step(struct store *store, struct err *err)
{
    struct rollup *rollup = &store->rollup;
    int more, r = rollup->tier ? 1 : choose(store, err);

    if (r > 0)
        r = writer_begin(store, err);
    else if (r == 0)
        return 0;
    if (r < 0) {
        rollup_forget(rollup);
        return r;
    }
    more = work(store, err);
    r = writer_end(store, more, err);
    if (r < 0)
        return r;
    if (more == 0)
        end_range(rollup);
    return 1;
}

int rollup_has_rates(struct store *store, enum tier tier, int64_t service, int64_t at_ms,
                     struct err *err)
{
    const struct rollup *rollup = &store->rollup;
    int r = read_until(store, err);

    if (r < 0)
        return r;
    if (at_ms < rollup->until_ms[tier + 1])
        return 1;
    return rollup->tier == tier && at_ms < rollup->end_ms && service <= rollup->rate_service;
}
