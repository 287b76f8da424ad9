/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "connhist/model/life.h"
#include "connhist/report/sockets.h"
#include "connhist/store/db.h"
#include "coverage_netns.h"
#include "recordings.h"
#include "socket_row.h"
#include "tiers.h"

static const char choose_sql[] =
    "SELECT s.start_ms, r.interval_ms, r.detail, s.unkept FROM snapshots AS s "
    "JOIN recordings AS r ON r.id = s.recording "
    "WHERE s.start_ms <= ?1 AND s.status = 0 ORDER BY s.start_ms DESC LIMIT 1";

/* The same for single namespaces. */
static const char choose_in_sql[] =
    "SELECT s.start_ms, r.interval_ms, r.detail, s.unkept FROM snapshots AS s "
    "JOIN recordings AS r ON r.id = s.recording "
    "WHERE s.start_ms <= ?1 AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms DESC LIMIT 1";

static const char next_sql[] = "SELECT min(s.start_ms) FROM snapshots AS s "
                               "WHERE s.start_ms > ?1 AND s.status = 0";
static const char next_in_sql[] = "SELECT min(s.start_ms) FROM snapshots AS s "
                                  "WHERE s.start_ms > ?1 AND " SNAPSHOT_COMPLETE_IN;

static const char first_sql[] = "SELECT start_ms FROM snapshots ORDER BY start_ms LIMIT 1";
static const char latest_sql[] =
    "SELECT s.start_ms, r.interval_ms FROM snapshots AS s "
    "JOIN recordings AS r ON r.id = s.recording ORDER BY s.start_ms DESC LIMIT 1";

/* What the record reaches. */
struct reach {
    int64_t from_ms;  /* its first snapshot, record time */
    int64_t until_ms; /* until the snapshot after its last one is due, record time */
};

/* 1, or 0 when there is no snapshot. */
static int find_reach(struct db *db, struct reach *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *first = NULL;
    _cleanup_(cleanup_stmt_free) struct stmt *latest = NULL;
    int r = db_prepare(db, first_sql, &first, err);

    if (r == 0)
        r = db_prepare(db, latest_sql, &latest, err);
    if (r == 0)
        r = stmt_step(first, err);
    if (r > 0)
        r = stmt_step(latest, err);
    if (r <= 0)
        return r;
    ret->from_ms = stmt_i64(first, 0);
    ret->until_ms = stmt_i64(latest, 0) + stmt_i64(latest, 1) + stmt_i64(latest, 1) / 2;
    return 1;
}

/* The record time that a wall time means. Where the clock was set back it came twice; the later one
 * is meant unless the record does not reach it: then it may not have come yet. */
static int find_instant(struct db *db, const struct walltime *walltime, int64_t at_ms,
                        int64_t *ret_ms, struct snapshot_choice *choice, struct err *err)
{
    int64_t first_ms, last_ms;
    struct reach reach = {0};
    int r = find_reach(db, &reach, err);

    if (r < 0)
        return r;
    walltime_to_record(walltime, at_ms, &first_ms, &last_ms);
    if (r > 0 && first_ms < last_ms && first_ms >= reach.from_ms && first_ms <= reach.until_ms) {
        choice->earlier = last_ms > reach.until_ms;
        choice->ambiguous = !choice->earlier;
    }
    choice->in_gap = last_ms < first_ms;
    *ret_ms = choice->earlier ? first_ms : last_ms;
    return 0;
}

static int read_resumes(struct db *db, const struct netns_choice *netns, int64_t instant_ms,
                        int64_t *ret_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, netns_choice_text(netns) ? next_in_sql : next_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, instant_ms);
    if (netns_choice_text(netns))
        stmt_bind_text(stmt, 2, netns_choice_text(netns));
    r = stmt_step(stmt, err);
    *ret_ms = r > 0 && !stmt_is_null(stmt, 0) ? stmt_i64(stmt, 0) : instant_ms;
    return r < 0 ? r : 0;
}

int sockets_choose_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                      int64_t at_ms, struct snapshot_choice *ret, struct err *err)
{
    _cleanup_(netns_choice_finish) struct netns_choice netns = {0};
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct snapshot_choice choice = {.pruned_ms = TIME_UNKNOWN};
    const struct lapse *lapse;
    struct run run = {0};
    struct kept kept = {0};
    int64_t instant_ms = 0, kept_ms;
    int r;

    r = find_instant(db, walltime, at_ms, &instant_ms, &choice, err);
    if (r == 0)
        r = kept_load(&kept, db, err);
    if (r == 0)
        r = netns_choice_load(&netns, db, filter, instant_ms, instant_ms, err);
    if (r == 0)
        r = db_prepare(db, netns_choice_text(&netns) ? choose_in_sql : choose_sql, &stmt, err);
    if (r < 0)
        return r;
    lapse = netns_choice_lapse(&netns, instant_ms);
    choice.in_gap |= lapse != NULL;
    stmt_bind_i64(stmt, 1, lapse ? lapse->from_ms : instant_ms);
    if (netns_choice_text(&netns))
        stmt_bind_text(stmt, 2, netns_choice_text(&netns));
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    kept_ms = kept.from_ms[TIER_DETAIL + 1];
    if (kept_ms > 0 && (r == 0 || stmt_i64(stmt, 0) < kept_ms)) {
        choice.pruned_ms = walltime_of_record(walltime, kept_ms);
    } else if (r > 0) {
        choice.found = true;
        choice.record_ms = stmt_i64(stmt, 0);
        choice.snapshot_ms = walltime_of_record(walltime, choice.record_ms);
        choice.distance_ms = at_ms - choice.snapshot_ms;
        run.interval_ms = stmt_i64(stmt, 1);
        choice.in_gap |= runs_is_gap(&run, NULL, instant_ms - choice.record_ms);
        choice.unkept = stmt_i64(stmt, 3);
        snprintf(choice.detail, sizeof(choice.detail), "%s", stmt_text(stmt, 2));
    }
    choice.resumes_ms = instant_ms;
    r = choice.in_gap ? read_resumes(db, &netns, instant_ms, &choice.resumes_ms, err) : 0;
    *ret = choice;
    return r;
}

int sockets_choose(struct db *db, const struct walltime *walltime, int64_t at_ms,
                   struct snapshot_choice *ret, struct err *err)
{
    return sockets_choose_in(db, walltime, NULL, at_ms, ret, err);
}

struct table {
    struct row_maker maker;
    const struct filter *filter; /* not owned */
    int64_t at_ms;               /* record time */
    struct socket_row_vec rows;  /* owned */
};

static void table_finish(struct table *table)
{
    row_maker_finish(&table->maker);
    vec_finish(&table->rows);
}

static int add_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct table *table = arg;
    struct endpoints ends;
    struct socket_row row;
    int r;

    r = row_maker_wants(&table->maker, table->filter, life, table->at_ms, table->at_ms, &ends, err);
    if (r <= 0)
        return r;
    r = row_maker_make(&table->maker, table->filter, life, &ends, table->at_ms, &row, err);
    if (r < 0 || !filter_state(table->filter, row.state))
        return r;
    if (vec_push(&table->rows, row) < 0)
        return err_errno(err, -ENOMEM, "reading the sockets");
    return 0;
}

int sockets_at(struct db *db, const struct walltime *walltime, const struct snapshot_choice *choice,
               const struct filter *filter, socket_row_fn fn, void *arg, struct err *err)
{
    _cleanup_(table_finish) struct table table = {.filter = filter, .at_ms = choice->record_ms};
    struct life_choice wanted = life_choice_sockets(filter);
    int r;

    if (!choice->found)
        return 0;
    r = row_maker_init(&table.maker, db, walltime, filter, err);
    if (r == 0)
        r = stored_life_each(db, &table.maker.lookup, LIVES_ALL, &wanted, table.at_ms, table.at_ms,
                             add_life, &table, err);
    if (r < 0)
        return r;
    db_end(db);
    socket_rows_sort(table.rows.items, table.rows.n);
    return socket_rows_give(&table.rows, fn, arg);
}
