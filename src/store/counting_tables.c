/* SPDX-License-Identifier: MIT */
/* Interfaces and routes, each from when it was found until it was not. */
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "counting.h"
#include "sql.h"
#include "writer.h"

/* Interfaces or routes of a namespace that are told in full. */
struct retold {
    int64_t netns;
    int64_t before; /* what the file had has lower numbers; 0: it is not told in full */
    bool keeps;     /* what is as it was goes on, and gets the number by which it will end */
};

static struct retold retell(int64_t netns, const struct counted_netns *one, bool anew,
                            unsigned part, int64_t first_number)
{
    struct retold retold = {.netns = netns};

    if (one->full & ~one->lacks & part) {
        retold.before = first_number;
        retold.keeps = !anew;
    }
    return retold;
}

/* What the file has and was not told has ended. */
static int end_rest(struct store *store, enum writer_stmt which, const char *sql,
                    const struct retold *retold, int64_t at_ms, struct err *err)
{
    return retold->before ? WRITER_RUN(store, which, sql, err, retold->netns, at_ms, retold->before)
                          : 0;
}

/* 1: the file had it. */
static int keep_interface(struct store *store, const struct retold *retold,
                          const struct interface_change *change, struct err *err)
{
    static const char sql[] =
        "UPDATE interfaces SET id = ?1 WHERE id = (SELECT id FROM interfaces WHERE netns = ?2 AND "
        "until_ms IS NULL AND id < ?3 AND ifindex = ?4 AND flags = ?5 AND operstate = ?6 AND "
        "mtu = ?7 AND type = ?8 AND has_stats = ?9 AND name = ?10 LIMIT 1)";
    const struct interface *interface = &change->interface;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_KEEP_INTERFACE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, change->number, retold->netns, retold->before, interface->ifindex,
             interface->flags, interface->operstate, interface->mtu_bytes, interface->type,
             interface->has_stats);
    sql_bind_string(stmt, 10, interface->name);
    r = sql_run(stmt, err);
    return r < 0 ? r : sqlite3_changes(store->db) > 0;
}

static int put_interface(struct store *store, int64_t netns, int64_t at_ms,
                         const struct interface_change *change, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO interfaces (id, netns, ifindex, flags, operstate, mtu, type, "
        "has_stats, from_ms, name) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    const struct interface *interface = &change->interface;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_INTERFACE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, change->number, netns, interface->ifindex, interface->flags,
             interface->operstate, interface->mtu_bytes, interface->type, interface->has_stats,
             at_ms);
    sql_bind_string(stmt, 10, interface->name);
    return sql_run(stmt, err);
}

int counting_put_interfaces(struct store *store, int64_t netns, int64_t at_ms,
                            const struct counted_netns *one, bool anew,
                            const struct interface_change *changes, struct err *err)
{
    static const char end_sql[] = "UPDATE interfaces SET until_ms = ?2 WHERE id = ?1";
    static const char all_sql[] =
        "UPDATE interfaces SET until_ms = ?2 WHERE netns = ?1 AND until_ms IS NULL AND id < ?3";
    const struct retold retold = retell(netns, one, anew, COUNTED_INTERFACES,
                                        one->n_interfaces ? changes[0].number : INT64_MAX);
    int r = 0;

    for (uint32_t i = 0; i < one->n_interfaces && r >= 0; i++) {
        if (changes[i].ended) {
            r = WRITER_RUN(store, STMT_END_INTERFACE, end_sql, err, changes[i].number, at_ms);
            continue;
        }
        r = retold.keeps ? keep_interface(store, &retold, &changes[i], err) : 0;
        if (r == 0)
            r = put_interface(store, netns, at_ms, &changes[i], err);
    }
    return r < 0 ? r : end_rest(store, STMT_END_INTERFACES, all_sql, &retold, at_ms, err);
}

static int put_ways(struct store *store, const struct route_change *change,
                    const struct route_hop *hops, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO route_ways (route, way, ifindex, weight, flags, gateway) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    int r = 0;

    for (uint32_t i = 0; i < change->route.n_hops && r >= 0; i++) {
        const struct route_hop *hop = &hops[change->route.first_hop + i];
        sqlite3_stmt *stmt;

        r = writer_stmt(store, STMT_ADD_ROUTE_WAY, sql, &stmt, err);
        if (r < 0)
            return r;
        SQL_BIND(stmt, change->number, (int64_t)i + 1, hop->ifindex, hop->weight, hop->flags);
        if (hop->family)
            sql_bind_bytes(stmt, 6, hop->gateway.bytes, address_bytes(hop->family));
        else
            sqlite3_bind_null(stmt, 6);
        r = sql_run(stmt, err);
    }
    return r;
}

/* Of a statement whose first two values are others: from the third on what a route is known by. */
static void bind_route(sqlite3_stmt *stmt, int64_t first, int64_t second, const struct route *route)
{
    size_t n = address_bytes(route->family);

    SQL_BIND(stmt, first, second, route->family, route->table, route->bits, route->source_bits,
             route->type, route->metric, route->protocol, route->scope, route->tos,
             route->nexthop_id, route->iif, route->flags, route->encap, route->rank,
             route->mtu_bytes, route->mtu_locked, route->advmss_bytes, route->max_window_bytes,
             route->initcwnd, route->initrwnd, route->pref);
    sql_bind_bytes(stmt, 24, route->destination.bytes, n);
    sql_bind_bytes(stmt, 25, route->source.bytes, n);
    if (route->has_prefsrc)
        sql_bind_bytes(stmt, 26, route->prefsrc.bytes, n);
    else
        sqlite3_bind_null(stmt, 26);
}

static int put_route(struct store *store, int64_t netns, int64_t at_ms,
                     const struct route_change *change, const struct route_hop *hops,
                     struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO routes (id, netns, family, route_table, bits, source_bits, type, "
        "metric, protocol, scope, tos, nexthop_id, iif, flags, encap, rank, mtu, mtu_lock, advmss, "
        "max_window, initcwnd, initrwnd, pref, destination, source, prefsrc, from_ms) VALUES (?1, "
        "?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "
        "?21, ?22, ?23, ?24, ?25, ?26, ?27)";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_ROUTE, sql, &stmt, err);

    if (r < 0)
        return r;
    bind_route(stmt, change->number, netns, &change->route);
    sqlite3_bind_int64(stmt, 27, at_ms);
    r = sql_run(stmt, err);
    return r < 0 ? r : put_ways(store, change, hops, err);
}

static bool is_way(sqlite3_stmt *stmt, const struct route_hop *hop)
{
    const void *gateway = sqlite3_column_blob(stmt, 3);
    size_t n = (size_t)sqlite3_column_bytes(stmt, 3);

    if (sqlite3_column_int64(stmt, 0) != hop->ifindex ||
        sqlite3_column_int64(stmt, 1) != hop->weight || sqlite3_column_int64(stmt, 2) != hop->flags)
        return false;
    if (!hop->family)
        return !gateway;
    return gateway && n == address_bytes(hop->family) &&
           memcmp(gateway, hop->gateway.bytes, n) == 0;
}

/* Whether a route of the file has these ways: 1. */
static int has_ways(struct store *store, int64_t id, const struct route_hop *hops, uint32_t n,
                    struct err *err)
{
    static const char sql[] = "SELECT ifindex, weight, flags, gateway FROM route_ways "
                              "WHERE route = ?1 ORDER BY way";
    bool same = true;
    uint32_t found = 0;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LIST_WAYS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, id);
    while ((r = sql_step(stmt, err)) > 0) {
        same = same && found < n && is_way(stmt, &hops[found]);
        found++;
    }
    return r < 0 ? r : same && found == n;
}

/* 1: the file has such a route; its number is *ret. */
static int find_route(struct store *store, const struct retold *retold,
                      const struct route_change *change, const struct route_hop *hops, int64_t *ret,
                      struct err *err)
{
    static const char sql[] =
        "SELECT id FROM routes WHERE netns = ?1 AND until_ms IS NULL AND id < ?2 AND family = ?3 "
        "AND route_table = ?4 AND bits = ?5 AND source_bits = ?6 AND type = ?7 AND metric = ?8 AND "
        "protocol = ?9 AND scope = ?10 AND tos = ?11 AND nexthop_id = ?12 AND iif = ?13 AND "
        "flags = ?14 AND encap = ?15 AND rank = ?16 AND mtu = ?17 AND mtu_lock = ?18 AND "
        "advmss = ?19 AND max_window = ?20 AND initcwnd = ?21 AND initrwnd = ?22 AND pref = ?23 "
        "AND destination = ?24 AND source = ?25 AND prefsrc IS ?26";
    const struct route *route = &change->route;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_FIND_ROUTE, sql, &stmt, err);

    if (r < 0)
        return r;
    bind_route(stmt, retold->netns, retold->before, route);
    while ((r = sql_step(stmt, err)) > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        r = has_ways(store, *ret, hops + route->first_hop, route->n_hops, err);
        if (r != 0)
            break;
    }
    sqlite3_reset(stmt);
    return r;
}

/* 1: the file had it. */
static int keep_route(struct store *store, const struct retold *retold,
                      const struct route_change *change, const struct route_hop *hops,
                      struct err *err)
{
    int64_t id = 0;
    int r = find_route(store, retold, change, hops, &id, err);

    if (r <= 0)
        return r;
    r = WRITER_RUN(store, STMT_KEEP_WAYS, "UPDATE route_ways SET route = ?1 WHERE route = ?2", err,
                   change->number, id);
    if (r >= 0)
        r = WRITER_RUN(store, STMT_KEEP_ROUTE, "UPDATE routes SET id = ?1 WHERE id = ?2", err,
                       change->number, id);
    return r < 0 ? r : 1;
}

int counting_put_routes(struct store *store, int64_t netns, int64_t at_ms,
                        const struct counted_netns *one, bool anew,
                        const struct route_change *changes, const struct route_hop *hops,
                        struct err *err)
{
    static const char end_sql[] = "UPDATE routes SET until_ms = ?2 WHERE id = ?1";
    static const char all_sql[] =
        "UPDATE routes SET until_ms = ?2 WHERE netns = ?1 AND until_ms IS NULL AND id < ?3";
    const struct retold retold =
        retell(netns, one, anew, COUNTED_ROUTES, one->n_routes ? changes[0].number : INT64_MAX);
    int r = 0;

    for (uint32_t i = 0; i < one->n_routes && r >= 0; i++) {
        if (changes[i].ended) {
            r = WRITER_RUN(store, STMT_END_ROUTE, end_sql, err, changes[i].number, at_ms);
            continue;
        }
        r = retold.keeps ? keep_route(store, &retold, &changes[i], hops, err) : 0;
        if (r == 0)
            r = put_route(store, netns, at_ms, &changes[i], hops, err);
    }
    return r < 0 ? r : end_rest(store, STMT_END_ROUTES, all_sql, &retold, at_ms, err);
}
