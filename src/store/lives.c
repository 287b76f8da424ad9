/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>

#include "connhist/base/vec.h"
#include "connhist/model/history.h"
#include "connhist/model/offload.h"
#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

/* How many ms behind its end a row is looked for: 65,536 sockets of a class closed in each. */
#define AMEND_LATE_MAX_MS 3

#define PORT_OF_SERVICE INT64_MAX

/* Columns that open and closed share, as they are bound from ?1 on. */
struct row {
    struct file_remote remote; /* points into the life */
    int64_t service;
    int64_t local;
    int64_t local_port;  /* PORT_OF_SERVICE: NULL */
    int64_t remote_port; /* PORT_OF_SERVICE: NULL */
    int64_t scope;       /* 0: NULL */
    int64_t owner;       /* 0: NULL */
    int64_t traits;
};

int64_t lives_netns(const struct batch_ids *ids, uint32_t netns)
{
    size_t low = 0, high = ids->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ids->refs[middle].id < netns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ids->n && ids->refs[low].id == netns ? ids->ids[low] : 0;
}

int lives_find_service(struct store *store, const struct batch_ids *ids,
                       const struct service_key *service, int64_t *ret, struct err *err)
{
    int64_t netns = lives_netns(ids, service->netns);

    if (netns)
        return dictionary_service(store, netns, service, ret, err);
    return err_set(err, -EINVAL, "network namespace %u is not in the batch", service->netns);
}

static int compare_owner(const void *key, const void *item)
{
    uint32_t number = *(const uint32_t *)key, other = ((const struct owner_ids *)item)->number;

    return (number > other) - (number < other);
}

int lives_find_owner(struct store *store, const struct batch_ids *ids, uint32_t uid,
                     uint32_t number, int64_t *ret, struct err *err)
{
    const struct owner_ids *owner = NULL;

    if (number && ids->n_owners)
        owner = bsearch(&number, ids->owners, ids->n_owners, sizeof(*owner), compare_owner);
    if (number && !owner)
        return err_set(err, -EINVAL, "owner %u is not in the batch", number);
    return owners_find(store, uid, owner, ret, err);
}

static int make_row(struct store *store, const struct batch_ids *ids, const struct life *life,
                    struct row *ret, struct err *err)
{
    const struct service_key *service = &life->service;
    bool server = service->role == ROLE_SERVER;
    struct row row = {
        .remote = file_remote(life->family, &life->remote),
        .local_port = server && service->port == life->local_port ? PORT_OF_SERVICE
                                                                  : file_port(life->local_port),
        .remote_port = !server && service->port == life->remote_port ? PORT_OF_SERVICE
                                                                     : file_port(life->remote_port),
        .scope = life->scope_ifindex,
        .traits = file_traits(life->state, life->role_source, life->opened_known) |
                  file_traits_of_owner(life->owner_source) |
                  file_traits_of_handed_on(life->handed_on) |
                  file_traits_of_offloaded(life->offload != OFFLOAD_UNKNOWN) |
                  file_traits_of_v6only(life->v6only),
    };
    int r = lives_find_service(store, ids, service, &row.service, err);

    if (r >= 0)
        r = dictionary_address(store, life->family, &life->local, &row.local, err);
    if (r >= 0)
        r = lives_find_owner(store, ids, life->uid, life->owner, &row.owner, err);
    if (r < 0)
        return r;
    *ret = row;
    return 0;
}

/* ?1 to ?6: where it is from and to. */
static void bind_ends(sqlite3_stmt *stmt, const struct row *row)
{
    SQL_BIND(stmt, row->service, row->local, row->remote.number);
    if (row->remote.ipv6)
        sql_bind_bytes(stmt, 3, row->remote.bytes, row->remote.n);
    sql_bind_unless(stmt, 4, row->local_port, PORT_OF_SERVICE);
    sql_bind_unless(stmt, 5, row->remote_port, PORT_OF_SERVICE);
    sql_bind_unless(stmt, 6, row->scope, 0);
}

static void bind_row(sqlite3_stmt *stmt, const struct row *row, const struct life *life)
{
    bind_ends(stmt, row);
    sql_bind_unless(stmt, 7, row->owner, 0);
    sqlite3_bind_int64(stmt, 8, row->traits);
    sql_bind_bytes(stmt, 9, life->history, life->history_bytes);
}

int lives_put_open(struct store *store, const struct batch_ids *ids, const struct life *life,
                   struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO open (service, local, remote, local_port, remote_port, scope, "
        "owner, traits, states, life, cookie, inode, since_ms) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    sqlite3_stmt *stmt;
    struct row row;
    int r = make_row(store, ids, life, &row, err);

    if (r >= 0)
        r = writer_stmt(store, STMT_PUT_OPEN, sql, &stmt, err);
    if (r < 0)
        return r;
    orphans_note(store, STMT_PUT_OPEN, (int64_t)life->number);
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
    int r =
        WRITER_RUN(store, STMT_DROP_OPEN, "DELETE FROM open WHERE life = ?1", err, (int64_t)number);

    /* most connections of a busy host are over before they are told as open */
    return r >= 0 && sqlite3_changes(store->db) > 0 ? sampled_drop(store, (int64_t)number, err) : r;
}

/* closed_by and what the kernel told, from index on. */
static void bind_facts(sqlite3_stmt *stmt, int index, unsigned closed_by,
                       const struct life_facts *facts)
{
    bool uncertain = facts->known && facts->received_uncertain;
    const int64_t values[] = {(int64_t)facts->sent_bytes,
                              (int64_t)facts->received_bytes,
                              facts->segs_out,
                              facts->segs_in,
                              facts->retrans,
                              facts->rtt_us};

    sql_bind_unless(stmt, index, file_closed_by(closed_by, uncertain), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        sql_bind_unless(stmt, index + 1 + (int)i, values[i], facts->known ? INT64_MIN : values[i]);
}

int lives_flush_closed(struct store *store, struct err *err)
{
    struct closed_rows *rows = &store->closed_rows;
    int r = rows->n ? closed_rows_insert(store, err) : 0;

    for (size_t i = 0; i < rows->n && r >= 0; i++) {
        const struct closed_row *row = &rows->rows[i];

        if (row->told && row->values[CLOSED_SENT_BYTES] == CLOSED_ROWS_NULL)
            r = sampled_keep(store, row->told, row->values[CLOSED_KEY], err);
        if (r >= 0 && row->told)
            r = drop_open(store, (uint64_t)row->told, err);
    }
    rows->n = 0;
    return r < 0 ? r : 0;
}

static int64_t unless(int64_t value, int64_t null)
{
    return value == null ? CLOSED_ROWS_NULL : value;
}

static void fill_facts(int64_t *values, const struct life *life, int64_t sampled_ms)
{
    const struct life_facts *facts = &life->facts;
    bool known = facts->known;

    values[CLOSED_CLOSED_BY] =
        unless(file_closed_by(life->closed_by, known && facts->received_uncertain), 0);
    values[CLOSED_SENT_BYTES] = known ? (int64_t)facts->sent_bytes : CLOSED_ROWS_NULL;
    values[CLOSED_RECEIVED_BYTES] = known ? (int64_t)facts->received_bytes : CLOSED_ROWS_NULL;
    values[CLOSED_SEGS_OUT] = known ? facts->segs_out : CLOSED_ROWS_NULL;
    values[CLOSED_SEGS_IN] = known ? facts->segs_in : CLOSED_ROWS_NULL;
    values[CLOSED_RETRANS] = known ? facts->retrans : CLOSED_ROWS_NULL;
    values[CLOSED_RTT] = known ? facts->rtt_us : CLOSED_ROWS_NULL;
    values[CLOSED_SAMPLED] = unless(sampled_ms, TIME_UNKNOWN);
}

static void fill_row(struct closed_row *closed, const struct row *row)
{
    int64_t *values = closed->values;

    values[CLOSED_SERVICE] = row->service;
    values[CLOSED_LOCAL] = row->local;
    values[CLOSED_REMOTE] = row->remote.ipv6 ? CLOSED_ROWS_NULL : row->remote.number;
    closed->remote = row->remote.ipv6 ? row->remote.bytes : NULL;
    closed->remote_bytes = row->remote.ipv6 ? row->remote.n : 0;
    values[CLOSED_LOCAL_PORT] = unless(row->local_port, PORT_OF_SERVICE);
    values[CLOSED_REMOTE_PORT] = unless(row->remote_port, PORT_OF_SERVICE);
    values[CLOSED_SCOPE] = unless(row->scope, 0);
    values[CLOSED_OWNER] = unless(row->owner, 0);
    values[CLOSED_TRAITS] = row->traits;
}

/* sampled_ms: which snapshot the facts are of; TIME_UNKNOWN: they are final. */
static int insert_closed(struct store *store, const struct row *row, const struct life *life,
                         int64_t sampled_ms, struct err *err)
{
    struct closed_rows *rows = &store->closed_rows;
    bool keep_number = life->late_facts || life->shared || life->handed_on || life->offload ||
                       has_listened(life->history, life->history_bytes, life->since_ms);
    struct closed_row *closed;
    int64_t key, late_ms;
    int r = rows->n == CLOSED_ROWS_MAX ? lives_flush_closed(store, err) : 0;

    if (r >= 0)
        r = serials_take(store, life->since_ms, life->ended_ms, &key, &late_ms, err);
    if (r < 0)
        return r;
    orphans_note(store, STMT_PUT_OPEN, keep_number ? (int64_t)life->number : 0);
    closed = &rows->rows[rows->n++];
    fill_row(closed, row);
    fill_facts(closed->values, life, sampled_ms);
    closed->values[CLOSED_KEY] = key;
    closed->values[CLOSED_DURATION] = life->ended_ms - life->since_ms;
    closed->values[CLOSED_LATE] = late_ms;
    closed->values[CLOSED_LIFE] = keep_number ? (int64_t)life->number : CLOSED_ROWS_NULL;
    closed->states = life->history_bytes ? life->history : (const uint8_t *)"";
    closed->states_bytes = life->history_bytes;
    closed->told = life->untold ? 0 : (int64_t)life->number;
    return 0;
}

int lives_add_closed(struct store *store, const struct batch_ids *ids, const struct life *life,
                     struct err *err)
{
    struct row row;
    int r;

    assert(life->ended_ms != TIME_UNKNOWN);
    r = make_row(store, ids, life, &row, err);
    return r < 0 ? r : insert_closed(store, &row, life, TIME_UNKNOWN, err);
}

/* What the columns from sent_bytes to sampled_ms tell, if that is of a snapshot. */
static void take_sampled(sqlite3_stmt *stmt, struct life_facts *facts, int64_t *sampled_ms)
{
    if (sqlite3_column_type(stmt, 6) == SQLITE_NULL)
        return;
    *facts = (struct life_facts){
        .known = true,
        .sent_bytes = (uint64_t)sqlite3_column_int64(stmt, 0),
        .received_bytes = (uint64_t)sqlite3_column_int64(stmt, 1),
        .segs_out = (uint32_t)sqlite3_column_int64(stmt, 2),
        .segs_in = (uint32_t)sqlite3_column_int64(stmt, 3),
        .retrans = (uint32_t)sqlite3_column_int64(stmt, 4),
        .rtt_us = (uint32_t)sqlite3_column_int64(stmt, 5),
    };
    *sampled_ms = sqlite3_column_int64(stmt, 6);
}

/* Removes a row by its key's class and millisecond and by what it tells, and gives what it had of a
 * snapshot. 1: there was one. */
static int drop_closed_at(struct store *store, const struct row *row, const struct life *life,
                          int64_t at_ms, struct life_facts *facts, int64_t *sampled_ms,
                          struct err *err)
{
    static const char sql[] =
        "DELETE FROM closed WHERE key = (SELECT key FROM closed WHERE key BETWEEN ?7 AND ?8 "
        "AND remote = ?3 AND local = ?2 AND service = ?1 AND local_port IS ?4 "
        "AND remote_port IS ?5 AND scope IS ?6 AND duration_ms = ?9 AND late_ms = ?10 LIMIT 1) "
        "RETURNING sent_bytes, received_bytes, segs_out, segs_in, retrans, rtt_us, sampled_ms";
    unsigned class = file_closed_class(at_ms - life->since_ms);
    int64_t first = file_closed_key(class, at_ms, 0);
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_DROP_CLOSED, sql, &stmt, err);

    if (r < 0)
        return r;
    bind_ends(stmt, row);
    sqlite3_bind_int64(stmt, 7, first);
    sqlite3_bind_int64(stmt, 8, first + FILE_SERIALS - 1);
    sqlite3_bind_int64(stmt, 9, life->planned_ms - life->since_ms);
    sqlite3_bind_int64(stmt, 10, at_ms - life->planned_ms);
    r = sql_step(stmt, err);
    if (r > 0) {
        take_sampled(stmt, facts, sampled_ms);
        sqlite3_reset(stmt); /* all was removed with the first step */
    }
    return r;
}

int lives_amend_closed(struct store *store, const struct batch_ids *ids, const struct life *life,
                       struct err *err)
{
    struct life amended = *life;
    struct life_facts facts = {0};
    int64_t sampled_ms = TIME_UNKNOWN;
    struct row row;
    int r;

    assert(life->ended_ms != TIME_UNKNOWN && life->planned_ms != TIME_UNKNOWN);
    r = make_row(store, ids, life, &row, err);
    if (r < 0)
        return r;
    for (int late_ms = 0, found = 0; late_ms <= AMEND_LATE_MAX_MS && !found; late_ms++) {
        found =
            drop_closed_at(store, &row, life, life->planned_ms + late_ms, &facts, &sampled_ms, err);
        if (found < 0)
            return found;
    }
    if (life->facts.known)
        sampled_ms = TIME_UNKNOWN;
    else
        amended.facts = facts;
    r = insert_closed(store, &row, &amended, sampled_ms, err);
    return r < 0 ? r : lives_flush_closed(store, err);
}

int lives_add_late(struct store *store, const struct late_facts *late, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO late (life, closed_by, sent_bytes, received_bytes, segs_out, "
        "segs_in, retrans, rtt_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_LATE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, (int64_t)late->life);
    bind_facts(stmt, 2, late->closed_by, &late->facts);
    return sql_run(stmt, err);
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

static int close_one(struct store *store, int64_t number, int64_t ended_ms, bool keep_number,
                     struct err *err)
{
    static const char sql[] =
        "INSERT INTO closed (key, service, local, remote, local_port, remote_port, scope, owner, "
        "duration_ms, late_ms, traits, states, life) "
        "SELECT ?1, service, local, remote, local_port, remote_port, scope, owner, "
        "?2 - since_ms, ?3, traits, states, "
        "iif(?4 OR traits & 1536 OR EXISTS (SELECT 1 FROM holders AS h WHERE h.life = ?5), life, "
        "NULL) FROM open WHERE life = ?5";
    int64_t since_ms = 0, key, late_ms;
    bool listened = false;
    int r = read_open(store, number, &since_ms, &listened, err);

    if (r < 0)
        return r;
    if (ended_ms <= since_ms) /* it was alive at that instant */
        ended_ms = since_ms + 1;
    r = serials_take(store, since_ms, ended_ms, &key, &late_ms, err);
    if (r >= 0)
        r = WRITER_RUN(store, STMT_MOVE_CLOSED, sql, err, key, ended_ms, late_ms,
                       listened || keep_number, number);
    if (r >= 0)
        r = sampled_keep(store, number, key, err);
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
                       bool keep_numbers, struct err *err)
{
    struct number_vec others = {0};
    int r = list_others(store, numbers, n, &others, err);

    for (size_t i = 0; i < others.n && r >= 0; i++)
        r = close_one(store, others.items[i], ended_ms, keep_numbers, err);
    vec_finish(&others);
    return r;
}

int lives_close_netns(struct store *store, int64_t netns, int64_t ended_ms, struct err *err)
{
    static const char sql[] = "SELECT o.life FROM open AS o JOIN services AS s ON s.id = o.service "
                              "WHERE s.netns = ?1 ORDER BY o.life";
    struct number_vec numbers = {0};
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LIST_OPEN_NETNS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, netns);
    while ((r = sql_step(stmt, err)) > 0)
        if (vec_push(&numbers, sqlite3_column_int64(stmt, 0)) < 0) {
            sqlite3_reset(stmt);
            r = err_errno(err, -ENOMEM, "%s", store->path);
            break;
        }
    for (size_t i = 0; i < numbers.n && r >= 0; i++)
        r = close_one(store, numbers.items[i], ended_ms, false, err);
    vec_finish(&numbers);
    return r;
}
