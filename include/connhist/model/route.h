/* SPDX-License-Identifier: MIT */
/* Routes of the kernel's tables, IPv4 and IPv6 (RTM_NEWROUTE, linux/rtnetlink.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/address.h"

#define ROUTE_TABLE_DEFAULT 253U
#define ROUTE_TABLE_MAIN    254U
#define ROUTE_TABLE_LOCAL   255U
#define ROUTE_NAME_MAX      12 /* a name or a number of 32 bits, with the NUL */

/* The kernel's RTN_*: what a route does with a packet. */
enum route_type {
    ROUTE_UNICAST = 1,
    ROUTE_LOCAL,
    ROUTE_BROADCAST,
    ROUTE_ANYCAST,
    ROUTE_MULTICAST,
    ROUTE_BLACKHOLE,
    ROUTE_UNREACHABLE,
    ROUTE_PROHIBIT,
    ROUTE_THROW,
    ROUTE_NAT,
    ROUTE_XRESOLVE,
};

/* ICMPV6_ROUTER_PREF_*, in the order that one prefers: RFC 4191. */
enum route_pref {
    ROUTE_PREF_NONE, /* not told: IPv4 */
    ROUTE_PREF_LOW,
    ROUTE_PREF_MEDIUM,
    ROUTE_PREF_HIGH,
};

/* One way that a route leads; a route without gateway and interface has none. */
struct route_hop {
    struct address gateway; /* meaningless unless family */
    uint32_t ifindex;       /* RTA_OIF, rtnh_ifindex; 0: none told */
    uint16_t weight;        /* rtnh_hops + 1; 1 for a route that is not multipath */
    uint8_t family;         /* of gateway, which may differ from the route's (RTA_VIA); 0: none */
    uint8_t flags;          /* RTNH_F_DEAD (1), ONLINK (4), LINKDOWN (16) … */
};

struct route {
    struct address destination; /* bits behind `bits` are zero */
    struct address source;      /* RTA_SRC: only for packets from there; behind source_bits zero */
    struct address prefsrc;     /* RTA_PREFSRC; meaningless unless has_prefsrc */
    uint32_t table;             /* RTA_TABLE, else rtm_table */
    uint32_t metric;            /* RTA_PRIORITY; the lowest is taken; 0: none told */
    uint32_t nexthop_id;        /* RTA_NH_ID: its ways are a next hop object's; 0: its own */
    uint32_t iif;               /* RTA_IIF: only for packets received there; 0: any */
    uint32_t flags;             /* RTM_F_OFFLOAD (0x4000) … without those of its one hop */
    uint32_t first_hop;         /* index in the table's hops */
    uint32_t n_hops;            /* 0: leads nowhere, or its object was not told */
    uint32_t rank;              /* place in the kernel's order among those alike in table, family,
                                   destination, source, tos and metric, of which it takes the
                                   first that will do; 0: the first. See route_table_rank() */
    uint32_t mtu_bytes;         /* RTAX_MTU; 0, like those below: not told */
    uint32_t advmss_bytes;      /* RTAX_ADVMSS */
    uint32_t max_window_bytes;  /* RTAX_WINDOW */
    uint32_t initcwnd;          /* RTAX_INITCWND: segments */
    uint32_t initrwnd;          /* RTAX_INITRWND: segments */
    uint16_t encap;             /* RTA_ENCAP_TYPE of any way: LWTUNNEL_ENCAP_MPLS (1) …; 0 */
    uint8_t family;             /* AF_INET or AF_INET6 */
    uint8_t bits;               /* of destination */
    uint8_t source_bits;        /* 0: from anywhere */
    uint8_t type;               /* enum route_type; a later kernel may have more */
    uint8_t protocol;           /* RTPROT_*: who made it */
    uint8_t scope;              /* RT_SCOPE_* */
    uint8_t tos;                /* 0: any */
    uint8_t pref;               /* enum route_pref, RTA_PREF */
    bool mtu_locked;            /* RTAX_LOCK: path MTU discovery does not change mtu_bytes */
    bool has_prefsrc;
};

struct route_hop_vec {
    VEC_FIELDS(struct route_hop);
};

/* Each has a bound of its own, so that many routes of one do not push out another's: the tables main,
 * default and local, which every host needs, or all others; of IPv4 or IPv6. */
#define ROUTE_CLASSES 4U

/* Zeroed: empty, without bound. */
struct route_table {
    VEC_FIELDS(struct route);   /* owned; sorted after route_table_sort() */
    struct route_hop_vec hops;  /* of all routes, in the order they were told; owned */
    size_t limit;               /* routes of a class kept at most; 0: all */
    size_t n_left_out;          /* beyond limit */
    size_t n_of[ROUTE_CLASSES]; /* kept of each class */
};

/* The class of a table's routes, below ROUTE_CLASSES. */
unsigned route_class(uint32_t table, uint8_t family);

void route_table_finish(struct route_table *table);

/* Forgets the routes and keeps the limit. */
void route_table_clear(struct route_table *table);

/* Appends a route with n_hops ways: first_hop and n_hops are set here. 0 or -ENOMEM. */
int route_table_add(struct route_table *table, const struct route *route,
                    const struct route_hop *hops, size_t n_hops);

/* The ways of a route, route->n_hops of them. */
const struct route_hop *route_hops(const struct route_table *table, const struct route *route);

/* Sorts as route_compare(): by table (main first, local last), family, destination (default first),
 * and on to those that the kernel takes before others (tos that is told, lower metric, rank). */
void route_table_sort(struct route_table *table);

/* Gives routes that stand in the kernel's order their ranks, and sorts. Those of IPv6 to link-local
 * and multicast addresses, of which each interface has one, have none: the packet's interface
 * decides there, and one that goes is not to change all behind it. */
void route_table_rank(struct route_table *table);

/* Order of routes of two tables (or one); 0: the same in everything, ways too. */
int route_compare(const struct route_table *table_a, const struct route *a,
                  const struct route_table *table_b, const struct route *b);

/* "main", "local", "default", or the number. Returns buf or a literal. */
const char *route_table_name(uint32_t table, char buf[static ROUTE_NAME_MAX]);

/* Whether a type sends packets nowhere: blackhole, unreachable, prohibit, throw. */
bool route_leads_nowhere(unsigned type);

/* "low", "medium", "high"; NULL: not told. */
const char *route_pref_name(unsigned pref);

/* "unicast" … as ip(8) writes them, or the number. */
const char *route_type_name(unsigned type, char buf[static ROUTE_NAME_MAX]);

/* "kernel", "boot", "static", "dhcp", "bgp" … or the number. */
const char *route_protocol_name(unsigned protocol, char buf[static ROUTE_NAME_MAX]);

/* "global", "site", "link", "host", "nowhere", or the number. */
const char *route_scope_name(unsigned scope, char buf[static ROUTE_NAME_MAX]);

#define ROUTE_FLAGS_TEXT_MAX 96

/* "onlink,linkdown": the flags of a route and one of its ways (hop may be NULL) as ip(8) writes
 * them; "" where there are none. Returns buf. */
const char *route_flags_format(const struct route *route, const struct route_hop *hop,
                               char buf[static ROUTE_FLAGS_TEXT_MAX]);
