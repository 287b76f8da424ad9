/* SPDX-License-Identifier: MIT */
#include "closed_rows.h"

#include <string.h>

#include "sql.h"
#include "writer.h"

/* FAIL: a transaction with an error is rolled back as a whole, so no statement need be. All columns
 * in the order of the table: else SQLite copies each value once more. */
#define INSERT                                                                                  \
    "INSERT OR FAIL INTO closed (key, service, local, remote, local_port, remote_port, scope, " \
    "owner, duration_ms, late_ms, traits, states, life, closed_by, sent_bytes, "                \
    "received_bytes, segs_out, segs_in, retrans, rtt_us, sampled_ms) VALUES "
#define ROW   "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
#define ROWS4 ROW "," ROW "," ROW "," ROW

/* was: what is bound there, or NULL. */
static void bind_row(sqlite3_stmt *stmt, size_t at, const struct closed_row *row,
                     const int64_t *was)
{
    int first = (int)at * (CLOSED_COLUMNS + 1) + 1;

    for (int i = 0; i < CLOSED_COLUMNS; i++)
        if (!was || was[i] != row->values[i])
            sql_bind_unless(stmt, first + i + (i >= CLOSED_LIFE), row->values[i], CLOSED_ROWS_NULL);
    if (row->remote)
        sql_bind_bytes(stmt, first + CLOSED_REMOTE, row->remote, row->remote_bytes);
    sql_bind_bytes(stmt, first + CLOSED_LIFE, row->states, row->states_bytes);
}

static int insert_one(struct store *store, const struct closed_row *row, struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_CLOSED, INSERT ROW, &stmt, err);

    if (r < 0)
        return r;
    bind_row(stmt, 0, row, NULL);
    return sql_run(stmt, err);
}

static int insert_many(struct store *store, struct closed_rows *rows, struct err *err)
{
    static const char sql[] = INSERT ROWS4 "," ROWS4 "," ROWS4 "," ROWS4;
    bool is_new = !store->stmts[STMT_ADD_CLOSED_MANY];
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_CLOSED_MANY, sql, &stmt, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < CLOSED_ROWS_MAX; i++) {
        bind_row(stmt, i, &rows->rows[i], is_new ? NULL : rows->bound[i]);
        memcpy(rows->bound[i], rows->rows[i].values, sizeof(rows->bound[i]));
    }
    return sql_run(stmt, err);
}

int closed_rows_insert(struct store *store, struct err *err)
{
    struct closed_rows *rows = &store->closed_rows;
    int r = 0;

    if (rows->n == CLOSED_ROWS_MAX)
        return insert_many(store, rows, err);
    for (size_t i = 0; i < rows->n && r >= 0; i++)
        r = insert_one(store, &rows->rows[i], err);
    return r;
}
