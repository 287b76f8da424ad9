/* SPDX-License-Identifier: MIT */
#include "coverage_count.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "connhist/store/db.h"
#include "edition.h"
#include "tiers.h"

static const char snapshots_sql[] =
    "SELECT sum(s.status = 0), sum(s.status <> 0), sum(s.unkept), r.detail FROM snapshots AS s "
    "JOIN recordings AS r ON r.id = s.recording WHERE ?1 = 0 AND s.start_ms >= ?2 "
    "AND s.start_ms < ?3 GROUP BY r.detail";
static const char periods_sql[] =
    "SELECT sum(done), sum(interrupted), sum(unkept), "
    "max(details & 1) | max(details & 2) | max(details & 4) FROM cover_rollups "
    "WHERE tier = ?1 AND at_ms >= ?2 AND at_ms < ?3";
static const char first_snapshot_sql[] =
    "SELECT start_ms FROM snapshots WHERE status = 0 AND ?1 = 0 ORDER BY start_ms LIMIT 1";
static const char first_period_sql[] =
    "SELECT first_ms FROM cover_rollups WHERE tier = ?1 AND done > 0 ORDER BY at_ms LIMIT 1";
static const char last_period_sql[] =
    "SELECT last_ms FROM cover_rollups WHERE tier = ?1 AND done > 0 ORDER BY at_ms DESC LIMIT 1";
static const char first_any_sql[] =
    "SELECT start_ms FROM snapshots WHERE ?1 = 0 ORDER BY start_ms LIMIT 1";
static const char last_any_sql[] =
    "SELECT start_ms FROM snapshots WHERE ?1 = 0 ORDER BY start_ms DESC LIMIT 1";
static const char last_snapshot_sql[] =
    "SELECT start_ms FROM snapshots WHERE status = 0 AND ?1 = 0 ORDER BY start_ms DESC LIMIT 1";
static const char prunings_sql[] =
    "SELECT tier, cause, from_ms, until_ms FROM prunings WHERE until_ms > ?1 AND from_ms < ?2 "
    "ORDER BY from_ms, tier";

static int count_piece(struct db *db, const struct piece *piece, struct coverage *coverage,
                       struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    bool ticks = piece->tier == TIER_TICKS;
    int r = db_prepare(db, ticks ? snapshots_sql : periods_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, piece->tier);
    stmt_bind_i64(stmt, 2, piece->from_ms);
    stmt_bind_i64(stmt, 3, piece->end_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        coverage->done += stmt_i64(stmt, 0);
        coverage->interrupted += stmt_i64(stmt, 1);
        coverage->unkept += stmt_i64(stmt, 2);
        coverage->details |=
            ticks ? coverage_detail_parse(stmt_text(stmt, 3)) : (unsigned)stmt_i64(stmt, 3);
    }
    return r;
}

/* The one number of a row; *ret stays where there is none. */
static int ask(struct db *db, const char *sql, enum tier tier, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, tier);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

int coverage_count(struct db *db, const struct walltime *walltime, int64_t from_ms,
                   int64_t until_ms, struct coverage *coverage, struct err *err)
{
    struct kept kept;
    struct grid grid = {.walltime = walltime,
                        .kept = &kept,
                        .finest = TIER_TICKS,
                        .coarsest = TIER_DAYS,
                        .any_shift = true};
    struct pieces pieces = {0};
    int64_t first_ms = 0, last_ms = 0, any_ms = INT64_MAX, end_ms = INT64_MIN;
    int r = kept_load(&kept, db, err);

    if (r == 0)
        r = coverage_extent(db, &first_ms, &last_ms, err);
    if (r == 0)
        r = ask(db, first_any_sql, TIER_TICKS, &any_ms, err);
    if (r == 0)
        r = ask(db, last_any_sql, TIER_TICKS, &end_ms, err);
    if (r < 0)
        return r;
    if (first_ms > last_ms || any_ms < first_ms)
        first_ms = any_ms;
    /* what was recorded first may be in a period that begins before it */
    if (first_ms < INT64_MAX)
        first_ms = floor_to(first_ms, tier_length_ms(TIER_DAYS));
    if (from_ms < first_ms)
        from_ms = first_ms;
    if (until_ms > end_ms)
        until_ms = end_ms + 1;
    if (from_ms >= until_ms)
        return 0;
    /* snapshots stay as long as detail or ticks do */
    if (kept.from_ms[TIER_DETAIL + 1] < kept.from_ms[TIER_TICKS + 1])
        kept.from_ms[TIER_TICKS + 1] = kept.from_ms[TIER_DETAIL + 1];
    if (grid_cut(&grid, from_ms, until_ms, &pieces) < 0)
        r = err_errno(err, -ENOMEM, "reading the snapshots");
    for (size_t i = 0; r == 0 && i < pieces.n; i++)
        r = count_piece(db, &pieces.items[i], coverage, err);
    vec_finish(&pieces);
    return r;
}

int coverage_extent(struct db *db, int64_t *ret_first_ms, int64_t *ret_last_ms, struct err *err)
{
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN, period_ms = INT64_MAX, end_ms = INT64_MIN;
    int r = ask(db, first_snapshot_sql, TIER_TICKS, &first_ms, err);

    if (r == 0)
        r = ask(db, last_snapshot_sql, TIER_TICKS, &last_ms, err);
    for (enum tier tier = TIER_MINUTES; r == 0 && edition_has_tiers(db) && tier <= TIER_DAYS;
         tier++) {
        r = ask(db, first_period_sql, tier, &period_ms, err);
        if (period_ms < first_ms)
            first_ms = period_ms;
        if (r == 0)
            r = ask(db, last_period_sql, tier, &end_ms, err);
        if (end_ms > last_ms)
            last_ms = end_ms;
    }
    if (r < 0)
        return r;
    if (last_ms == INT64_MIN && first_ms < INT64_MAX)
        last_ms = first_ms;
    *ret_first_ms = first_ms == INT64_MAX ? 0 : first_ms;
    *ret_last_ms = first_ms == INT64_MAX ? -1 : last_ms;
    return 0;
}

int coverage_any(struct db *db, int64_t *ret_first_ms, int64_t *ret_last_ms, struct err *err)
{
    static const char period_sql[] =
        "SELECT at_ms FROM cover_rollups WHERE tier = ?1 ORDER BY at_ms LIMIT 1";
    static const char last_period_any_sql[] =
        "SELECT at_ms FROM cover_rollups WHERE tier = ?1 ORDER BY at_ms DESC LIMIT 1";
    int64_t first_ms = INT64_MAX, last_ms = INT64_MIN, at_ms;
    int r = ask(db, first_any_sql, TIER_TICKS, &first_ms, err);

    if (r == 0)
        r = ask(db, last_any_sql, TIER_TICKS, &last_ms, err);
    for (enum tier tier = TIER_MINUTES; r == 0 && edition_has_tiers(db) && tier <= TIER_DAYS;
         tier++) {
        at_ms = INT64_MAX;
        r = ask(db, period_sql, tier, &at_ms, err);
        if (at_ms < first_ms)
            first_ms = at_ms;
        at_ms = INT64_MIN;
        if (r == 0)
            r = ask(db, last_period_any_sql, tier, &at_ms, err);
        if (at_ms > INT64_MIN && at_ms + tier_length_ms(tier) - 1 > last_ms)
            last_ms = at_ms + tier_length_ms(tier) - 1;
    }
    *ret_first_ms = first_ms;
    *ret_last_ms = last_ms;
    return r;
}

static const char *cause_name(int64_t cause)
{
    return cause == 1 ? "age" : "size";
}

static int read_prunings(struct db *db, const struct walltime *walltime, enum tier needed,
                         int64_t from_ms, int64_t until_ms, struct coverage *coverage,
                         struct gap *ret_gap, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, prunings_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from_ms);
    stmt_bind_i64(stmt, 2, until_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct pruned pruned = {
            .from_ms = walltime_of_record(walltime, stmt_i64(stmt, 2)),
            .until_ms = walltime_of_record(walltime, stmt_i64(stmt, 3)),
            .cause = cause_name(stmt_i64(stmt, 1)),
        };
        int64_t tier = stmt_i64(stmt, 0);

        if (tier < TIER_DETAIL || tier > TIER_DAYS)
            continue;
        pruned.what = tier_name((enum tier)tier);
        if (vec_push(&coverage->pruned, pruned) < 0)
            return err_errno(err, -ENOMEM, "reading what was removed");
        if (tier == (int64_t)needed && !ret_gap->reason[0])
            snprintf(ret_gap->reason, sizeof(ret_gap->reason), "%s no longer kept (%s)",
                     pruned.what, stmt_i64(stmt, 1) == 1 ? "too old" : "the file was full");
    }
    return r;
}

static int by_begin(const void *left, const void *right)
{
    const struct gap *a = left, *b = right;

    return (a->record_from_ms > b->record_from_ms) - (a->record_from_ms < b->record_from_ms);
}

int coverage_add_pruned(struct db *db, const struct walltime *walltime, enum tier needed,
                        int64_t from_ms, int64_t until_ms, struct coverage *coverage,
                        struct err *err)
{
    struct gap gap = {0}, told;
    struct kept kept = {0};
    int64_t first_ms = 0, last_ms = 0, floor_ms;
    int r = kept_load(&kept, db, err);

    if (r == 0)
        r = coverage_extent(db, &first_ms, &last_ms, err);
    if (r == 0 && edition_has_tiers(db))
        r = read_prunings(db, walltime, needed, from_ms, until_ms, coverage, &gap, err);
    if (r < 0)
        return r;
    floor_ms = kept.from_ms[needed + 1];
    if (from_ms < first_ms)
        from_ms = first_ms;
    if (until_ms > floor_ms)
        until_ms = floor_ms;
    if (from_ms >= until_ms)
        return 0;
    if (!gap.reason[0])
        snprintf(gap.reason, sizeof(gap.reason), "%s no longer kept", tier_name(needed));
    coverage_gap(walltime, from_ms, until_ms, gap.reason, &told);
    told.pruned = true;
    if (vec_push(&coverage->gaps, told) < 0)
        return err_errno(err, -ENOMEM, "reading what was removed");
    qsort(coverage->gaps.items, coverage->gaps.n, sizeof(*coverage->gaps.items), by_begin);
    return 0;
}
