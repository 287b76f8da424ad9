/* SPDX-License-Identifier: MIT */
#include "connhist/report/budget.h"

#include <stdbool.h>

#include "connhist/model/life.h"
#include "connhist/store/db.h"

#define DAY_MS INT64_C(86400000)

/* A younger record grows as it will not go on: names come first. */
#define GROWTH_MIN_MS INT64_C(3600000)

/* The first snapshot whose sockets are all there, the first whose counts are, and the first period of each tier. */
static const char *const since_sql[SIZE_PARTS] = {
    [SIZE_DETAIL] = "SELECT start_ms FROM snapshots WHERE start_ms >= "
                    "(SELECT from_ms FROM tiers WHERE tier = -1) ORDER BY start_ms LIMIT 1",
    [SIZE_TICKS] = "SELECT start_ms FROM snapshots WHERE start_ms >= "
                   "(SELECT from_ms FROM tiers WHERE tier = 0) ORDER BY start_ms LIMIT 1",
    [SIZE_MINUTES] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 1",
    [SIZE_HOURS] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 2",
    [SIZE_DAYS] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = 3",
};

static int ask_number(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r >= 0)
        r = stmt_step(stmt, err);
    if (r > 0 && !stmt_is_null(stmt, 0))
        *ret = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

/* 1: the oldest of a part goes for its age, so that it does not grow. */
static int is_steady(struct db *db, int part, bool *ret, struct err *err)
{
    static const char sql[] =
        "SELECT count(*) FROM prunings AS p JOIN tiers AS t ON t.tier = p.tier "
        "WHERE p.tier = ?1 AND p.cause = 1 AND p.until_ms = t.from_ms";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    *ret = false;
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, part - SIZE_TICKS);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret = stmt_i64(stmt, 0) > 0;
    return r < 0 ? r : 0;
}

/* Each part by its own age: what is removed at one end no longer counts for the time it was of. */
static int64_t growth(const struct budget *budget, const int64_t since_ms[SIZE_PARTS],
                      const bool steady[SIZE_PARTS], int64_t last_ms)
{
    double sum = 0;
    bool known = false;

    for (int i = 0; i < SIZE_FREE; i++) {
        /* names and the rest are as old as the record, as far as it goes back */
        int64_t from_ms = since_sql[i] ? since_ms[i] : since_ms[SIZE_DAYS];

        if (from_ms == TIME_UNKNOWN)
            from_ms = since_ms[SIZE_DETAIL];
        if (from_ms == TIME_UNKNOWN || last_ms - from_ms < GROWTH_MIN_MS)
            continue;
        known = true;
        if (!steady[i])
            sum += (double)budget->bytes[i] * DAY_MS / (double)(last_ms - from_ms);
    }
    return known ? (int64_t)sum : -1;
}

int budget_ask(struct db *db, const struct walltime *walltime, struct budget *ret, struct err *err)
{
    struct budget budget = {.day_bytes = -1};
    int64_t since_ms[SIZE_PARTS], last_ms = 0;
    bool steady[SIZE_PARTS] = {false};
    int r = sizes_measure(db, budget.bytes, err);

    for (int i = 0; i < SIZE_PARTS; i++)
        since_ms[i] = budget.since_ms[i] = TIME_UNKNOWN;
    if (r >= 0 && db_edition(db) >= 3) {
        for (int i = 0; i < SIZE_PARTS && r >= 0; i++)
            if (since_sql[i])
                r = ask_number(db, since_sql[i], &since_ms[i], err);
        for (int i = SIZE_DETAIL; i <= SIZE_DAYS && r >= 0; i++)
            r = is_steady(db, i, &steady[i], err);
        if (r >= 0)
            r = ask_number(db, "SELECT max_bytes FROM recordings ORDER BY id DESC LIMIT 1",
                           &budget.max_bytes, err);
        if (r >= 0)
            r = ask_number(db, "SELECT max(start_ms) FROM snapshots", &last_ms, err);
        if (r >= 0)
            budget.day_bytes = growth(&budget, since_ms, steady, last_ms);
    }
    if (r < 0)
        return r;
    for (int i = 0; i < SIZE_PARTS; i++)
        budget.since_ms[i] = walltime_of_record(walltime, since_ms[i]);
    *ret = budget;
    return 0;
}
