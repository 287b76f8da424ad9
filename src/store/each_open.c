/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

/* remote_bytes is NULL where remote holds the IPv4 address itself. */
static const char open_sql[] =
    "SELECT o.life, o.cookie, o.inode, o.since_ms, o.traits, o.states, "
    "o.scope, w.uid, coalesce(o.local_port, s.port), coalesce(o.remote_port, s.port), "
    "s.port, s.protocol, s.role, n.inode, n.name, l.bytes, o.remote, a.bytes "
    "FROM open AS o JOIN services AS s ON s.id = o.service JOIN netns AS n ON n.id = s.netns "
    "JOIN addresses AS l ON l.id = o.local "
    "LEFT JOIN addresses AS a ON a.id = -o.remote AND o.remote < 0 "
    "LEFT JOIN owners AS w ON w.id = o.owner ORDER BY o.life";

enum column {
    COLUMN_LIFE,
    COLUMN_COOKIE,
    COLUMN_INODE,
    COLUMN_SINCE,
    COLUMN_TRAITS,
    COLUMN_STATES,
    COLUMN_SCOPE,
    COLUMN_UID,
    COLUMN_LOCAL_PORT,
    COLUMN_REMOTE_PORT,
    COLUMN_SERVICE_PORT,
    COLUMN_PROTOCOL,
    COLUMN_ROLE,
    COLUMN_NETNS_INODE,
    COLUMN_NETNS_NAME,
    COLUMN_LOCAL_BYTES,
    COLUMN_REMOTE,
    COLUMN_REMOTE_BYTES
};

/* Whether the row's namespace is among those of this run. */
static bool find_netns(sqlite3_stmt *stmt, const struct netns_ref *netns, size_t n, uint32_t *ret)
{
    uint64_t inode = (uint64_t)sqlite3_column_int64(stmt, COLUMN_NETNS_INODE);
    const char *name = (const char *)sqlite3_column_text(stmt, COLUMN_NETNS_NAME);

    for (size_t i = 0; i < n; i++)
        if (netns[i].inode == inode && name && strcmp(netns[i].name, name) == 0) {
            *ret = netns[i].id;
            return true;
        }
    return false;
}

static bool read_bytes(sqlite3_stmt *stmt, int column, uint8_t *ret_family, struct address *ret)
{
    int n = sqlite3_column_bytes(stmt, column);

    if (n != 4 && n != 16)
        return false;
    *ret_family = n == 4 ? AF_INET : AF_INET6;
    memcpy(ret->bytes, sqlite3_column_blob(stmt, column), (size_t)n);
    return true;
}

static bool read_addresses(sqlite3_stmt *stmt, struct life *life)
{
    int64_t remote = sqlite3_column_int64(stmt, COLUMN_REMOTE);
    uint8_t family;

    if (!read_bytes(stmt, COLUMN_LOCAL_BYTES, &life->family, &life->local))
        return false;
    if (remote < 0)
        return read_bytes(stmt, COLUMN_REMOTE_BYTES, &family, &life->remote) &&
               family == life->family;
    life->remote = file_remote_ipv4(life->family, remote);
    return remote <= UINT32_MAX;
}

static bool read_life(sqlite3_stmt *stmt, uint32_t netns, struct life *ret)
{
    unsigned traits = (unsigned)sqlite3_column_int(stmt, COLUMN_TRAITS);
    bool has_uid = sqlite3_column_type(stmt, COLUMN_UID) != SQLITE_NULL;
    int history_bytes = sqlite3_column_bytes(stmt, COLUMN_STATES);
    struct life life = {
        .number = (uint64_t)sqlite3_column_int64(stmt, COLUMN_LIFE),
        .cookie = (uint64_t)sqlite3_column_int64(stmt, COLUMN_COOKIE),
        .since_ms = sqlite3_column_int64(stmt, COLUMN_SINCE),
        .ended_ms = TIME_UNKNOWN,
        .local_port = (uint16_t)sqlite3_column_int(stmt, COLUMN_LOCAL_PORT),
        .remote_port = (uint16_t)sqlite3_column_int(stmt, COLUMN_REMOTE_PORT),
        .scope_ifindex = (uint32_t)sqlite3_column_int64(stmt, COLUMN_SCOPE),
        .inode = (uint32_t)sqlite3_column_int64(stmt, COLUMN_INODE),
        .uid = has_uid ? (uint32_t)sqlite3_column_int64(stmt, COLUMN_UID) : UID_UNKNOWN,
        .service = {.netns = netns,
                    .port = sqlite3_column_int(stmt, COLUMN_SERVICE_PORT),
                    .protocol = (uint8_t)sqlite3_column_int(stmt, COLUMN_PROTOCOL),
                    .role = (uint8_t)sqlite3_column_int(stmt, COLUMN_ROLE)},
        .state = (uint8_t)file_traits_state(traits),
        .role_source = (uint8_t)file_traits_role_source(traits),
        .opened_known = file_traits_opened_known(traits),
    };

    if (history_bytes > UINT8_MAX || !read_addresses(stmt, &life))
        return false;
    life.history_bytes = (uint8_t)history_bytes;
    life.history = sqlite3_column_blob(stmt, COLUMN_STATES);
    *ret = life;
    return true;
}

static int give(struct store *store, sqlite3_stmt *stmt, uint32_t netns,
                int (*fn)(void *arg, const struct life *life), void *arg, struct err *err)
{
    struct life life;
    int r;

    if (!read_life(stmt, netns, &life))
        return err_set(err, -EBADMSG, "%s: open life %lld is damaged", store->path,
                       (long long)sqlite3_column_int64(stmt, COLUMN_LIFE));
    r = fn(arg, &life);
    return r < 0 ? err_errno(err, r, "%s: reading open lives", store->path) : 0;
}

int store_each_open(struct store *store, const struct netns_ref *netns, size_t n_netns,
                    int (*fn)(void *arg, const struct life *life), void *arg, size_t *ret_skipped,
                    struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    size_t skipped = 0;
    uint32_t id;
    int r = sql_prepare(store->db, open_sql, &stmt, err);

    if (r < 0)
        return r;
    while ((r = sql_step(stmt, err)) > 0) {
        if (!find_netns(stmt, netns, n_netns, &id)) {
            skipped++;
            continue;
        }
        r = give(store, stmt, id, fn, arg, err);
        if (r < 0)
            return r;
    }
    if (r == 0)
        *ret_skipped = skipped;
    return r;
}
