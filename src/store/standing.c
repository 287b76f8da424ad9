/* SPDX-License-Identifier: MIT */
/* Which namespaces are recorded since when, and in which of them a snapshot was not complete. */
#include <errno.h>
#include <string.h>

#include "past.h"
#include "sql.h"
#include "writer.h"

/* How many snapshots back one is looked for that was complete in a namespace. */
#define LOOK_BACK "1000"

static const char end_sql[] = "UPDATE netns_spans SET until_ms = max(?2, from_ms), ended = ?3 "
                              "WHERE netns = ?1 AND until_ms IS NULL";

static int write_change(struct store *store, int64_t netns, const struct netns_change *change,
                        struct err *err)
{
    static const char begin_sql[] =
        "INSERT OR IGNORE INTO netns_spans (netns, from_ms, is_new) SELECT ?1, ?2, ?3 "
        "WHERE NOT EXISTS (SELECT 1 FROM netns_spans WHERE netns = ?1 AND until_ms IS NULL)";

    if (change->standing == NETNS_RECORDED)
        return WRITER_RUN(store, STMT_ADD_SPAN, begin_sql, err, netns, change->at_ms,
                          change->is_new);
    return WRITER_RUN(store, STMT_END_SPAN, end_sql, err, netns, change->at_ms, change->standing);
}

int standing_write(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                   struct err *err)
{
    static const char incomplete_sql[] =
        "INSERT OR IGNORE INTO incomplete (start_ms, netns) VALUES (?1, ?2)";
    int r = 0;

    for (size_t i = 0; i < batch->standing.n && r >= 0; i++)
        r = write_change(store, lives_netns(ids, batch->standing.items[i].netns),
                         &batch->standing.items[i], err);
    for (size_t i = 0; i < batch->incomplete.n && batch->has_snapshot && r >= 0; i++)
        r = WRITER_RUN(store, STMT_ADD_INCOMPLETE, incomplete_sql, err, batch->snapshot.start_ms,
                       lives_netns(ids, batch->incomplete.items[i]));
    return r;
}

int standing_end_boot(struct store *store, int64_t until_ms, struct err *err)
{
    static const char sql[] = "UPDATE netns_spans SET until_ms = max(?1, from_ms), ended = ?2 "
                              "WHERE until_ms IS NULL";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, until_ms, NETNS_GONE);
    return sql_run(stmt, err);
}

struct held {
    int64_t id; /* in the file */
    struct netns_ref ref;
};

struct held_vec {
    VEC_FIELDS(struct held);
};

static const struct netns_ref *find(const struct netns_ref *netns, size_t n,
                                    const struct netns_ref *wanted)
{
    for (size_t i = 0; i < n; i++)
        if (netns[i].inode == wanted->inode && netns[i].cookie == wanted->cookie)
            return &netns[i];
    return NULL;
}

/* Rows of (id, inode, cookie, name). */
static int read_held(sqlite3_stmt *stmt, struct held_vec *ret, struct err *err)
{
    int r;

    while ((r = sql_step(stmt, err)) > 0) {
        struct held held = {.id = sqlite3_column_int64(stmt, 0),
                            .ref = {.inode = (uint64_t)sqlite3_column_int64(stmt, 1),
                                    .cookie = (uint64_t)sqlite3_column_int64(stmt, 2)}};
        const char *name = (const char *)sqlite3_column_text(stmt, 3);

        if (name && strlen(name) < sizeof(held.ref.name))
            memcpy(held.ref.name, name, strlen(name) + 1);
        if (vec_push(ret, held) < 0) {
            sqlite3_reset(stmt);
            return err_errno(err, -ENOMEM, "reading network namespaces");
        }
    }
    return r;
}

static int leave(struct store *store, const struct held *held, enum netns_standing standing,
                 int64_t last_ms, struct err *err)
{
    int r = WRITER_RUN(store, STMT_END_SPAN, end_sql, err, held->id, last_ms, standing);

    if (r >= 0 && standing != NETNS_GONE)
        r = lives_close_netns(store, held->id, last_ms + 1, err);
    return r;
}

int store_leave_netns(struct store *store, const struct netns_ref *netns, size_t n_netns,
                      enum netns_standing (*why)(void *arg, const struct netns_ref *netns),
                      void *arg, struct err *err)
{
    static const char sql[] = "SELECT n.id, n.inode, n.cookie, n.name FROM netns_spans AS s "
                              "JOIN netns AS n ON n.id = s.netns "
                              "WHERE s.until_ms IS NULL AND n.boot = ?1 ORDER BY n.id";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct past_snapshot last;
    struct held_vec held = {0};
    int r = past_last_snapshot(store->db, &last, err);

    if (r > 0)
        r = sql_prepare(store->db, sql, &stmt, err);
    if (r < 0 || !stmt)
        return r;
    SQL_BIND(stmt, store->boot);
    r = read_held(stmt, &held, err);
    if (r == 0)
        r = writer_begin(store, err);
    if (r == 0) {
        for (size_t i = 0; i < held.n && r >= 0; i++) {
            enum netns_standing standing = NETNS_RECORDED;

            if (!find(netns, n_netns, &held.items[i].ref))
                standing = why(arg, &held.items[i].ref);
            if (standing != NETNS_RECORDED)
                r = leave(store, &held.items[i], standing, last.start_ms, err);
        }
        r = writer_end(store, r, err);
    }
    vec_finish(&held);
    return r;
}

/* The last snapshot that was complete in a namespace; TIME_UNKNOWN. */
static int find_complete(struct store *store, int64_t netns, int64_t *ret, struct err *err)
{
    static const char sql[] =
        "SELECT start_ms FROM (SELECT s.start_ms, s.status FROM snapshots AS s "
        "ORDER BY s.start_ms DESC LIMIT " LOOK_BACK ") AS l WHERE l.status = 0 OR "
        "(EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = l.start_ms) AND NOT EXISTS "
        "(SELECT 1 FROM incomplete AS i WHERE i.start_ms = l.start_ms AND i.netns = ?1)) "
        "ORDER BY start_ms DESC LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, netns);
    r = sql_step(stmt, err);
    if (r >= 0)
        *ret = r > 0 ? sqlite3_column_int64(stmt, 0) : TIME_UNKNOWN;
    return r < 0 ? r : 0;
}

int store_each_incomplete(struct store *store, const struct netns_ref *netns, size_t n_netns,
                          int (*fn)(void *arg, uint32_t netns, int64_t last_complete_ms), void *arg,
                          struct err *err)
{
    static const char sql[] = "SELECT n.id, n.inode, n.cookie, n.name FROM incomplete AS i "
                              "JOIN netns AS n ON n.id = i.netns WHERE n.boot = ?1 "
                              "AND i.start_ms = (SELECT max(start_ms) FROM incomplete) "
                              /* a later one that was complete everywhere has none */
                              "AND NOT EXISTS (SELECT 1 FROM snapshots AS s "
                              "WHERE s.start_ms > i.start_ms AND s.status = 0)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct held_vec held = {0};
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, store->boot);
    r = read_held(stmt, &held, err);
    for (size_t i = 0; i < held.n && r == 0; i++) {
        const struct netns_ref *ref = find(netns, n_netns, &held.items[i].ref);
        int64_t at_ms;

        if (!ref)
            continue;
        r = find_complete(store, held.items[i].id, &at_ms, err);
        if (r == 0 && fn(arg, ref->id, at_ms) < 0)
            r = err_errno(err, -ENOMEM, "%s", store->path);
    }
    vec_finish(&held);
    return r;
}
