/* SPDX-License-Identifier: MIT */
/* Interfaces and routes, each from when it was found until it was not. */
#include <sys/socket.h>

#include "counting.h"
#include "sql.h"
#include "writer.h"

/* Told in full: what was before has ended, and what goes on is told again. */
static int end_all(struct store *store, enum writer_stmt which, const char *sql, int64_t netns,
                   int64_t at_ms, struct err *err)
{
    return WRITER_RUN(store, which, sql, err, netns, at_ms);
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
                            const struct counted_netns *one, const struct interface_change *changes,
                            struct err *err)
{
    static const char end_sql[] = "UPDATE interfaces SET until_ms = ?2 WHERE id = ?1";
    static const char all_sql[] =
        "UPDATE interfaces SET until_ms = ?2 WHERE netns = ?1 AND until_ms IS NULL";
    int r = 0;

    if (one->full && !(one->lacks & COUNTED_LACKS_INTERFACES))
        r = end_all(store, STMT_END_INTERFACES, all_sql, netns, at_ms, err);
    for (uint32_t i = 0; i < one->n_interfaces && r >= 0; i++)
        if (changes[i].ended)
            r = WRITER_RUN(store, STMT_END_INTERFACE, end_sql, err, changes[i].number, at_ms);
        else
            r = put_interface(store, netns, at_ms, &changes[i], err);
    return r;
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

static int put_route(struct store *store, int64_t netns, int64_t at_ms,
                     const struct route_change *change, const struct route_hop *hops,
                     struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO routes (id, netns, family, route_table, bits, source_bits, type, "
        "metric, protocol, scope, tos, nexthop_id, iif, flags, encap, from_ms, destination, "
        "source, prefsrc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
        "?15, ?16, ?17, ?18, ?19)";
    const struct route *route = &change->route;
    size_t n = address_bytes(route->family);
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_ROUTE, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, change->number, netns, route->family, route->table, route->bits,
             route->source_bits, route->type, route->metric, route->protocol, route->scope,
             route->tos, route->nexthop_id, route->iif, route->flags, route->encap, at_ms);
    sql_bind_bytes(stmt, 17, route->destination.bytes, n);
    sql_bind_bytes(stmt, 18, route->source.bytes, n);
    if (route->has_prefsrc)
        sql_bind_bytes(stmt, 19, route->prefsrc.bytes, n);
    else
        sqlite3_bind_null(stmt, 19);
    r = sql_run(stmt, err);
    return r < 0 ? r : put_ways(store, change, hops, err);
}

int counting_put_routes(struct store *store, int64_t netns, int64_t at_ms,
                        const struct counted_netns *one, const struct route_change *changes,
                        const struct route_hop *hops, struct err *err)
{
    static const char end_sql[] = "UPDATE routes SET until_ms = ?2 WHERE id = ?1";
    static const char all_sql[] =
        "UPDATE routes SET until_ms = ?2 WHERE netns = ?1 AND until_ms IS NULL";
    int r = 0;

    if (one->full && !(one->lacks & COUNTED_LACKS_ROUTES))
        r = end_all(store, STMT_END_ROUTES, all_sql, netns, at_ms, err);
    for (uint32_t i = 0; i < one->n_routes && r >= 0; i++)
        if (changes[i].ended)
            r = WRITER_RUN(store, STMT_END_ROUTE, end_sql, err, changes[i].number, at_ms);
        else
            r = put_route(store, netns, at_ms, &changes[i], hops, err);
    return r;
}
