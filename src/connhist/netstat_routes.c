/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "netstat_tables.h"
#include "route_names.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

#define PREFIX_TEXT_MAX  (ADDRESS_TEXT_MAX + 4)
#define MTU_TEXT_MAX     16
#define IFINDEX_TEXT_MAX 13

/* A row for each way that a route leads. */
enum {
    COLUMN_TABLE = 2,
    COLUMN_DESTINATION = 5,
    COLUMN_FROM = 6,
    COLUMN_GATEWAY = 8,
    COLUMN_WEIGHT = 13,
    COLUMN_MTU = 17,
    COLUMN_ADVMSS = 19,
    COLUMN_TOS = 26,
    COLUMN_NEXTHOP_ID = 27,
    COLUMN_INCOMING = 28,
    COLUMN_ENCAP = 29,
};

/* On a terminal that is too narrow, the highest goes first: what few routes have, then what tells
 * least of where packets go. */
enum {
    GIVES_METRIC = 1,
    GIVES_FLAGS,
    GIVES_FROM,
    GIVES_SOURCE,
    GIVES_MTU,
    GIVES_ADVMSS,
    GIVES_PROTOCOL,
    GIVES_SCOPE,
    GIVES_NEXTHOP_ID,
    GIVES_INCOMING,
    GIVES_WEIGHT,
    GIVES_TOS,
    GIVES_ENCAP,
};

static const struct column columns[] = {
    {"table", NULL, false},
    {"netns", NULL, false},
    {"route_table", "TABLE", false, .least = 8},
    {"route_table_id", NULL, true},
    {"family", NULL, false},
    {"destination", "DESTINATION", false, .least = 18, .tight = 12},
    {"from", "FROM", false, .least = 18, .gives = GIVES_FROM},
    {"type", "TYPE", false, .words = true, .least = 11, .tight = 5},
    {"gateway", "GATEWAY", false, .least = 15, .tight = 11},
    {"interface", "INTERFACE", false, .least = 9},
    {"ifindex", NULL, true},
    {"metric", "METRIC", true, .gives = GIVES_METRIC},
    {"rank", NULL, true},
    {"weight", "WEIGHT", true, .gives = GIVES_WEIGHT},
    {"way", NULL, true},
    {"ways", NULL, true},
    {"source", "SOURCE", false, .least = 15, .gives = GIVES_SOURCE},
    {"mtu_bytes", "MTU", true, .gives = GIVES_MTU},
    {"mtu_lock", NULL, false},
    {"advmss_bytes", "MSS", true, .gives = GIVES_ADVMSS},
    {"max_window_bytes", NULL, true},
    {"initcwnd", NULL, true},
    {"initrwnd", NULL, true},
    {"pref", NULL, false},
    {"protocol", "PROTOCOL", false, .gives = GIVES_PROTOCOL},
    {"scope", "SCOPE", false, .gives = GIVES_SCOPE},
    {"tos", "TOS", true, .gives = GIVES_TOS},
    {"nexthop_id", "NEXTHOP ID", true, .gives = GIVES_NEXTHOP_ID},
    {"incoming", "INCOMING", false, .gives = GIVES_INCOMING},
    {"encap", "ENCAP", true, .gives = GIVES_ENCAP},
    {"flags", "FLAGS", false, .least = 8, .gives = GIVES_FLAGS},
};

enum { COLUMNS = SUM(columns) };

/* What of the columns is worth showing to people. */
struct sight {
    struct route_names names; /* of this host's tables; owned */
    bool people;
    bool tables;   /* more than one table was asked for */
    bool sources;  /* a route is for packets from somewhere only */
    bool weights;  /* a route has more ways than one */
    bool services; /* a route is for packets of one type of service only */
    bool nexthops; /* a route's ways are a next hop object's */
    bool incoming; /* a route is for packets that came in somewhere only */
    bool encaps;   /* a route puts packets into others */
    bool mtus;     /* a route has an MTU of its own */
    bool advmss;   /* a route has a segment size of its own */
};

static bool chosen(const struct table_choice *choice, const struct route *route)
{
    if (choice->table && route->table != choice->table)
        return false;
    if (!choice->protocol)
        return true;
    return route->family == (choice->protocol == COUNTER_IPV6 ? AF_INET6 : AF_INET);
}

static void sight_finish(struct sight *sight)
{
    route_names_finish(&sight->names);
}

static void look(const struct table_choice *choice, const struct route_table *routes,
                 struct sight *sight)
{
    sight->tables = choice->table == 0;
    for (size_t i = 0; i < routes->n; i++) {
        const struct route *route = &routes->items[i];

        if (!chosen(choice, route))
            continue;
        sight->sources |= route->source_bits > 0;
        sight->weights |= route->n_hops > 1;
        sight->services |= route->tos > 0;
        sight->nexthops |= route->nexthop_id > 0;
        sight->incoming |= route->iif > 0;
        sight->encaps |= route->encap > 0;
        sight->mtus |= route->mtu_bytes > 0;
        sight->advmss |= route->advmss_bytes > 0;
    }
}

static void choose_columns(const struct sight *sight, struct column ret[static COLUMNS])
{
    const struct {
        unsigned column;
        bool worth;
    } some[] = {
        {COLUMN_TABLE, sight->tables},        {COLUMN_FROM, sight->sources},
        {COLUMN_WEIGHT, sight->weights},      {COLUMN_MTU, sight->mtus},
        {COLUMN_ADVMSS, sight->advmss},       {COLUMN_TOS, sight->services},
        {COLUMN_NEXTHOP_ID, sight->nexthops}, {COLUMN_INCOMING, sight->incoming},
        {COLUMN_ENCAP, sight->encaps},
    };

    memcpy(ret, columns, sizeof(columns));
    for (size_t i = 0; i < SUM(some); i++)
        if (!some[i].worth)
            ret[some[i].column].heading = NULL;
}

/* "10.0.0.0/8"; for people "default", which is IPv4's, and no bits behind a single address. */
static const char *prefix_text(const struct sight *sight, uint8_t family,
                               const struct address *address, uint8_t bits,
                               char buf[static PREFIX_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX];

    address_format(family, address, text);
    if (sight->people && bits == 0 && family == AF_INET)
        snprintf(buf, PREFIX_TEXT_MAX, "default");
    else if (sight->people && bits == address_bytes(family) * 8)
        snprintf(buf, PREFIX_TEXT_MAX, "%s", text);
    else
        snprintf(buf, PREFIX_TEXT_MAX, "%s/%u", text, (unsigned)bits);
    return buf;
}

/* An index has no name when the interface went between the two dumps, or is one of too many to be
 * recorded; people see "if7" then, as with ip(8), since a route that leads somewhere is no other. */
static struct cell interface_cell(const struct sight *sight, const struct tables *tables,
                                  uint32_t ifindex, char buf[static IFINDEX_TEXT_MAX])
{
    const struct interface *found = interface_list_find(&tables->interfaces, ifindex);

    if (found || !ifindex || !sight->people)
        return found ? cell_text(found->name) : cell_null();
    snprintf(buf, IFINDEX_TEXT_MAX, "if%" PRIu32, ifindex);
    return cell_text(buf);
}

static struct cell known(uint32_t number)
{
    return number ? cell_int(number) : cell_null();
}

/* Weighed against no other way, a weight says nothing to people. */
static struct cell weight_cell(const struct sight *sight, const struct route *route,
                               const struct route_hop *hop)
{
    return hop && !(sight->people && route->n_hops == 1) ? cell_int(hop->weight) : cell_null();
}

/* "lock 1300" for people, as in ip(8). */
static struct cell mtu_cell(const struct sight *sight, const struct route *route,
                            char buf[static MTU_TEXT_MAX])
{
    if (!sight->people || !route->mtu_locked)
        return known(route->mtu_bytes);
    snprintf(buf, MTU_TEXT_MAX, "lock %" PRIu32, route->mtu_bytes);
    return cell_text(buf);
}

/* The host's own name goes first, as in ip(8). */
static const char *table_name(const struct sight *sight, uint32_t table,
                              char buf[static ROUTE_NAME_MAX])
{
    const char *name = route_names_of(&sight->names, table);

    return name ? name : route_table_name(table, buf);
}

/* hop: NULL for a route that leads nowhere. way: from 1; 0 without hop. */
static int put_way(struct writer *writer, const struct sight *sight, const struct tables *tables,
                   const struct route *route, const struct route_hop *hop, size_t way)
{
    char table[ROUTE_NAME_MAX], type[ROUTE_NAME_MAX], protocol[ROUTE_NAME_MAX];
    char scope[ROUTE_NAME_MAX], flags[ROUTE_FLAGS_TEXT_MAX], to[PREFIX_TEXT_MAX],
        from[PREFIX_TEXT_MAX];
    char gateway[ADDRESS_TEXT_MAX], source[ADDRESS_TEXT_MAX], mtu[MTU_TEXT_MAX];
    char out[IFINDEX_TEXT_MAX], in[IFINDEX_TEXT_MAX];
    const struct cell cells[COLUMNS] = {
        cell_text("routes"),
        cell_text(tables->netns),
        cell_text(table_name(sight, route->table, table)),
        cell_int(route->table),
        cell_text(route->family == AF_INET6 ? "ipv6" : "ipv4"),
        cell_text(prefix_text(sight, route->family, &route->destination, route->bits, to)),
        route->source_bits
            ? cell_text(prefix_text(sight, route->family, &route->source, route->source_bits, from))
            : cell_null(),
        cell_text(route_type_name(route->type, type)),
        hop && hop->family ? cell_text(address_format(hop->family, &hop->gateway, gateway))
                           : cell_null(),
        hop ? interface_cell(sight, tables, hop->ifindex, out) : cell_null(),
        hop ? known(hop->ifindex) : cell_null(),
        cell_int(route->metric),
        cell_int(route->rank),
        weight_cell(sight, route, hop),
        hop ? cell_int((int64_t)way) : cell_null(),
        cell_int(route->n_hops),
        route->has_prefsrc ? cell_text(address_format(route->family, &route->prefsrc, source))
                           : cell_null(),
        mtu_cell(sight, route, mtu),
        route->mtu_bytes ? cell_text(route->mtu_locked ? "yes" : "no") : cell_null(),
        known(route->advmss_bytes),
        known(route->max_window_bytes),
        known(route->initcwnd),
        known(route->initrwnd),
        cell_text(route_pref_name(route->pref)),
        cell_text(route_protocol_name(route->protocol, protocol)),
        cell_text(route_scope_name(route->scope, scope)),
        sight->people ? known(route->tos) : cell_int(route->tos),
        known(route->nexthop_id),
        interface_cell(sight, tables, route->iif, in),
        known(route->encap),
        *route_flags_format(route, hop, flags) ? cell_text(flags) : cell_null(),
    };

    return writer_row(writer, cells);
}

static int put_route(struct writer *writer, const struct sight *sight, const struct tables *tables,
                     const struct route *route)
{
    const struct route_hop *hops = route_hops(&tables->routes, route);
    int r = route->n_hops ? 0 : put_way(writer, sight, tables, route, NULL, 0);

    for (size_t i = 0; r == 0 && i < route->n_hops; i++)
        r = put_way(writer, sight, tables, route, &hops[i], i + 1);
    return r;
}

static void print_title(const struct sight *sight, const struct table_choice *choice)
{
    char name[ROUTE_NAME_MAX];

    if (choice->table)
        context_say("Routes of table %s", table_name(sight, choice->table, name));
    else
        context_say("Routes of all tables");
}

int put_routes(struct writer *writer, const struct context *ctx, const struct table_choice *choice,
               const struct tables *tables, size_t *ret_rows)
{
    struct field fields[TABLE_FIELDS_MAX];
    size_t n_fields = table_fields(ctx, choice, "routes", fields);
    _cleanup_(sight_finish) struct sight sight = {.people = ctx->format == FORMAT_TABLE};
    struct column chosen_columns[COLUMNS];
    const struct document document = {.schema = "connhist/netstat/1",
                                      .fields = fields,
                                      .n_fields = n_fields,
                                      .columns = chosen_columns,
                                      .n_columns = COLUMNS};
    int r = route_names_read(&sight.names);

    if (r < 0)
        return r;
    look(choice, &tables->routes, &sight);
    choose_columns(&sight, chosen_columns);
    if (sight.people)
        print_title(&sight, choice);
    r = writer_begin(writer, &document);
    for (size_t i = 0; r == 0 && i < tables->routes.n; i++) {
        if (!chosen(choice, &tables->routes.items[i]))
            continue;
        r = put_route(writer, &sight, tables, &tables->routes.items[i]);
        ++*ret_rows;
    }
    return r < 0 ? r : writer_end(writer, NULL);
}
