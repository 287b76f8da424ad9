/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/model/owner.h"
#include "connhist/store/file.h"
#include "past.h"
#include "sql.h"

#define OWNER_COLUMNS                                                              \
    "p.pid, p.start_ms - (SELECT b.base_ms FROM boots AS b WHERE b.id = p.boot), " \
    "coalesce(g.process, ''), coalesce(g.exe, ''), coalesce(u.unit, ''), "         \
    "coalesce(u.container, ''), coalesce(u.path, ''), w.process IS NOT NULL OR "   \
    "w.program IS NOT NULL OR w.cgroup IS NOT NULL"
#define OWNER_JOIN(table)                              \
    "LEFT JOIN owners AS w ON w.id = " table ".owner " \
    "LEFT JOIN processes AS p ON p.id = w.process "    \
    "LEFT JOIN programs AS g ON g.id = w.program "     \
    "LEFT JOIN cgroups AS u ON u.id = w.cgroup "

/* What holds it, where that is not the ordinary case. */
#define HELD_BY(table)                                                                        \
    "iif(" table ".traits & 1024, (SELECT f.offload FROM offloads AS f WHERE f.life = " table \
    ".life ORDER BY f.at_ms DESC LIMIT 1), NULL)"

/* Facts are those of connections that are over. */
static const char open_sql[] =
    "SELECT o.life, o.cookie, o.inode, o.since_ms, o.traits, o.states, "
    "o.scope, w.uid, coalesce(o.local_port, s.port), coalesce(o.remote_port, s.port), "
    "s.port, s.protocol, s.role, n.inode, n.cookie, l.bytes, o.remote, " OWNER_COLUMNS
    ", EXISTS (SELECT 1 FROM holders AS h WHERE h.life = o.life), " HELD_BY(
        "o") ", "
             "NULL, coalesce(f.closed_by, 0), "
             "f.sent_bytes, f.received_bytes, f.segs_out, f.segs_in, f.retrans, f.rtt_us "
             "FROM open AS o JOIN services AS s ON s.id = o.service JOIN netns AS n ON n.id = "
             "s.netns "
             "JOIN addresses AS l ON l.id = o.local " OWNER_JOIN(
                 "o") "LEFT JOIN open_facts AS f ON f.life = o.life AND f.closed_by IS NOT NULL "
                      "ORDER BY "
                      "o.life";

/* The same columns of closed lives that end after ?3, of one class; then what is theirs. */
static const char planned_sql[] =
    "SELECT coalesce(c.life, 0), 0, 0, (c.key >> 16 & (1 << 42) - 1) - c.late_ms - c.duration_ms, "
    "c.traits, c.states, "
    "c.scope, w.uid, coalesce(c.local_port, s.port), coalesce(c.remote_port, s.port), "
    "s.port, s.protocol, s.role, n.inode, n.cookie, l.bytes, c.remote, " OWNER_COLUMNS
    ", EXISTS (SELECT 1 FROM holders AS h WHERE h.life = c.life), " HELD_BY(
        "c") ", "
             "(c.key >> 16 & (1 << 42) - 1) - c.late_ms AS ended_ms, coalesce(c.closed_by, 0), "
             "iif(c.sampled_ms IS NULL, c.sent_bytes, NULL), c.received_bytes, c.segs_out, "
             "c.segs_in, "
             "c.retrans, c.rtt_us, "
             "coalesce(x.closed_by, 0), "
             "x.sent_bytes, x.received_bytes, x.segs_out, x.segs_in, x.retrans, x.rtt_us "
             "FROM closed AS c JOIN services AS s ON s.id = c.service JOIN netns AS n ON n.id = "
             "s.netns "
             "JOIN addresses AS l ON l.id = c.local " OWNER_JOIN(
                 "c") "LEFT JOIN late AS x ON x.life = c.life "
                      "WHERE c.key BETWEEN ?1 AND ?2 AND ended_ms > ?3 ORDER BY c.key";

/* The earlier owners of a life, the last ones if there are very many. */
static const char changes_sql[] =
    "SELECT c.until_ms, w.uid, " OWNER_COLUMNS " FROM (SELECT * FROM owner_changes WHERE life = ?1 "
    "ORDER BY until_ms DESC LIMIT 8) AS c " OWNER_JOIN("c") "ORDER BY c.until_ms";

enum { CHANGES_MAX = 8, CHANGE_UID = 1, CHANGE_PID = 2 };

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
    COLUMN_NETNS_COOKIE,
    COLUMN_LOCAL_BYTES,
    COLUMN_REMOTE,
    COLUMN_PID,
    COLUMN_START,
    COLUMN_COMM,
    COLUMN_EXE,
    COLUMN_UNIT,
    COLUMN_CONTAINER,
    COLUMN_CGROUP,
    COLUMN_HAS_OWNER,
    COLUMN_SHARED,
    COLUMN_OFFLOAD,
    COLUMN_ENDED,
    COLUMN_CLOSED_BY, /* and facts */
    COLUMN_LATE_CLOSED_BY = COLUMN_CLOSED_BY + 7
};

/* Whether the row's namespace is among those of this run. */
static bool find_netns(sqlite3_stmt *stmt, const struct netns_ref *netns, size_t n, uint32_t *ret)
{
    uint64_t inode = (uint64_t)sqlite3_column_int64(stmt, COLUMN_NETNS_INODE);
    uint64_t cookie = (uint64_t)sqlite3_column_int64(stmt, COLUMN_NETNS_COOKIE);

    for (size_t i = 0; i < n; i++)
        if (netns[i].inode == inode && netns[i].cookie == cookie) {
            *ret = netns[i].id;
            return true;
        }
    return false;
}

static bool read_addresses(sqlite3_stmt *stmt, struct life *life)
{
    int n = sqlite3_column_bytes(stmt, COLUMN_LOCAL_BYTES);
    struct file_remote remote = {.ipv6 =
                                     sqlite3_column_type(stmt, COLUMN_REMOTE) != SQLITE_INTEGER};

    if (n != 4 && n != 16)
        return false;
    life->family = n == 4 ? AF_INET : AF_INET6;
    memcpy(life->local.bytes, sqlite3_column_blob(stmt, COLUMN_LOCAL_BYTES), (size_t)n);
    if (remote.ipv6) {
        remote.bytes = sqlite3_column_blob(stmt, COLUMN_REMOTE);
        remote.n = (size_t)sqlite3_column_bytes(stmt, COLUMN_REMOTE);
    } else
        remote.number = sqlite3_column_int64(stmt, COLUMN_REMOTE);
    return file_remote_address(life->family, &remote, &life->remote) == 0;
}

/* Text that is gone with the next step; "" when memory is short. */
static const char *read_text(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text ? text : "";
}

/* at: column of the pid, the first of OWNER_COLUMNS. */
static struct owner read_owner(sqlite3_stmt *stmt, int uid, int at)
{
    return (struct owner){
        .start_ms = sqlite3_column_int64(stmt, at + COLUMN_START - COLUMN_PID),
        .pid = (uint32_t)sqlite3_column_int64(stmt, at),
        .uid = sqlite3_column_type(stmt, uid) != SQLITE_NULL
                   ? (uint32_t)sqlite3_column_int64(stmt, uid)
                   : UID_UNKNOWN,
        .comm = read_text(stmt, at + COLUMN_COMM - COLUMN_PID),
        .exe = read_text(stmt, at + COLUMN_EXE - COLUMN_PID),
        .unit = read_text(stmt, at + COLUMN_UNIT - COLUMN_PID),
        .container = read_text(stmt, at + COLUMN_CONTAINER - COLUMN_PID),
        .cgroup = read_text(stmt, at + COLUMN_CGROUP - COLUMN_PID),
    };
}

struct changes {
    struct stored_change items[CHANGES_MAX];
    uint8_t n;
};

static void changes_finish(struct changes *changes)
{
    for (unsigned i = 0; i < changes->n; i++)
        owner_finish(&changes->items[i].owner);
}

/* Appends one with copies of its strings, which are gone with the next step. */
static int add_change(struct changes *changes, sqlite3_stmt *stmt)
{
    struct owner owner = read_owner(stmt, CHANGE_UID, CHANGE_PID);
    struct stored_change change = {.until_ms = sqlite3_column_int64(stmt, 0)};
    int r = owner_copy(&owner, &change.owner);

    if (r == 0)
        changes->items[changes->n++] = change;
    return r;
}

static int read_changes(struct store *store, int64_t number, struct changes *changes,
                        struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, changes_sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, number);
    while ((r = sql_step(stmt, err)) > 0)
        if (changes->n < CHANGES_MAX && add_change(changes, stmt) < 0)
            return err_errno(err, -ENOMEM, "%s: reading lives", store->path);
    return r;
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
        .planned_ms = TIME_UNKNOWN,
        .local_port = file_port_of(sqlite3_column_int64(stmt, COLUMN_LOCAL_PORT)),
        .remote_port = file_port_of(sqlite3_column_int64(stmt, COLUMN_REMOTE_PORT)),
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
        .owner_source =
            (uint8_t)file_traits_owner_source(traits, sqlite3_column_int64(stmt, COLUMN_PID) != 0),
        .shared = sqlite3_column_int(stmt, COLUMN_SHARED),
        .handed_on = file_traits_handed_on(traits),
        .v6only = file_traits_v6only(traits),
        .offload = (uint8_t)sqlite3_column_int(stmt, COLUMN_OFFLOAD),
    };

    if (history_bytes > UINT8_MAX || !read_addresses(stmt, &life))
        return false;
    life.history_bytes = (uint8_t)history_bytes;
    life.history = sqlite3_column_blob(stmt, COLUMN_STATES);
    *ret = life;
    return true;
}

/* column: closed_by, followed by the facts. */
static void read_facts(sqlite3_stmt *stmt, int column, struct life *life)
{
    unsigned closed_by = (unsigned)sqlite3_column_int(stmt, column);

    if (file_closed_by_who(closed_by))
        life->closed_by = (uint8_t)file_closed_by_who(closed_by);
    if (life->facts.known || sqlite3_column_type(stmt, column + 1) == SQLITE_NULL)
        return;
    life->facts = (struct life_facts){
        .known = true,
        .received_uncertain = file_closed_by_uncertain(closed_by),
        .sent_bytes = (uint64_t)sqlite3_column_int64(stmt, column + 1),
        .received_bytes = (uint64_t)sqlite3_column_int64(stmt, column + 2),
        .segs_out = (uint32_t)sqlite3_column_int64(stmt, column + 3),
        .segs_in = (uint32_t)sqlite3_column_int64(stmt, column + 4),
        .retrans = (uint32_t)sqlite3_column_int64(stmt, column + 5),
        .rtt_us = (uint32_t)sqlite3_column_int64(stmt, column + 6),
    };
}

static void read_planned(sqlite3_stmt *stmt, struct life *life)
{
    life->ended_ms = life->planned_ms = sqlite3_column_int64(stmt, COLUMN_ENDED);
    life->late_facts = life->number != 0;
    read_facts(stmt, COLUMN_LATE_CLOSED_BY, life);
}

static int give(struct store *store, sqlite3_stmt *stmt, uint32_t netns,
                int (*fn)(void *arg, const struct life *life), void *arg, struct err *err)
{
    _cleanup_(changes_finish) struct changes changes = {0};
    struct owner owner = read_owner(stmt, COLUMN_UID, COLUMN_PID);
    struct life life;
    int r = 0;

    if (!read_life(stmt, netns, &life))
        return err_set(err, -EBADMSG, "%s: life %lld is damaged", store->path,
                       (long long)sqlite3_column_int64(stmt, COLUMN_LIFE));
    read_facts(stmt, COLUMN_CLOSED_BY, &life);
    if (sqlite3_column_type(stmt, COLUMN_ENDED) != SQLITE_NULL)
        read_planned(stmt, &life);
    if (sqlite3_column_int(stmt, COLUMN_HAS_OWNER))
        life.stored_owner = &owner;
    if (life.handed_on)
        r = read_changes(store, (int64_t)life.number, &changes, err);
    if (r < 0)
        return r;
    life.stored_changes = changes.items;
    life.n_stored_changes = changes.n;
    r = fn(arg, &life);
    return r < 0 ? err_errno(err, r, "%s: reading lives", store->path) : 0;
}

static int each_row(struct store *store, sqlite3_stmt *stmt, const struct netns_ref *netns,
                    size_t n_netns, int (*fn)(void *arg, const struct life *life), void *arg,
                    size_t *skipped, struct err *err)
{
    uint32_t id;
    int r;

    while ((r = sql_step(stmt, err)) > 0) {
        if (!find_netns(stmt, netns, n_netns, &id)) {
            (*skipped)++;
            continue;
        }
        r = give(store, stmt, id, fn, arg, err);
        if (r < 0)
            return r;
    }
    return r;
}

int store_each_open(struct store *store, const struct netns_ref *netns, size_t n_netns,
                    int (*fn)(void *arg, const struct life *life), void *arg, size_t *ret_skipped,
                    struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    size_t skipped = 0;
    int r = sql_prepare(store->db, open_sql, &stmt, err);

    if (r == 0)
        r = each_row(store, stmt, netns, n_netns, fn, arg, &skipped, err);
    if (r == 0)
        *ret_skipped = skipped;
    return r;
}

int store_each_planned(struct store *store, const struct netns_ref *netns, size_t n_netns,
                       int (*fn)(void *arg, const struct life *life), void *arg,
                       size_t *ret_skipped, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct past_recording recording;
    struct past_snapshot snapshot;
    size_t skipped = 0;
    int64_t first, last;
    int r = past_last_snapshot(store->db, &snapshot, err);

    *ret_skipped = 0;
    if (r > 0)
        r = past_last_recording(store->db, &recording, err);
    /* What was open when another boot ended was closed just after its last snapshot: that is no
     * plan, and no life of this boot. */
    if (r <= 0 || snapshot.boot != recording.boot)
        return r < 0 ? r : 0;
    r = sql_prepare(store->db, planned_sql, &stmt, err);
    for (unsigned class = 0; class < FILE_CLASSES && r >= 0; class ++) {
        planned_range(class, snapshot.start_ms, &first, &last);
        SQL_BIND(stmt, first, last, snapshot.start_ms);
        r = each_row(store, stmt, netns, n_netns, fn, arg, &skipped, err);
    }
    if (r >= 0)
        *ret_skipped = skipped;
    return r;
}
