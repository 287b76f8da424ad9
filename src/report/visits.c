/* SPDX-License-Identifier: MIT */
#include "visits.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/sample.h"
#include "connhist/store/db.h"

#define HOUR_MS INT64_C(3600000)

/* Where snapshots were complete in some namespaces alone, their counts stand apart. */
#define HOURS_OF(table)                                            \
    "SELECT at_ms FROM " table " WHERE tier = 2 AND service = ?1 " \
    "AND state = ?2 AND at_ms >= ?3 AND at_ms < ?4"
static const char hours_sql[] = HOURS_OF("tally_rollups") " UNION ALL " HOURS_OF("netns_tallies");

/* Hours that may be left out. */
struct hours {
    int64_t from_ms; /* begin of the first one */
    int64_t end_ms;  /* end of the last one */
    bool *seen;      /* for each whether there was a socket; owned */
};

static int mark(struct hours *hours, struct stmt *stmt, int64_t service, int state, struct err *err)
{
    int r;

    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, service);
    stmt_bind_i64(stmt, 2, state);
    stmt_bind_i64(stmt, 3, hours->from_ms);
    stmt_bind_i64(stmt, 4, hours->end_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        hours->seen[(stmt_i64(stmt, 0) - hours->from_ms) / HOUR_MS] = true;
    return r;
}

static int mark_all(struct hours *hours, struct db *db, const struct lookup *lookup,
                    struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, hours_sql, &stmt, err);

    for (size_t i = 0; i < lookup->services.n && r == 0; i++)
        for (int state = 1; lookup->services.items[i].chosen && state < STATE_COUNT && r == 0;
             state++)
            r = mark(hours, stmt, lookup->services.items[i].id, state, err);
    return r;
}

static int add(struct visits *visits, int64_t from_ms, int64_t until_ms)
{
    struct visit *last = visits->n ? &visits->items[visits->n - 1] : NULL;
    struct visit visit = {.from_ms = from_ms, .until_ms = until_ms};

    if (from_ms > until_ms)
        return 0;
    if (last && last->until_ms + 1 == from_ms) {
        last->until_ms = until_ms;
        return 0;
    }
    return vec_push(visits, visit);
}

int visits_find(struct visits *visits, struct db *db, const struct lookup *lookup,
                const struct kept *kept, int64_t from_ms, int64_t until_ms, struct err *err)
{
    _cleanup_free_ bool *seen = NULL;
    struct hours hours = {.from_ms = kept->from_ms[TIER_HOURS + 1],
                          .end_ms = kept->until_ms[TIER_HOURS + 1]};
    int64_t last_ms = floor_to(until_ms, HOUR_MS) + HOUR_MS;
    int r;

    if (hours.from_ms < from_ms)
        hours.from_ms = from_ms;
    hours.from_ms = floor_to(hours.from_ms + HOUR_MS - 1, HOUR_MS);
    if (hours.end_ms > last_ms)
        hours.end_ms = last_ms;
    if (hours.end_ms <= hours.from_ms)
        return add(visits, from_ms, until_ms);
    hours.seen = seen = calloc((size_t)((hours.end_ms - hours.from_ms) / HOUR_MS), 1);
    if (!seen)
        return err_errno(err, -ENOMEM, "reading the sockets");
    r = mark_all(&hours, db, lookup, err);
    if (r < 0)
        return r;
    r = add(visits, from_ms, hours.from_ms - 1);
    for (int64_t ms = hours.from_ms; ms < hours.end_ms && r == 0; ms += HOUR_MS)
        if (seen[(ms - hours.from_ms) / HOUR_MS])
            r = add(visits, ms, ms + HOUR_MS - 1 < until_ms ? ms + HOUR_MS - 1 : until_ms);
    if (r == 0)
        r = add(visits, hours.end_ms, until_ms);
    return r < 0 ? err_errno(err, r, "reading the sockets") : 0;
}
