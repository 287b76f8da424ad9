/* SPDX-License-Identifier: MIT */
/* Counts against snapshots: each snapshot has the number of sockets that it saw, the tallies must add up
 * to it; and minutes must tell what the tallies do. */
#include <errno.h>
#include <string.h>

#include "connhist/base/vec.h"
#include "minutes.h"
#include "senses.h"
#include "sql.h"

#define STATES 16

struct counts {
    int64_t now[STATES]; /* of a service, by state */
};

struct reckoning {
    struct {
        VEC_FIELDS(struct counts); /* by number of the service */
    } services;
    sqlite3_stmt *tallies;
    struct minutes *minutes; /* NULL: they are not looked at */
    int64_t next_ms;         /* of the row that tallies stands at; INT64_MAX: at its end */
    int64_t sum;
};

#define SERVICES_MAX (1 << 24) /* a greater number is damage */

static void finish(struct reckoning *reckoning)
{
    sqlite3_finalize(reckoning->tallies);
    minutes_free(reckoning->minutes);
    vec_finish(&reckoning->services);
}

static int move_on(struct reckoning *reckoning, struct err *err)
{
    int r = sql_step(reckoning->tallies, err);

    if (r >= 0)
        reckoning->next_ms = r ? sqlite3_column_int64(reckoning->tallies, 0) : INT64_MAX;
    return r;
}

static int take_row(struct reckoning *reckoning, struct err *err)
{
    int64_t service = sqlite3_column_int64(reckoning->tallies, 1);
    int64_t state = sqlite3_column_int64(reckoning->tallies, 2);
    int64_t count = sqlite3_column_int64(reckoning->tallies, 3), *now;
    size_t wanted = (size_t)service + 1;

    if (service < 0 || service > SERVICES_MAX || state < 0 || state >= STATES || count < 0 ||
        count > UINT32_MAX)
        return 0; /* told elsewhere */
    if (wanted > reckoning->services.n) {
        size_t more = wanted - reckoning->services.n;

        if (vec_reserve(&reckoning->services, more) < 0)
            return err_errno(err, -ENOMEM, "checking counts");
        memset(reckoning->services.items + reckoning->services.n, 0,
               more * sizeof(*reckoning->services.items));
        reckoning->services.n = wanted;
    }
    now = &reckoning->services.items[service].now[state];
    reckoning->sum += count - *now;
    *now = count;
    return minutes_count(reckoning->minutes, service, state, count, err);
}

/* Takes the rows before (at) a time. */
static int take_until(struct reckoning *reckoning, int64_t until_ms, struct err *err)
{
    int r = 0;

    while (r >= 0 && reckoning->next_ms < until_ms) {
        r = take_row(reckoning, err);
        if (r >= 0)
            r = move_on(reckoning, err);
    }
    return r < 0 ? r : 0;
}

/* The row that snapshots stands at. */
static int reckon_one(struct reckoning *reckoning, sqlite3_stmt *snapshots,
                      const struct counts_faults *faults, struct err *err)
{
    int64_t start_ms = sqlite3_column_int64(snapshots, 0);
    bool complete = sqlite3_column_int(snapshots, 3) == 0;
    int r = minutes_reach(reckoning->minutes, start_ms, err);

    if (r >= 0)
        r = take_until(reckoning, start_ms, err);
    if (r >= 0 && sqlite3_column_int(snapshots, 1)) {
        vec_clear(&reckoning->services);
        reckoning->sum = 0;
        minutes_anchor(reckoning->minutes);
    }
    if (r >= 0)
        r = take_until(reckoning, start_ms + 1, err);
    if (r >= 0 && complete && reckoning->sum != sqlite3_column_int64(snapshots, 2))
        r = faults->unsound(faults->arg, start_ms);
    minutes_snapshot(reckoning->minutes, complete);
    return r;
}

static int reckon(struct reckoning *reckoning, sqlite3_stmt *snapshots,
                  const struct counts_faults *faults, struct err *err)
{
    int r;

    while ((r = sql_step(snapshots, err)) > 0) {
        r = reckon_one(reckoning, snapshots, faults, err);
        if (r < 0)
            break;
    }
    sqlite3_reset(snapshots);
    return r < 0 ? r : minutes_reach(reckoning->minutes, INT64_MAX, err);
}

/* From the first full count on: what was before it may be removed. */
static int find_begin(sqlite3 *db, int edition, int64_t *ret, struct err *err)
{
    static const char old_sql[] = "SELECT min(start_ms) FROM snapshots WHERE anchor = 1";
    static const char sql[] = "SELECT min(start_ms) FROM snapshots WHERE anchor = 1 AND start_ms "
                              ">= (SELECT from_ms FROM tiers WHERE tier = 0)";

    return sql_query_i64(db, edition < 3 ? old_sql : sql, ret, err);
}

int senses_each_counts_fault(sqlite3 *db, int edition, const struct counts_faults *faults,
                             struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *snapshots = NULL;
    _cleanup_(finish) struct reckoning reckoning = {0};
    int64_t begin_ms = 0;
    int r = find_begin(db, edition, &begin_ms, err);

    if (r <= 0)
        return r;
    r = sql_prepare(db,
                    "SELECT start_ms, anchor, sockets, status FROM snapshots "
                    "WHERE start_ms >= ?1 ORDER BY start_ms",
                    &snapshots, err);
    if (r >= 0)
        r = sql_prepare(db,
                        "SELECT at_ms, service, state, count FROM tallies WHERE at_ms >= ?1 "
                        "ORDER BY at_ms",
                        &reckoning.tallies, err);
    if (r < 0)
        return r;
    SQL_BIND(snapshots, begin_ms);
    SQL_BIND(reckoning.tallies, begin_ms);
    if (faults->unlike && edition >= 3)
        r = minutes_new(db, begin_ms, faults->unlike, faults->arg, &reckoning.minutes, err);
    if (r >= 0)
        r = move_on(&reckoning, err);
    return r < 0 ? r : reckon(&reckoning, snapshots, faults, err);
}
