/* SPDX-License-Identifier: MIT */
#include "connhist/model/route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

void route_table_finish(struct route_table *table)
{
    vec_finish(table);
    vec_finish(&table->hops);
}

void route_table_clear(struct route_table *table)
{
    vec_clear(table);
    vec_clear(&table->hops);
    table->n_left_out = 0;
    memset(table->n_of, 0, sizeof(table->n_of));
}

unsigned route_class(uint32_t table, uint8_t family)
{
    bool needed =
        table == ROUTE_TABLE_MAIN || table == ROUTE_TABLE_DEFAULT || table == ROUTE_TABLE_LOCAL;

    return (needed ? 0U : 2U) + (family == AF_INET6 ? 1U : 0U);
}

int route_table_add(struct route_table *table, const struct route *route,
                    const struct route_hop *hops, size_t n_hops)
{
    size_t *n_of = &table->n_of[route_class(route->table, route->family)];
    struct route added = *route;

    if (table->limit && *n_of >= table->limit) {
        table->n_left_out++;
        return 0;
    }
    if (table->hops.n + n_hops > UINT32_MAX || vec_reserve(table, 1) < 0 ||
        vec_reserve(&table->hops, n_hops) < 0)
        return -ENOMEM;
    added.first_hop = (uint32_t)table->hops.n;
    added.n_hops = (uint32_t)n_hops;
    if (n_hops)
        memcpy(table->hops.items + table->hops.n, hops, n_hops * sizeof(*hops));
    table->hops.n += n_hops;
    table->items[table->n++] = added;
    ++*n_of;
    return 0;
}

const struct route_hop *route_hops(const struct route_table *table, const struct route *route)
{
    return table->hops.items ? table->hops.items + route->first_hop : NULL;
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* The table that one looks for first goes first: main, default, others by number, local. */
static uint64_t table_rank(uint32_t table)
{
    if (table == ROUTE_TABLE_MAIN)
        return 0;
    if (table == ROUTE_TABLE_DEFAULT)
        return 1;
    return table == ROUTE_TABLE_LOCAL ? UINT64_MAX : 2 + (uint64_t)table;
}

static int compare_places(const struct route *a, const struct route *b)
{
    int r = order(table_rank(a->table), table_rank(b->table));

    if (!r)
        r = order(a->family, b->family);
    if (!r)
        r = order(a->bits > 0, b->bits > 0); /* the default routes first */
    if (!r)
        r = memcmp(&a->destination, &b->destination, sizeof(a->destination));
    if (!r)
        r = order(a->bits, b->bits);
    if (!r)
        r = order(b->source_bits, a->source_bits); /* the kernel asks the narrowest first, whatever
                                                      its metric; those from anywhere last */
    if (!r)
        r = memcmp(&a->source, &b->source, sizeof(a->source));
    if (!r)
        r = order(b->tos, a->tos); /* those for any packet behind the others, as the kernel asks */
    return r ? r : order(a->metric, b->metric);
}

static int compare_rest(const struct route *a, const struct route *b)
{
    const uint64_t of_a[] = {
        a->rank,       a->type,         a->protocol,         a->scope,    a->iif,      a->encap,
        a->flags,      a->nexthop_id,   a->has_prefsrc,      a->n_hops,   a->initcwnd, a->mtu_bytes,
        a->mtu_locked, a->advmss_bytes, a->max_window_bytes, a->initrwnd, a->pref,
    };
    const uint64_t of_b[] = {
        b->rank,       b->type,         b->protocol,         b->scope,    b->iif,      b->encap,
        b->flags,      b->nexthop_id,   b->has_prefsrc,      b->n_hops,   b->initcwnd, b->mtu_bytes,
        b->mtu_locked, b->advmss_bytes, b->max_window_bytes, b->initrwnd, b->pref,
    };

    for (size_t i = 0; i < SUM(of_a); i++)
        if (of_a[i] != of_b[i])
            return order(of_a[i], of_b[i]);
    return a->has_prefsrc ? memcmp(&a->prefsrc, &b->prefsrc, sizeof(a->prefsrc)) : 0;
}

static int compare_hops(const struct route_hop *a, const struct route_hop *b)
{
    int r = order(a->family, b->family);

    if (!r && a->family)
        r = memcmp(&a->gateway, &b->gateway, sizeof(a->gateway));
    if (!r)
        r = order(a->ifindex, b->ifindex);
    if (!r)
        r = order(a->weight, b->weight);
    return r ? r : order(a->flags, b->flags);
}

int route_compare(const struct route_table *table_a, const struct route *a,
                  const struct route_table *table_b, const struct route *b)
{
    int r = compare_places(a, b);

    if (!r)
        r = compare_rest(a, b);
    for (size_t i = 0; !r && i < a->n_hops; i++) /* both have as many */
        r = compare_hops(&route_hops(table_a, a)[i], &route_hops(table_b, b)[i]);
    return r;
}

static int compare(const void *a, const void *b, void *table)
{
    return route_compare(table, a, table, b);
}

void route_table_sort(struct route_table *table)
{
    if (table->n)
        qsort_r(table->items, table->n, sizeof(table->items[0]), compare, table);
}

/* fe80::/10 and ff00::/8. */
static bool interface_decides(const struct route *route)
{
    const uint8_t *bytes = route->destination.bytes;

    return route->family == AF_INET6 &&
           (bytes[0] == 0xff || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80));
}

void route_table_rank(struct route_table *table)
{
    uint32_t rank = 0;

    for (size_t i = 0; i < table->n; i++)
        table->items[i].rank = (uint32_t)i;
    route_table_sort(table); /* now those alike stand together, in their order */
    for (size_t i = 0; i < table->n; i++) {
        struct route *route = &table->items[i];

        rank = i && compare_places(route - 1, route) == 0 ? rank + 1 : 0;
        route->rank = interface_decides(route) ? 0 : rank;
    }
    route_table_sort(table);
}

bool route_leads_nowhere(unsigned type)
{
    return type == ROUTE_BLACKHOLE || type == ROUTE_UNREACHABLE || type == ROUTE_PROHIBIT ||
           type == ROUTE_THROW;
}

const char *route_pref_name(unsigned pref)
{
    static const char *const names[] = {NULL, "low", "medium", "high"};

    return pref < SUM(names) ? names[pref] : NULL;
}

struct name {
    unsigned number;
    const char *text;
};

static const char *name_of(const struct name *names, size_t n, unsigned number,
                           char buf[static ROUTE_NAME_MAX])
{
    for (size_t i = 0; i < n; i++)
        if (names[i].number == number)
            return names[i].text;
    snprintf(buf, ROUTE_NAME_MAX, "%u", number);
    return buf;
}

const char *route_table_name(uint32_t table, char buf[static ROUTE_NAME_MAX])
{
    static const struct name names[] = {
        {ROUTE_TABLE_DEFAULT, "default"}, {ROUTE_TABLE_MAIN, "main"}, {ROUTE_TABLE_LOCAL, "local"}};

    return name_of(names, SUM(names), table, buf);
}

const char *route_type_name(unsigned type, char buf[static ROUTE_NAME_MAX])
{
    static const struct name names[] = {
        {ROUTE_UNICAST, "unicast"},
        {ROUTE_LOCAL, "local"},
        {ROUTE_BROADCAST, "broadcast"},
        {ROUTE_ANYCAST, "anycast"},
        {ROUTE_MULTICAST, "multicast"},
        {ROUTE_BLACKHOLE, "blackhole"},
        {ROUTE_UNREACHABLE, "unreachable"},
        {ROUTE_PROHIBIT, "prohibit"},
        {ROUTE_THROW, "throw"},
        {ROUTE_NAT, "nat"},
        {ROUTE_XRESOLVE, "xresolve"},
    };

    return name_of(names, SUM(names), type, buf);
}

/* linux/rtnetlink.h, RTPROT_*. */
const char *route_protocol_name(unsigned protocol, char buf[static ROUTE_NAME_MAX])
{
    static const struct name names[] = {
        {0, "unspec"},      {1, "redirect"}, {2, "kernel"}, {3, "boot"},   {4, "static"},
        {8, "gated"},       {9, "ra"},       {10, "mrt"},   {11, "zebra"}, {12, "bird"},
        {13, "dnrouted"},   {14, "xorp"},    {15, "ntk"},   {16, "dhcp"},  {17, "mrouted"},
        {18, "keepalived"}, {42, "babel"},   {186, "bgp"},  {187, "isis"}, {188, "ospf"},
        {189, "rip"},       {192, "eigrp"},
    };

    return name_of(names, SUM(names), protocol, buf);
}

const char *route_scope_name(unsigned scope, char buf[static ROUTE_NAME_MAX])
{
    static const struct name names[] = {
        {0, "global"}, {200, "site"}, {253, "link"}, {254, "host"}, {255, "nowhere"}};

    return name_of(names, SUM(names), scope, buf);
}

/* linux/rtnetlink.h: RTNH_F_* of ways, RTM_F_* of routes. */
const char *route_flags_format(const struct route *route, const struct route_hop *hop,
                               char buf[static ROUTE_FLAGS_TEXT_MAX])
{
    static const struct name of_hop[] = {
        {0x1, "dead"},      {0x2, "pervasive"},   {0x4, "onlink"}, {0x8, "offload"},
        {0x10, "linkdown"}, {0x20, "unresolved"}, {0x40, "trap"},
    };
    static const struct name of_route[] = {
        {0x4000, "rt_offload"}, {0x8000, "rt_trap"}, {0x20000000, "rt_offload_failed"}};
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; hop && i < SUM(of_hop); i++)
        if (hop->flags & of_hop[i].number)
            used += (size_t)snprintf(buf + used, ROUTE_FLAGS_TEXT_MAX - used, "%s%s",
                                     used ? "," : "", of_hop[i].text);
    for (size_t i = 0; i < SUM(of_route); i++)
        if (route->flags & of_route[i].number)
            used += (size_t)snprintf(buf + used, ROUTE_FLAGS_TEXT_MAX - used, "%s%s",
                                     used ? "," : "", of_route[i].text);
    return buf;
}
