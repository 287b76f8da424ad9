/* SPDX-License-Identifier: MIT */
/* The rates of a range, service by service. */
#include "rates.h"
#include "rollup.h"
#include "sql.h"
#include "writer.h"

/* What a service takes, and what a row with its histograms does, in rows that are read. */
#define SERVICE_ROWS 4
#define RATE_ROWS    4

/* Moves on to the next service. 1: there is one. */
static int next_service(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT service FROM rate_rollups WHERE tier = ?1 AND service > ?2 "
                              "ORDER BY service LIMIT 1";
    struct rollup *rollup = &store->rollup;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_NEXT_RATE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, rollup->tier - 1, rollup->rate_service);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    rollup->rate_service = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return 1;
}

/* Reads the rows of the service in one statement and writes those of the longer periods that are
 * over. */
static int add_rows(struct store *store, sqlite3_stmt *stmt, int *rows, struct err *err)
{
    const struct rollup *rollup = &store->rollup;
    int64_t length_ms = tier_length_ms(rollup->tier), period_ms = 0;
    struct rate_row sum = {0};
    bool has = false;
    int r;

    while ((r = sql_step(stmt, err)) > 0) {
        int64_t at_ms = sqlite3_column_int64(stmt, 0);

        if (has && at_ms - at_ms % length_ms != period_ms) {
            r = rates_put(store, rollup->tier, rollup->rate_service, period_ms, &sum, err);
            sum = (struct rate_row){0};
        }
        if (r >= 0)
            r = rates_read(store, stmt, 1, &sum, err);
        if (r < 0)
            return r;
        period_ms = at_ms - at_ms % length_ms;
        has = true;
        *rows -= RATE_ROWS;
    }
    if (r >= 0 && has)
        r = rates_put(store, rollup->tier, rollup->rate_service, period_ms, &sum, err);
    return r;
}

static int add_service(struct store *store, int *rows, struct err *err)
{
    static const char sql[] = "SELECT at_ms, " RATE_COLUMNS " FROM rate_rollups "
                              "WHERE tier = ?1 AND service = ?2 AND at_ms >= ?3 AND at_ms < ?4 "
                              "ORDER BY at_ms";
    const struct rollup *rollup = &store->rollup;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LIST_RATES, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, rollup->tier - 1, rollup->rate_service, rollup->from_ms, rollup->end_ms);
    r = add_rows(store, stmt, rows, err);
    sqlite3_reset(stmt);
    return r;
}

int rollup_rates(struct store *store, int *rows, struct err *err)
{
    int r = 1;

    while (r > 0 && *rows > 0) {
        *rows -= SERVICE_ROWS;
        r = next_service(store, err);
        if (r <= 0)
            break;
        r = add_service(store, rows, err);
        r = r < 0 ? r : 1;
    }
    return r;
}
