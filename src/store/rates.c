/* SPDX-License-Identifier: MIT */
/* What came and went at services, by the minute: batches add to rows that may be there already. */
#include "rates.h"

#include <errno.h>

#include "connhist/model/life.h"
#include "sql.h"
#include "writer.h"

struct packed {
    uint8_t bytes[HISTOGRAM_PACKED_MAX];
    size_t n;
};

static int add_column(struct histogram_sum *sum, sqlite3_stmt *stmt, int column)
{
    const void *bytes = sqlite3_column_blob(stmt, column);

    return histogram_add_packed(sum, bytes, (size_t)sqlite3_column_bytes(stmt, column));
}

int rates_read(struct store *store, sqlite3_stmt *stmt, int column, struct rate_row *row,
               struct err *err)
{
    for (int i = 0; i < RATE_COUNTS; i++)
        row->counts[i] += sqlite3_column_int64(stmt, column + i);
    if (add_column(&row->durations, stmt, column + RATE_COUNTS) < 0 ||
        add_column(&row->rtts, stmt, column + RATE_COUNTS + 1) < 0)
        return err_set(err, -EBADMSG, "%s is damaged: a histogram in `rate_rollups` can't be read",
                       store->path);
    return 0;
}

/* NULL when it is empty; packed must stay until the statement has run. */
static void bind_histogram(sqlite3_stmt *stmt, int index, const struct histogram_sum *sum,
                           struct packed *packed)
{
    packed->n = histogram_pack(sum, packed->bytes);
    if (packed->n > 0)
        sql_bind_bytes(stmt, index, packed->bytes, packed->n);
    else
        sqlite3_bind_null(stmt, index);
}

/* Adds what the file has of the period, if anything. */
static int add_stored(struct store *store, enum tier tier, int64_t service, int64_t at_ms,
                      struct rate_row *row, struct err *err)
{
    static const char sql[] = "SELECT " RATE_COLUMNS " FROM rate_rollups "
                              "WHERE tier = ?1 AND service = ?2 AND at_ms = ?3";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_GET_RATE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, tier, service, at_ms);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    r = rates_read(store, stmt, 0, row, err);
    sqlite3_reset(stmt);
    return r;
}

int rates_put(struct store *store, enum tier tier, int64_t service, int64_t at_ms,
              const struct rate_row *row, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO rate_rollups (tier, service, at_ms, " RATE_COLUMNS ") "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    struct packed packed[2];
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_PUT_RATE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, tier, service, at_ms);
    for (int i = 0; i < RATE_COUNTS; i++)
        sqlite3_bind_int64(stmt, 4 + i, row->counts[i]);
    bind_histogram(stmt, 4 + RATE_COUNTS, &row->durations, &packed[0]);
    bind_histogram(stmt, 5 + RATE_COUNTS, &row->rtts, &packed[1]);
    r = sql_run(stmt, err);
    sqlite3_clear_bindings(stmt);
    return r;
}

static struct rate_row row_of(const struct rate_change *rate)
{
    struct rate_row row = {
        .counts = {(int64_t)rate->opened, (int64_t)rate->closed[CLOSED_BY_LOCAL],
                   (int64_t)rate->closed[CLOSED_BY_REMOTE], (int64_t)rate->closed[CLOSED_BY_RESET],
                   (int64_t)rate->closed[CLOSED_BY_TIMEOUT],
                   (int64_t)rate->closed[CLOSED_BY_UNKNOWN], (int64_t)rate->sent_bytes,
                   (int64_t)rate->received_bytes},
    };

    histogram_add(&row.durations, &rate->duration_ms);
    histogram_add(&row.rtts, &rate->rtt_us);
    return row;
}

static int add_to(struct store *store, enum tier tier, int64_t service,
                  const struct rate_change *rate, struct err *err)
{
    struct rate_row row = row_of(rate);
    int64_t at_ms = rate->period_ms - rate->period_ms % tier_length_ms(tier);
    int r = add_stored(store, tier, service, at_ms, &row, err);

    return r < 0 ? r : rates_put(store, tier, service, at_ms, &row, err);
}

int rates_add(struct store *store, const struct batch_ids *ids, const struct rate_change *rate,
              struct err *err)
{
    int64_t service;
    int r = lives_find_service(store, ids, &rate->service, &service, err);

    if (r >= 0)
        r = add_to(store, TIER_MINUTES, service, rate, err);
    /* a socket may be told of after its hour was added up */
    for (int tier = TIER_HOURS; r >= 0 && tier <= TIER_DAYS; tier++) {
        r = rollup_has_rates(store, tier, service, rate->period_ms, err);
        if (r > 0)
            r = add_to(store, tier, service, rate, err);
    }
    return r;
}
