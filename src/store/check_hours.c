/* SPDX-License-Identifier: MIT */
/* Whether all that closed in hours is in what is told of them: else a search would pass over it. */
#include <errno.h>

#include "connhist/store/file.h"
#include "connhist/store/hours.h"
#include "senses.h"
#include "sql.h"

#define SORT_EVERY 131072 /* numbers, so that memory does not grow with the rows */

static const char stretches_sql[] = "SELECT DISTINCT key & 281474976710655, length FROM hours";
static const char set_sql[] = "SELECT numbers FROM hours WHERE key = ?1 AND length = ?2";
static const char rows_sql[] =
    "SELECT c.local_port & 65535, c.remote_port & 65535, (SELECT s.port & 65535 FROM services AS s "
    "WHERE s.id = c.service AND s.port >= 0), c.remote, c.owner FROM closed AS c "
    "WHERE c.key BETWEEN ?1 AND ?2 UNION ALL "
    "SELECT NULL, NULL, NULL, NULL, o.owner FROM closed AS c JOIN owner_changes AS o ON o.life = "
    "c.life WHERE c.key BETWEEN ?1 AND ?2 AND o.owner IS NOT NULL";

struct hours_check {
    sqlite3_stmt *rows, *set; /* owned */
    struct found {
        struct hours_numbers numbers; /* owned */
        size_t sort_at;
    } found[HOURS_KINDS];
};

static void finish(struct hours_check *check)
{
    sqlite3_finalize(check->rows);
    sqlite3_finalize(check->set);
    for (int kind = 0; kind < HOURS_KINDS; kind++)
        vec_finish(&check->found[kind].numbers);
}

static int add(struct hours_check *check, enum hours_kind kind, uint64_t number)
{
    struct found *found = &check->found[kind];

    if (found->numbers.n >= found->sort_at) {
        numbers_sort(&found->numbers);
        found->sort_at = 2 * found->numbers.n + SORT_EVERY;
    }
    return vec_push(&found->numbers, number & NUMBERS_GREATEST);
}

static int add_row(struct hours_check *check, struct err *err)
{
    sqlite3_stmt *stmt = check->rows;
    int r = 0;

    for (int column = 0; column < 3 && r >= 0; column++)
        if (sqlite3_column_type(stmt, column) != SQLITE_NULL)
            r = add(check, HOURS_PORTS, (uint64_t)sqlite3_column_int64(stmt, column));
    if (r >= 0 && sqlite3_column_type(stmt, 3) == SQLITE_INTEGER)
        r = add(check, HOURS_IPV4, (uint32_t)sqlite3_column_int64(stmt, 3));
    if (r >= 0 && sqlite3_column_type(stmt, 3) == SQLITE_BLOB &&
        sqlite3_column_bytes(stmt, 3) == 16)
        r = add(check, HOURS_IPV6, hours_ipv6(sqlite3_column_blob(stmt, 3)));
    if (r >= 0 && sqlite3_column_type(stmt, 4) != SQLITE_NULL)
        r = add(check, HOURS_OWNERS, (uint64_t)sqlite3_column_int64(stmt, 4));
    return r < 0 ? err_errno(err, r, "hours") : 0;
}

static int read_rows(struct hours_check *check, int64_t from_ms, int64_t end_ms, struct err *err)
{
    int r = 0;

    for (int kind = 0; kind < HOURS_KINDS; kind++) {
        vec_clear(&check->found[kind].numbers);
        check->found[kind].sort_at = SORT_EVERY;
    }
    for (unsigned class = 0; class < FILE_CLASSES && r >= 0; class ++) {
        SQL_BIND(check->rows, file_closed_key(class, from_ms, 0),
                 file_closed_key(class, end_ms, 0) - 1);
        while ((r = sql_step(check->rows, err)) > 0) {
            r = add_row(check, err);
            if (r < 0)
                return r;
        }
    }
    return r;
}

/* 1: what is told has all. */
static int check_stretch(struct hours_check *check, int64_t end_ms, int64_t length, struct err *err)
{
    int64_t from_ms = end_ms - length * HOURS_LENGTH_MS;
    int holds = 1, r;

    if (length < 1 || length > HOURS_LONGEST || from_ms < 0 || end_ms > FILE_CLOSING_MAX)
        return 0;
    r = read_rows(check, from_ms, end_ms, err);
    for (int kind = 1; kind < HOURS_KINDS && r >= 0 && holds > 0; kind++) {
        numbers_sort(&check->found[kind].numbers);
        SQL_BIND(check->set, hours_key((enum hours_kind)kind, end_ms), length);
        r = sql_step(check->set, err);
        if (r > 0) /* without one it is looked through */
            holds = numbers_hold(sqlite3_column_blob(check->set, 0),
                                 (size_t)sqlite3_column_bytes(check->set, 0),
                                 &check->found[kind].numbers);
        sqlite3_reset(check->set);
    }
    return r < 0 ? r : holds > 0;
}

int senses_each_denied(sqlite3 *db, int edition, int (*fn)(void *arg, int64_t end_ms), void *arg,
                       struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stretches = NULL;
    _cleanup_(finish) struct hours_check check = {0};
    int r = edition < 3 ? 0 : sql_prepare(db, stretches_sql, &stretches, err);

    if (r >= 0 && edition >= 3)
        r = sql_prepare(db, rows_sql, &check.rows, err);
    if (r >= 0 && edition >= 3)
        r = sql_prepare(db, set_sql, &check.set, err);
    if (r < 0 || edition < 3)
        return r;
    while ((r = sql_step(stretches, err)) > 0) {
        int64_t end_ms = sqlite3_column_int64(stretches, 0);

        r = check_stretch(&check, end_ms, sqlite3_column_int64(stretches, 1), err);
        if (r == 0)
            r = fn(arg, end_ms);
        if (r < 0)
            return r;
    }
    return r;
}
