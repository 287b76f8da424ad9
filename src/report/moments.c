/* SPDX-License-Identifier: MIT */
#include "moments.h"

#include <errno.h>

#include "connhist/store/db.h"
#include "netns_periods.h"

static const char snapshots_sql[] =
    "SELECT start_ms FROM snapshots WHERE status = 0 AND ?1 = 0 AND start_ms >= ?2 "
    "AND start_ms < ?3 ORDER BY start_ms";
static const char periods_sql[] =
    "SELECT at_ms, first_ms, last_ms, done FROM cover_rollups WHERE tier = ?1 AND at_ms >= ?2 "
    "AND at_ms < ?3 AND done > 0 ORDER BY at_ms";

static const char snapshots_in_sql[] =
    "SELECT s.start_ms FROM snapshots AS s WHERE s.start_ms >= ?1 AND s.start_ms < ?3 "
    "AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms";

static int add_period(struct moments *moments, enum tier tier, struct stmt *stmt)
{
    struct period period = {
        .at = moments->times.n,
        .first_ms = stmt_i64(stmt, 1),
        .last_ms = stmt_i64(stmt, 2),
        .done = stmt_i64(stmt, 3),
        .tier = tier,
    };

    return vec_push(&moments->periods, period);
}

static int load_piece(struct moments *moments, struct stmt *stmt, const struct piece *piece,
                      struct err *err)
{
    int r;

    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, piece->tier);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if ((piece->tier != TIER_TICKS && add_period(moments, piece->tier, stmt) < 0) ||
            vec_push(&moments->times, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the snapshots");
    return r;
}

static int load_ticks_in(struct moments *moments, struct db *db, const struct netns_choice *netns,
                         const struct piece *piece, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, snapshots_in_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, piece->from_ms);
    stmt_bind_text(stmt, 2, netns_choice_text(netns));
    stmt_bind_i64(stmt, 3, piece->end_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if (vec_push(&moments->times, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the snapshots");
    return r;
}

static int load_periods_in(struct moments *moments, struct db *db, const struct netns_choice *netns,
                           const struct piece *piece, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct netns_period told;
    int r = netns_periods_find(db, netns, piece->tier, piece->from_ms, piece->end_ms, false, &stmt,
                               err);

    while (r >= 0 && (r = netns_periods_next(stmt, netns, piece->tier, &told, err)) > 0) {
        struct period period = {
            .at = moments->times.n,
            .first_ms = told.first_ms,
            .last_ms = told.last_ms,
            .done = told.done,
            .tier = piece->tier,
            .apart = told.apart,
        };

        if (told.done > 0 &&
            (vec_push(&moments->periods, period) < 0 || vec_push(&moments->times, told.at_ms) < 0))
            return err_errno(err, -ENOMEM, "reading the snapshots");
    }
    return r;
}

static int load_in(struct moments *moments, struct db *db, const struct netns_choice *netns,
                   struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < moments->pieces.n; i++)
        r = (moments->pieces.items[i].tier == TIER_TICKS ? load_ticks_in : load_periods_in)(
            moments, db, netns, &moments->pieces.items[i], err);
    return r;
}

static int load_all(struct moments *moments, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *snapshots = NULL, *periods = NULL;
    int r = db_prepare(db, snapshots_sql, &snapshots, err);

    for (size_t i = 0; r == 0 && i < moments->pieces.n; i++) {
        const struct piece *piece = &moments->pieces.items[i];

        if (piece->tier != TIER_TICKS && !periods)
            r = db_prepare(db, periods_sql, &periods, err);
        if (r == 0)
            r = load_piece(moments, piece->tier == TIER_TICKS ? snapshots : periods, piece, err);
    }
    return r;
}

int moments_load(struct moments *moments, struct db *db, const struct netns_choice *netns,
                 struct err *err)
{
    return netns ? load_in(moments, db, netns, err) : load_all(moments, db, err);
}

void moments_finish(struct moments *moments)
{
    vec_finish(&moments->times);
    vec_finish(&moments->periods);
    vec_finish(&moments->pieces);
}

int64_t moments_last(const struct moments *moments)
{
    size_t last = moments->times.n - 1, n = moments->periods.n;

    if (n > 0 && moments->periods.items[n - 1].at == last)
        return moments->periods.items[n - 1].last_ms;
    return moments->times.items[last];
}

size_t moments_period(const struct moments *moments, size_t at)
{
    size_t low = 0, high = moments->periods.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (moments->periods.items[middle].at < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t moments_first(const struct moments *moments, size_t at)
{
    size_t period = moments_period(moments, at);

    if (period < moments->periods.n && moments->periods.items[period].at == at)
        return moments->periods.items[period].first_ms;
    return moments->times.items[at];
}

enum tier moments_coarsest(const struct moments *moments)
{
    enum tier tier = TIER_TICKS;

    for (size_t i = 0; i < moments->periods.n; i++)
        if (moments->periods.items[i].tier > tier)
            tier = moments->periods.items[i].tier;
    return tier;
}
