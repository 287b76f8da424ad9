/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "connhist/base/vec.h"
#include "connhist/model/history.h"
#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

/* Columns that open and closed share, as they are bound from ?1 on. */
struct row {
    int64_t service;
    int64_t local;
    int64_t remote;
    int64_t local_port;  /* -1: NULL */
    int64_t remote_port; /* -1: NULL */
    int64_t scope;       /* 0: NULL */
    int64_t owner;       /* 0: NULL */
    int64_t traits;
};

int lives_find_service(struct store *store, const struct netns_ids *netns,
                       const struct service_key *service, int64_t *ret, struct err *err)
{
    for (size_t i = 0; i < netns->n; i++)
        if (netns->refs[i].id == service->netns)
            return dictionary_service(store, netns->ids[i], service, ret, err);
    return err_set(err, -EINVAL, "network namespace %u is not in the batch", service->netns);
}

static int find_remote(struct store *store, const struct life *life, int64_t *ret, struct err *err)
{
    int64_t id;
    int r;

    if (life->family == AF_INET || address_is_mapped(life->family, &life->remote)) {
        *ret = address_ipv4(life->family, &life->remote);
        return 0;
    }
    r = dictionary_address(store, life->family, &life->remote, &id, err);
    if (r < 0)
        return r;
    *ret = -id;
    return 0;
}

static int make_row(struct store *store, const struct netns_ids *netns, const struct life *life,
                    struct row *ret, struct err *err)
{
    const struct service_key *service = &life->service;
    bool server = service->role == ROLE_SERVER;
    struct row row = {
        .local_port = server && service->port == life->local_port ? -1 : life->local_port,
        .remote_port = !server && service->port == life->remote_port ? -1 : life->remote_port,
        .scope = life->scope_ifindex,
        .traits = file_traits(life->state, life->role_source, life->opened_known),
    };
    int r = lives_find_service(store, netns, service, &row.service, err);

    if (r >= 0)
        r = dictionary_address(store, life->family, &life->local, &row.local, err);
    if (r >= 0)
        r = find_remote(store, life, &row.remote, err);
    if (r >= 0 && life->uid != UID_UNKNOWN)
        r = dictionary_owner(store, life->uid, &row.owner, err);
    if (r < 0)
        return r;
    *ret = row;
    return 0;
}

static void bind_row(sqlite3_stmt *stmt, const struct row *row, const struct life *life)
{
    SQL_BIND(stmt, row->service, row->local, row->remote);
    sql_bind_unless(stmt, 4, row->local_port, -1);
    sql_bind_unless(stmt, 5, row->remote_port, -1);
    sql_bind_unless(stmt, 6, row->scope, 0);
    sql_bind_unless(stmt, 7, row->owner, 0);
    sqlite3_bind_int64(stmt, 8, row->traits);
    sql_bind_bytes(stmt, 9, life->history, life->history_bytes);
}

int lives_put_open(struct store *store, const struct netns_ids *netns, const struct life *life,
                   struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO open (service, local, remote, local_port, remote_port, scope, "
        "owner, traits, states, life, cookie, inode, since_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    sqlite3_stmt *stmt;
    struct row row;
    int r = make_row(store, netns, life, &row, err);

    if (r >= 0)
        r = writer_stmt(store, STMT_PUT_OPEN, sql, &stmt, err);
    if (r < 0)
        return r;
    bind_row(stmt, &row, life);
    sqlite3_bind_int64(stmt, 10, (int64_t)life->number);
    sqlite3_bind_int64(stmt, 11, (int64_t)life->cookie);
    sqlite3_bind_int64(stmt, 12, life->inode);
    sqlite3_bind_int64(stmt, 13, life->since_ms);
    return sql_run(stmt, err);
}

static bool has_listened(const uint8_t *history, size_t n, int64_t since_ms)
{
    return history_entered(history, n, since_ms, STATE_LISTEN) != INT64_MIN;
}

static int drop_open(struct store *store, uint64_t number, struct err *err)
{
    return WRITER_RUN(store, STMT_DROP_OPEN, "DELETE FROM open WHERE life = ?1", err,
                      (int64_t)number);
}

int lives_add_closed(struct store *store, const struct netns_ids *netns, const struct life *life,
                     struct err *err)
{
    static const char sql[] =
        "INSERT INTO closed (service, local, remote, local_port, remote_port, scope, owner, "
        "traits, states, key, duration_ms, late_ms, life) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    bool listened = has_listened(life->history, life->history_bytes, life->since_ms);
    int64_t key, late_ms;
    sqlite3_stmt *stmt;
    struct row row;
    int r;

    assert(life->ended_ms != TIME_UNKNOWN);
    r = make_row(store, netns, life, &row, err);
    if (r >= 0)
        r = serials_take(store, life->since_ms, life->ended_ms, &key, &late_ms, err);
    if (r >= 0)
        r = writer_stmt(store, STMT_ADD_CLOSED, sql, &stmt, err);
    if (r < 0)
        return r;
    bind_row(stmt, &row, life);
    sqlite3_bind_int64(stmt, 10, key);
    sqlite3_bind_int64(stmt, 11, life->ended_ms - life->since_ms);
    sqlite3_bind_int64(stmt, 12, late_ms);
    sql_bind_unless(stmt, 13, listened ? (int64_t)life->number : 0, 0);
    r = sql_run(stmt, err);
    return r < 0 ? r : drop_open(store, life->number, err);
}

/* What closing a row of open needs to know of it. */
static int read_open(struct store *store, int64_t number, int64_t *ret_since_ms, bool *ret_listened,
                     struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_GET_OPEN, "SELECT since_ms, states FROM open WHERE life = ?1",
                        &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, number);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r < 0 ? r
                     : err_set(err, -EBADMSG, "%s: life %lld is gone", store->path,
                               (long long)number);
    *ret_since_ms = sqlite3_column_int64(stmt, 0);
    *ret_listened = has_listened(sqlite3_column_blob(stmt, 1),
                                 (size_t)sqlite3_column_bytes(stmt, 1), *ret_since_ms);
    sqlite3_reset(stmt);
    return 0;
}

static int close_one(struct store *store, int64_t number, int64_t ended_ms, struct err *err)
{
    static const char sql[] =
        "INSERT INTO closed (key, service, local, remote, local_port, remote_port, scope, owner, "
        "duration_ms, late_ms, traits, states, life) "
        "SELECT ?1, service, local, remote, local_port, remote_port, scope, owner, "
        "?2 - since_ms, ?3, traits, states, iif(?4, life, NULL) FROM open WHERE life = ?5";
    int64_t since_ms = 0, key, late_ms;
    bool listened = false;
    int r = read_open(store, number, &since_ms, &listened, err);

    if (r < 0)
        return r;
    if (ended_ms <= since_ms) /* it was alive at that instant */
        ended_ms = since_ms + 1;
    r = serials_take(store, since_ms, ended_ms, &key, &late_ms, err);
    if (r >= 0)
        r = WRITER_RUN(store, STMT_MOVE_CLOSED, sql, err, key, ended_ms, late_ms, listened, number);
    return r < 0 ? r : drop_open(store, (uint64_t)number, err);
}

int lives_compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

struct number_vec {
    VEC_FIELDS(int64_t);
};

/* First all numbers, then the rows: a statement must not read what another changes. */
static int list_others(struct store *store, const uint64_t *numbers, size_t n,
                       struct number_vec *others, struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LIST_OPEN, "SELECT life FROM open ORDER BY life", &stmt, err);

    if (r < 0)
        return r;
    while ((r = sql_step(stmt, err)) > 0) {
        int64_t number = sqlite3_column_int64(stmt, 0);

        if (n && bsearch(&number, numbers, n, sizeof(*numbers), lives_compare_numbers))
            continue;
        if (vec_push(others, number) < 0) {
            sqlite3_reset(stmt);
            return err_errno(err, -ENOMEM, "%s", store->path);
        }
    }
    return r;
}

int lives_close_others(struct store *store, const uint64_t *numbers, size_t n, int64_t ended_ms,
                       struct err *err)
{
    struct number_vec others = {0};
    int r = list_others(store, numbers, n, &others, err);

    for (size_t i = 0; i < others.n && r >= 0; i++)
        r = close_one(store, others.items[i], ended_ms, err);
    vec_finish(&others);
    return r;
}
