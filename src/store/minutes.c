/* SPDX-License-Identifier: MIT */
/* What came and went at services, by the minute: batches add to rows that may be there already. */
#include <errno.h>

#include "connhist/model/life.h"
#include "connhist/store/histogram.h"
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

/* Adds the histograms that the file has of the minute, if any. */
static int add_stored(struct store *store, int64_t service, int64_t at_ms,
                      struct histogram_sum *durations, struct histogram_sum *rtts, struct err *err)
{
    static const char sql[] = "SELECT durations, rtts FROM minutes "
                              "WHERE service = ?1 AND at_ms = ?2";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_GET_MINUTE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, service, at_ms);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    if (add_column(durations, stmt, 0) < 0 || add_column(rtts, stmt, 1) < 0)
        r = err_set(err, -EBADMSG, "%s is damaged: a histogram in `minutes` can't be read",
                    store->path);
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
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

static int put(struct store *store, int64_t service, const struct rate_change *rate,
               const struct histogram_sum *durations, const struct histogram_sum *rtts,
               struct err *err)
{
    static const char sql[] =
        "INSERT INTO minutes (service, at_ms, opened, closed_local, closed_remote, closed_reset, "
        "closed_timeout, closed_unknown, sent_bytes, received_bytes, durations, rtts) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) "
        "ON CONFLICT (service, at_ms) DO UPDATE SET opened = opened + excluded.opened, "
        "closed_local = closed_local + excluded.closed_local, "
        "closed_remote = closed_remote + excluded.closed_remote, "
        "closed_reset = closed_reset + excluded.closed_reset, "
        "closed_timeout = closed_timeout + excluded.closed_timeout, "
        "closed_unknown = closed_unknown + excluded.closed_unknown, "
        "sent_bytes = sent_bytes + excluded.sent_bytes, "
        "received_bytes = received_bytes + excluded.received_bytes, "
        "durations = excluded.durations, rtts = excluded.rtts";
    struct packed packed[2];
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_MINUTE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, service, rate->period_ms, (int64_t)rate->opened,
             (int64_t)rate->closed[CLOSED_BY_LOCAL], (int64_t)rate->closed[CLOSED_BY_REMOTE],
             (int64_t)rate->closed[CLOSED_BY_RESET], (int64_t)rate->closed[CLOSED_BY_TIMEOUT],
             (int64_t)rate->closed[CLOSED_BY_UNKNOWN], (int64_t)rate->sent_bytes,
             (int64_t)rate->received_bytes);
    bind_histogram(stmt, 11, durations, &packed[0]);
    bind_histogram(stmt, 12, rtts, &packed[1]);
    r = sql_run(stmt, err);
    sqlite3_clear_bindings(stmt);
    return r;
}

int minutes_add(struct store *store, const struct batch_ids *ids, const struct rate_change *rate,
                struct err *err)
{
    struct histogram_sum durations = {0}, rtts = {0};
    int64_t service;
    int r = lives_find_service(store, ids, &rate->service, &service, err);

    if (r < 0)
        return r;
    histogram_add(&durations, &rate->duration_ms);
    histogram_add(&rtts, &rate->rtt_us);
    r = add_stored(store, service, rate->period_ms, &durations, &rtts, err);
    return r < 0 ? r : put(store, service, rate, &durations, &rtts, err);
}
