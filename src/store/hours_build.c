/* SPDX-License-Identifier: MIT */
#include "hours_build.h"

#include <errno.h>
#include <string.h>

#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

#define STEP_ROWS    1000            /* read in a step */
#define CLASS_ROWS   20              /* what looking for those of a class counts */
#define STRETCH_ROWS 500             /* fewer of them take hours together */
#define SETTLED_MS   INT64_C(600000) /* an hour is over for so long: late ones are rare */
#define NUMBERS_MAX  4096            /* of a kind, but for ports; when there are twice as many */
#define PACKED_MIN   64              /* bytes that may be taken for few numbers */
#define PACKED_MAX   4000            /* fits a page */
#define PORTS_BYTES  8192
#define END_MASK     "281474976710655" /* HOURS_END_MAX_MS */

static void end_stretch(struct hours_build *hours)
{
    for (int kind = 0; kind < HOURS_KINDS; kind++) {
        vec_finish(&hours->found[kind].numbers);
        hours->found[kind].lost = 0;
    }
    free(hours->ports);
    hours->ports = NULL;
    hours->hour_ms = hours->rows = hours->next_key = 0;
    hours->class = 0;
}

void hours_forget(struct hours_build *hours)
{
    end_stretch(hours);
    *hours = (struct hours_build){0};
}

static int read_until(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT max(key) FROM hours WHERE key BETWEEN ?1 AND ?2";
    struct hours_build *hours = &store->hours;
    sqlite3_stmt *stmt;
    int r = hours->is_known ? 0 : writer_stmt(store, STMT_LAST_HOURS, sql, &stmt, err);

    if (r < 0 || hours->is_known)
        return r;
    SQL_BIND(stmt, hours_key(HOURS_PORTS, 0), hours_key(HOURS_PORTS, HOURS_END_MAX_MS));
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    hours->until_ms = hours_end(sqlite3_column_int64(stmt, 0));
    hours->is_known = true;
    sqlite3_reset(stmt);
    return 0;
}

int hours_note(struct store *store, int64_t key, struct err *err)
{
    static const char sql[] = "DELETE FROM hours WHERE key > ?1 AND key <= ?1 + ?2 "
                              "AND (key & " END_MASK ") - length * 3600000 <= ?3";
    struct hours_build *hours = &store->hours;
    int64_t closing_ms = file_closed_at(key, 0),
            hour_ms = closing_ms - closing_ms % HOURS_LENGTH_MS;
    int r = read_until(store, err);

    if (r < 0)
        return r;
    if (hours->hour_ms && closing_ms < hours->hour_ms + HOURS_LENGTH_MS)
        end_stretch(hours);
    if (closing_ms >= hours->until_ms || hour_ms == hours->dropped_ms)
        return 0;
    for (int kind = 1; kind < HOURS_KINDS && r >= 0; kind++)
        r = WRITER_RUN(store, STMT_DROP_HOURS, sql, err,
                       hours_key((enum hours_kind)kind, closing_ms),
                       HOURS_LONGEST * HOURS_LENGTH_MS, closing_ms);
    if (r >= 0)
        hours->dropped_ms = hour_ms;
    return r < 0 ? r : 0;
}

static int add_number(struct hours_build *hours, enum hours_kind kind, uint64_t number)
{
    struct hours_found *found = &hours->found[kind];
    unsigned more = 0;

    number = (number & NUMBERS_GREATEST) >> found->lost;
    if (found->numbers.n && found->numbers.items[found->numbers.n - 1] == number)
        return 0;
    if (found->numbers.n >= 2 * (size_t)NUMBERS_MAX) {
        numbers_sort(&found->numbers);
        if (found->numbers.n > NUMBERS_MAX)
            more = numbers_coarsen(&found->numbers, NUMBERS_MAX);
        found->lost += more;
        number >>= more;
    }
    return vec_push(&found->numbers, number);
}

static void add_port(struct hours_build *hours, int64_t column)
{
    uint16_t port = file_port_of(column);

    hours->ports[port / 8] |= (uint8_t)(1U << port % 8);
}

static int add_remote(struct hours_build *hours, sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_INTEGER)
        return add_number(hours, HOURS_IPV4, (uint32_t)sqlite3_column_int64(stmt, column));
    if (sqlite3_column_bytes(stmt, column) != 16)
        return 0; /* no address at all: nobody finds it */
    return add_number(hours, HOURS_IPV6, hours_ipv6(sqlite3_column_blob(stmt, column)));
}

/* Who had it before, and who held it, too. */
static int add_others(struct store *store, int64_t life, struct err *err)
{
    static const char sql[] =
        "SELECT owner FROM owner_changes WHERE life = ?1 AND owner IS NOT NULL "
        "UNION ALL SELECT owner FROM holders WHERE life = ?1";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_HOURS_CHANGES, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, life);
    while ((r = sql_step(stmt, err)) > 0)
        if (add_number(&store->hours, HOURS_OWNERS, (uint64_t)sqlite3_column_int64(stmt, 0)) < 0) {
            sqlite3_reset(stmt);
            return err_errno(err, -ENOMEM, "%s", store->path);
        }
    return r;
}

/* Columns as in rows_sql. */
static int add_row(struct store *store, sqlite3_stmt *stmt, struct err *err)
{
    struct hours_build *hours = &store->hours;
    int r = add_remote(hours, stmt, 4);

    for (int column = 1; column <= 3; column++)
        if (sqlite3_column_type(stmt, column) != SQLITE_NULL &&
            (column < 3 || sqlite3_column_int64(stmt, column) >= 0))
            add_port(hours, sqlite3_column_int64(stmt, column));
    if (r >= 0 && sqlite3_column_type(stmt, 5) != SQLITE_NULL)
        r = add_number(hours, HOURS_OWNERS, (uint64_t)sqlite3_column_int64(stmt, 5));
    if (r < 0)
        return err_errno(err, r, "%s", store->path);
    hours->rows++;
    return sqlite3_column_type(stmt, 6) == SQLITE_NULL
               ? 0
               : add_others(store, sqlite3_column_int64(stmt, 6), err);
}

/* Those of a class in the hour at work, from next_key on. 1: the step is spent. */
static int read_class(struct store *store, int *left, struct err *err)
{
    static const char sql[] =
        "SELECT c.key, c.local_port, c.remote_port, (SELECT s.port FROM services AS s WHERE s.id = "
        "c.service), c.remote, c.owner, c.life FROM closed AS c WHERE c.key BETWEEN ?1 AND ?2 "
        "ORDER BY c.key";
    struct hours_build *hours = &store->hours;
    int64_t last = file_closed_key(hours->class, hours->hour_ms + HOURS_LENGTH_MS, 0) - 1;
    int64_t first = file_closed_key(hours->class, hours->hour_ms, 0);
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_HOURS_ROWS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, hours->next_key > first ? hours->next_key : first, last);
    *left -= CLASS_ROWS;
    while ((r = sql_step(stmt, err)) > 0) {
        hours->next_key = sqlite3_column_int64(stmt, 0) + 1;
        r = add_row(store, stmt, err);
        if (r < 0 || --*left <= 0) {
            sqlite3_reset(stmt);
            return r < 0 ? r : 1;
        }
    }
    return r;
}

/* 1: the step is spent; 0: the hour is read. */
static int read_hour(struct store *store, struct err *err)
{
    struct hours_build *hours = &store->hours;
    int left = STEP_ROWS, r;

    if (!hours->ports)
        hours->ports = calloc(PORTS_BYTES, 1);
    if (!hours->ports)
        return err_errno(err, -ENOMEM, "%s", store->path);
    for (; hours->class < FILE_CLASSES; hours->class ++) {
        r = read_class(store, &left, err);
        if (r != 0)
            return r;
    }
    hours->class = 0;
    hours->next_key = 0;
    hours->hour_ms += HOURS_LENGTH_MS;
    return 0;
}

static int list_ports(struct hours_build *hours)
{
    struct hours_numbers *ports = &hours->found[HOURS_PORTS].numbers;
    int r = 0;

    vec_clear(ports);
    for (unsigned port = 0; port < 8 * PORTS_BYTES && r >= 0; port++)
        if (hours->ports[port / 8] >> port % 8 & 1)
            r = vec_push(ports, (uint64_t)port);
    return r;
}

/* Ten bits for a number tell it from all but one in some hundred of those that lie around it. Ports
 * are told exactly. */
static int pack(struct hours_build *hours, enum hours_kind kind, struct hours_bytes *ret)
{
    struct hours_found *found = &hours->found[kind];
    size_t most = SIZE_MAX;

    if (kind == HOURS_PORTS && list_ports(hours) < 0)
        return -ENOMEM;
    numbers_sort(&found->numbers);
    if (kind != HOURS_PORTS) {
        if (found->numbers.n > NUMBERS_MAX)
            found->lost += numbers_coarsen(&found->numbers, NUMBERS_MAX);
        most = found->numbers.n * 5 / 4;
        most = most < PACKED_MIN ? PACKED_MIN : most > PACKED_MAX ? PACKED_MAX : most;
    }
    return numbers_pack(&found->numbers, found->lost, most, ret);
}

static int put_kind(struct store *store, enum hours_kind kind, struct hours_bytes *bytes,
                    struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO hours (key, length, numbers) VALUES (?1, ?2, ?3)";
    const struct hours_build *hours = &store->hours;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_PUT_HOURS, sql, &stmt, err);

    if (r < 0)
        return r;
    if (pack(&store->hours, kind, bytes) < 0)
        return err_errno(err, -ENOMEM, "%s", store->path);
    SQL_BIND(stmt, hours_key(kind, hours->hour_ms),
             (hours->hour_ms - hours->from_ms) / HOURS_LENGTH_MS);
    sql_bind_bytes(stmt, 3, bytes->items, bytes->n);
    return sql_run(stmt, err);
}

static int put_stretch(struct store *store, struct err *err)
{
    struct hours_build *hours = &store->hours;
    struct hours_bytes bytes = {0};
    int64_t until_ms = hours->hour_ms;
    int r = writer_begin(store, err);

    if (r < 0) {
        hours_forget(hours);
        return r;
    }
    for (int kind = 1; kind < HOURS_KINDS && r >= 0; kind++)
        r = put_kind(store, (enum hours_kind)kind, &bytes, err);
    vec_finish(&bytes);
    r = writer_end(store, r, err);
    if (r < 0)
        return r;
    end_stretch(hours);
    hours->until_ms = until_ms;
    return 1;
}

/* Whether the next hour is over. 1: hour_ms tells which. */
static int choose(struct store *store, struct err *err)
{
    static const char sql[] = "SELECT start_ms FROM snapshots ORDER BY start_ms DESC LIMIT 1";
    struct hours_build *hours = &store->hours;
    int64_t last_ms = 0, from_ms;
    int r = read_until(store, err);

    if (r >= 0)
        r = sql_query_i64(store->db, sql, &last_ms, err);
    if (r <= 0)
        return r;
    from_ms = hours->hour_ms ? hours->hour_ms : hours->until_ms;
    if (!from_ms) {
        r = prune_oldest_closing(store, last_ms, &from_ms, err);
        if (r <= 0)
            return r;
        from_ms -= from_ms % HOURS_LENGTH_MS;
    }
    if (from_ms + HOURS_LENGTH_MS + SETTLED_MS > last_ms)
        return 0;
    if (!hours->hour_ms)
        hours->from_ms = hours->hour_ms = from_ms;
    return 1;
}

int hours_step(struct store *store, struct err *err)
{
    struct hours_build *hours = &store->hours;
    int r = choose(store, err);

    if (r > 0) {
        r = read_hour(store, err);
        if (r < 0)
            hours_forget(hours);
        if (r != 0)
            return r;
        if (hours->rows >= STRETCH_ROWS ||
            hours->hour_ms - hours->from_ms >= HOURS_LONGEST * HOURS_LENGTH_MS)
            return put_stretch(store, err);
        return 1;
    }
    return r;
}
