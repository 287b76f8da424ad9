/* SPDX-License-Identifier: MIT */
/* What goes: what is older than its limit, and what the file has no room for, oldest first. A tier's
 * from_ms is raised before its rows go, so that nobody takes for whole what is half gone. Counts
 * never go before they were added up, nor before what is finer. */
#include <errno.h>
#include <string.h>

#include "retention.h"
#include "sql.h"
#include "writer.h"

#define SECOND_MS      INT64_C(1000)
#define MINUTE_MS      INT64_C(60000)
#define SPAN_PARTS     128 /* of the time that detail covers, so much goes at once for want of room */
#define FREE_SHARE     32 /* of the largest size, so much is kept free */
#define FREE_MIN_PAGES 96

int prune_life(struct store *store, int64_t life, struct err *err)
{
    static const char changes_sql[] = "DELETE FROM owner_changes WHERE life = ?1";
    int r = WRITER_RUN(store, STMT_PRUNE_LATE, "DELETE FROM late WHERE life = ?1", err, life);

    if (r >= 0)
        r = WRITER_RUN(store, STMT_PRUNE_HOLDERS, "DELETE FROM holders WHERE life = ?1", err, life);
    if (r >= 0)
        r = WRITER_RUN(store, STMT_PRUNE_QUEUES, "DELETE FROM queues WHERE life = ?1", err, life);
    if (r >= 0 && store->retention.has_changes)
        r = WRITER_RUN(store, STMT_PRUNE_CHANGES, changes_sql, err, life);
    if (r >= 0 && store->retention.has_changes)
        r = WRITER_RUN(store, STMT_PRUNE_OFFLOADS, "DELETE FROM offloads WHERE life = ?1", err,
                       life);
    return r;
}

static struct prune_tier *tier_of(struct store *store, int tier)
{
    return &store->retention.tiers[tier + 1];
}

static int read_tiers(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT tier, from_ms, until_ms FROM tiers";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    while ((r = sql_step(stmt, err)) > 0) {
        int64_t number = sqlite3_column_int64(stmt, 0);

        if (number < TIER_DETAIL || number > TIER_DAYS)
            continue;
        tier_of(store, (int)number)->from_ms = sqlite3_column_int64(stmt, 1);
        tier_of(store, (int)number)->until_ms = sqlite3_column_int64(stmt, 2);
    }
    return r;
}

/* What an earlier run did not come to remove is before from_ms, too. */
static int load(struct store *store, struct err *err)
{
    static const char changes_sql[] =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'owner_changes'";
    struct retention *retention = &store->retention;
    int64_t has_changes = 0;
    int r;

    if (retention->loaded)
        return read_tiers(store, err);
    memset(retention->tiers, 0, sizeof(retention->tiers));
    r = read_tiers(store, err);
    if (r >= 0)
        r = sql_query_i64(store->db, changes_sql, &has_changes, err);
    if (r >= 0 && !retention->last_ms)
        r = sql_query_i64(store->db, "SELECT max(start_ms) FROM snapshots", &retention->last_ms,
                          err);
    if (r < 0)
        return r;
    retention->has_changes = has_changes > 0;
    for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++) {
        tier_of(store, tier)->at[0] = tier_of(store, tier)->at[1] = -1;
        tier_of(store, tier)->dirty = tier_of(store, tier)->from_ms > 0;
    }
    retention->loaded = true;
    return 0;
}

/* One row for each tier and cause as long as it goes on from where it was. */
static int note_pruning(struct store *store, int tier, enum prune_cause cause, int64_t from_ms,
                        int64_t until_ms, struct err *err)
{
    static const char find_sql[] = "SELECT id FROM prunings WHERE tier = ?1 AND cause = ?2 AND "
                                   "until_ms = ?3 ORDER BY id DESC LIMIT 1";
    static const char extend_sql[] = "UPDATE prunings SET until_ms = ?2, at_ms = ?3 WHERE id = ?1";
    static const char add_sql[] = "INSERT INTO prunings (tier, cause, from_ms, until_ms, count, "
                                  "at_ms) VALUES (?1, ?2, ?3, ?4, 0, ?5)";
    struct prune_tier *t = tier_of(store, tier);
    int64_t now_ms = store->retention.last_ms;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_FIND_PRUNING, find_sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, tier, cause, from_ms);
    r = sql_step(stmt, err);
    if (r < 0)
        return r;
    if (r > 0) {
        t->row = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
        return WRITER_RUN(store, STMT_EXTEND_PRUNING, extend_sql, err, t->row, until_ms, now_ms);
    }
    r = WRITER_RUN(store, STMT_ADD_PRUNING, add_sql, err, tier, cause, from_ms, until_ms, now_ms);
    if (r >= 0)
        t->row = sqlite3_last_insert_rowid(store->db);
    return r;
}

/* From now on a tier is whole from to_ms on alone. */
static int advance(struct store *store, int tier, enum prune_cause cause, int64_t oldest_ms,
                   int64_t to_ms, struct err *err)
{
    static const char sql[] = "UPDATE tiers SET from_ms = ?2 WHERE tier = ?1";
    struct prune_tier *t = tier_of(store, tier);
    int64_t row = t->row;
    int r = writer_begin(store, err);

    if (r < 0)
        return r;
    r = WRITER_RUN(store, STMT_SET_TIER, sql, err, tier, to_ms);
    if (r >= 0)
        r = note_pruning(store, tier, cause, t->from_ms ? t->from_ms : oldest_ms, to_ms, err);
    r = writer_end(store, r, err);
    if (r < 0) {
        t->row = row;
        return r;
    }
    t->from_ms = to_ms;
    t->dirty = true;
    t->part = 0;
    t->at[0] = t->at[1] = -1;
    return 1;
}

static int remove_rows(struct store *store, int tier, struct err *err)
{
    static const char sql[] = "UPDATE prunings SET count = count + ?2 WHERE id = ?1";
    struct prune_tier before = *tier_of(store, tier);
    int64_t rows = 0;
    int r = writer_begin(store, err);

    if (r < 0)
        return r;
    r = prune_rows(store, tier, &rows, err);
    if (r >= 0 && rows && before.row)
        r = WRITER_RUN(store, STMT_COUNT_PRUNING, sql, err, before.row, rows);
    r = writer_end(store, r, err);
    if (r < 0) {
        *tier_of(store, tier) = before;
        return r;
    }
    if (tier == TIER_DETAIL)
        store->retention.removed += rows;
    return 1;
}

/* When the oldest that a tier still has was recorded; 1: there is something. */
static int oldest_of(struct store *store, int tier, int64_t *ret, struct err *err)
{
    static const char *const sql[TIER_COUNT] = {
        [TIER_TICKS + 1] = "SELECT start_ms FROM snapshots ORDER BY start_ms LIMIT 1",
        [TIER_MINUTES + 1] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 1",
        [TIER_HOURS + 1] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 2",
        [TIER_DAYS + 1] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 3",
    };
    int r = tier == TIER_DETAIL ? prune_oldest_closing(store, store->retention.last_ms, ret, err)
                                : sql_query_i64(store->db, sql[tier + 1], ret, err);

    if (r > 0 && *ret < tier_of(store, tier)->from_ms)
        *ret = tier_of(store, tier)->from_ms;
    return r;
}

/* Counts as they came are known from a snapshot on that tells them all. 1: there is one that is not after
 * to_ms; the latest, or if it is the first that is asked for, one after after_ms. */
static int find_anchor(struct store *store, int64_t after_ms, int64_t to_ms, bool first,
                       int64_t *ret, struct err *err)
{
    static const char last_sql[] =
        "SELECT start_ms FROM snapshots WHERE anchor = 1 "
        "AND start_ms > ?1 AND start_ms <= ?2 ORDER BY start_ms DESC LIMIT 1";
    static const char first_sql[] =
        "SELECT start_ms FROM snapshots WHERE anchor = 1 "
        "AND start_ms > ?1 AND start_ms <= ?2 ORDER BY start_ms LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, first ? first_sql : last_sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, after_ms, to_ms);
    r = sql_step(stmt, err);
    if (r > 0)
        *ret = sqlite3_column_int64(stmt, 0);
    return r;
}

/* How far a tier may go at most: up to what was added up, and to where the finer one begins. */
static int64_t bound_of(struct store *store, int tier)
{
    int64_t bound_ms = store->retention.last_ms;

    if (tier >= TIER_TICKS && tier < TIER_DAYS && tier_of(store, tier + 1)->until_ms < bound_ms)
        bound_ms = tier_of(store, tier + 1)->until_ms;
    if (tier > TIER_TICKS && tier_of(store, tier - 1)->from_ms < bound_ms)
        bound_ms = tier_of(store, tier - 1)->from_ms;
    return bound_ms;
}

/* Periods go by those of the next tier, days one by one. */
static int64_t grain_of(int tier)
{
    return tier_length_ms(tier == TIER_DAYS ? TIER_DAYS : tier + 1);
}

/* 1: a tier has something older than its limit, and from_ms was raised. */
static int advance_by_age(struct store *store, int tier, int64_t now_ms, struct err *err)
{
    int64_t age_ms = store->retention.wanted.age_ms[tier + 1], oldest_ms = 0;
    int64_t to_ms = now_ms - age_ms, bound_ms = bound_of(store, tier);
    int r;

    if (!age_ms)
        return 0;
    if (to_ms > bound_ms)
        to_ms = bound_ms;
    if (to_ms <= tier_of(store, tier)->from_ms)
        return 0;
    if (tier > TIER_TICKS)
        to_ms -= to_ms % grain_of(tier);
    r = oldest_of(store, tier, &oldest_ms, err);
    if (r <= 0)
        return r;
    if (tier == TIER_TICKS)
        r = find_anchor(store, oldest_ms, to_ms, false, &to_ms, err);
    if (r <= 0 || to_ms <= oldest_ms)
        return r < 0 ? r : 0;
    /* not for each second anew */
    if (tier == TIER_DETAIL && to_ms - oldest_ms < MINUTE_MS && to_ms - oldest_ms < age_ms / 16)
        return 0;
    return advance(store, tier, PRUNE_AGE, oldest_ms, to_ms, err);
}

static int advance_detail(struct store *store, struct err *err)
{
    int64_t last_ms = store->retention.last_ms, oldest_ms = 0, to_ms;
    int r = oldest_of(store, TIER_DETAIL, &oldest_ms, err);

    if (r <= 0 || oldest_ms >= last_ms)
        return r < 0 ? r : 0;
    to_ms = oldest_ms + (last_ms - oldest_ms) / SPAN_PARTS + SECOND_MS;
    return advance(store, TIER_DETAIL, PRUNE_SIZE, oldest_ms, to_ms < last_ms ? to_ms : last_ms,
                   err);
}

/* With the snapshots go what sockets there were at them. */
static int advance_ticks(struct store *store, struct err *err)
{
    int64_t oldest_ms = 0, to_ms = 0;
    int r = oldest_of(store, TIER_TICKS, &oldest_ms, err);

    if (r > 0)
        r = find_anchor(store, oldest_ms,
                        oldest_ms + (bound_of(store, TIER_TICKS) - oldest_ms) / SPAN_PARTS, false,
                        &to_ms, err);
    if (r == 0 && oldest_ms)
        r = find_anchor(store, oldest_ms, bound_of(store, TIER_TICKS), true, &to_ms, err);
    if (r > 0 && tier_of(store, TIER_DETAIL)->from_ms < to_ms)
        r = advance(store, TIER_DETAIL, PRUNE_SIZE, oldest_ms, to_ms, err);
    return r <= 0 ? r : advance(store, TIER_TICKS, PRUNE_SIZE, oldest_ms, to_ms, err);
}

static int advance_periods(struct store *store, int tier, struct err *err)
{
    int64_t grain = grain_of(tier), bound_ms = bound_of(store, tier), oldest_ms = 0, to_ms;
    int r = oldest_of(store, tier, &oldest_ms, err);

    if (r <= 0)
        return r;
    bound_ms -= bound_ms % grain;
    to_ms = oldest_ms + (bound_ms - oldest_ms) / SPAN_PARTS + grain;
    to_ms -= to_ms % grain;
    if (to_ms > bound_ms)
        to_ms = bound_ms;
    return to_ms <= oldest_ms ? 0 : advance(store, tier, PRUNE_SIZE, oldest_ms, to_ms, err);
}

/* 1: rows were removed of a tier that has some to be removed. */
static int remove_some(struct store *store, struct err *err)
{
    for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++)
        if (tier_of(store, tier)->dirty)
            return remove_rows(store, tier, err);
    return 0;
}

int prune_for_space(struct store *store, bool counts, struct err *err)
{
    int r = load(store, err);

    if (r >= 0)
        r = remove_some(store, err);
    if (r == 0)
        r = advance_detail(store, err);
    if (r != 0 || !counts)
        return r;
    r = advance_ticks(store, err);
    for (int tier = TIER_MINUTES; tier <= TIER_DAYS && r == 0; tier++)
        r = advance_periods(store, tier, err);
    return r;
}

int prune_step(struct store *store, int64_t now_ms, struct err *err)
{
    struct retention *retention = &store->retention;
    int64_t unused = INT64_MAX, spare = retention->most_pages / FREE_SHARE;
    int r;

    if (!retention->set)
        return 0;
    r = budget_apply(store, err);
    if (r >= 0)
        r = load(store, err);
    if (r >= 0)
        r = remove_some(store, err);
    for (int tier = TIER_DETAIL; tier <= TIER_DAYS && r == 0; tier++)
        r = advance_by_age(store, tier, now_ms, err);
    if (r != 0)
        return r;
    r = budget_free_pages(store, &unused, err);
    if (r < 0 || unused >= (spare > FREE_MIN_PAGES ? spare : FREE_MIN_PAGES))
        return r;
    return prune_for_space(store, !retention->crowded, err);
}
