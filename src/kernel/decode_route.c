/* SPDX-License-Identifier: MIT */
#include "decode_route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/icmpv6.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "attr.h"

/* rtm_flags below RTM_F_NOTIFY are the RTNH_F_* of a route's only way. */
#define HOP_FLAGS 0xffU

/* What is being read: attributes outside RTA_MULTIPATH describe the only way. */
struct reading {
    struct route route;
    struct route_hop hop;
    const struct nlattr *multipath; /* NULL: not there */
};

static int decode_address(const struct nlattr *attr, uint8_t family, struct address *ret)
{
    struct address address = {0};

    if (mnl_attr_get_payload_len(attr) != address_bytes(family))
        return -EPROTO;
    memcpy(address.bytes, mnl_attr_get_payload(attr), address_bytes(family));
    *ret = address;
    return 0;
}

/* An address whose bits behind the prefix are zero, as they are compared. */
static int decode_prefix(const struct nlattr *attr, uint8_t family, uint8_t bits,
                         struct address *ret)
{
    int r = decode_address(attr, family, ret);

    for (size_t i = 0; r == 0 && i < address_bytes(family); i++) {
        unsigned kept = bits > i * 8 ? bits - (unsigned)i * 8 : 0;

        if (kept < 8)
            ret->bytes[i] &= (uint8_t)(0xff00U >> kept);
    }
    return r;
}

static int decode_u32(const struct nlattr *attr, uint32_t *ret)
{
    if (mnl_attr_get_payload_len(attr) < sizeof(*ret))
        return -EPROTO;
    memcpy(ret, mnl_attr_get_payload(attr), sizeof(*ret));
    return 0;
}

/* struct rtvia: a gateway of another family. One of a family that is not ours (MPLS) is none to
 * tell. */
static int decode_via(const struct nlattr *attr, struct route_hop *hop)
{
    const uint8_t *at = mnl_attr_get_payload(attr);
    size_t n = mnl_attr_get_payload_len(attr);
    uint16_t family;

    if (n < sizeof(family))
        return -EPROTO;
    memcpy(&family, at, sizeof(family));
    if (family != AF_INET && family != AF_INET6)
        return 0;
    if (n - sizeof(family) < address_bytes((uint8_t)family))
        return -EPROTO;
    hop->family = (uint8_t)family;
    hop->gateway = (struct address){0};
    memcpy(hop->gateway.bytes, at + sizeof(family), address_bytes(hop->family));
    return 0;
}

/* What stands in the route, or in one of its ways. */
static int decode_hop_attribute(const struct nlattr *attr, struct route *route,
                                struct route_hop *hop)
{
    int r;

    switch (mnl_attr_get_type(attr)) {
    case RTA_GATEWAY:
        r = decode_address(attr, route->family, &hop->gateway);
        if (r == 0)
            hop->family = route->family;
        return r;
    case RTA_VIA:
        return decode_via(attr, hop);
    case RTA_ENCAP_TYPE:
        if (mnl_attr_get_payload_len(attr) < sizeof(uint16_t))
            return -EPROTO;
        route->encap = mnl_attr_get_u16(attr);
        return 0;
    default:
        return 0;
    }
}

/* RTA_METRICS has RTAX_* inside; those that are 0 the kernel does not tell. */
static int decode_metrics(const struct nlattr *attr, struct route *route)
{
    struct attr_walk walk = {mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr)};
    const struct nlattr *metric;
    uint32_t locks = 0;
    int r;

    while ((r = attr_next(&walk, &metric)) > 0) {
        switch (mnl_attr_get_type(metric)) {
        case RTAX_LOCK:
            r = decode_u32(metric, &locks);
            break;
        case RTAX_MTU:
            r = decode_u32(metric, &route->mtu_bytes);
            break;
        case RTAX_ADVMSS:
            r = decode_u32(metric, &route->advmss_bytes);
            break;
        case RTAX_WINDOW:
            r = decode_u32(metric, &route->max_window_bytes);
            break;
        case RTAX_INITCWND:
            r = decode_u32(metric, &route->initcwnd);
            break;
        case RTAX_INITRWND:
            r = decode_u32(metric, &route->initrwnd);
            break;
        default:
            break;
        }
        if (r < 0)
            return r;
    }
    route->mtu_locked = route->mtu_bytes && locks & (1U << RTAX_MTU);
    return r;
}

static int decode_pref(const struct nlattr *attr, struct route *route)
{
    if (mnl_attr_get_payload_len(attr) < sizeof(uint8_t))
        return -EPROTO;
    switch (mnl_attr_get_u8(attr)) {
    case ICMPV6_ROUTER_PREF_LOW:
        route->pref = ROUTE_PREF_LOW;
        return 0;
    case ICMPV6_ROUTER_PREF_MEDIUM:
        route->pref = ROUTE_PREF_MEDIUM;
        return 0;
    case ICMPV6_ROUTER_PREF_HIGH:
        route->pref = ROUTE_PREF_HIGH;
        return 0;
    default: /* RFC 4191 reserves the fourth */
        return 0;
    }
}

static int decode_attribute(const struct nlattr *attr, struct reading *reading)
{
    struct route *route = &reading->route;
    int r;

    switch (mnl_attr_get_type(attr)) {
    case RTA_DST:
        return decode_prefix(attr, route->family, route->bits, &route->destination);
    case RTA_SRC:
        return decode_prefix(attr, route->family, route->source_bits, &route->source);
    case RTA_PREFSRC:
        r = decode_address(attr, route->family, &route->prefsrc);
        route->has_prefsrc = r == 0;
        return r;
    case RTA_TABLE:
        return decode_u32(attr, &route->table);
    case RTA_PRIORITY:
        return decode_u32(attr, &route->metric);
    case RTA_NH_ID:
        return decode_u32(attr, &route->nexthop_id);
    case RTA_IIF:
        return decode_u32(attr, &route->iif);
    case RTA_OIF:
        return decode_u32(attr, &reading->hop.ifindex);
    case RTA_PREF:
        return decode_pref(attr, route);
    case RTA_METRICS:
        return decode_metrics(attr, route);
    case RTA_MULTIPATH:
        reading->multipath = attr;
        return 0;
    default:
        return decode_hop_attribute(attr, route, &reading->hop);
    }
}

static int decode_hop(const struct rtnexthop *told, const uint8_t *attributes, size_t n,
                      struct route *route, struct route_hop *ret)
{
    struct route_hop hop = {
        .ifindex = (uint32_t)told->rtnh_ifindex,
        .weight = (uint16_t)(told->rtnh_hops + 1U),
        .flags = told->rtnh_flags,
    };
    struct attr_walk walk = {.at = attributes, .left = n};
    const struct nlattr *attr;
    int r;

    while ((r = attr_next(&walk, &attr)) > 0) {
        r = decode_hop_attribute(attr, route, &hop);
        if (r < 0)
            return r;
    }
    if (r == 0)
        *ret = hop;
    return r;
}

/* Ways stand one behind the other, each with its length and attributes of its own. */
static int decode_multipath(const struct nlattr *attr, struct route *route,
                            struct route_hop_vec *hops)
{
    const uint8_t *at = mnl_attr_get_payload(attr);
    size_t left = mnl_attr_get_payload_len(attr);

    while (left > 0) {
        struct route_hop hop;
        struct rtnexthop told;
        size_t step;
        int r;

        if (left < sizeof(told))
            return -EPROTO;
        memcpy(&told, at, sizeof(told));
        if (told.rtnh_len < sizeof(told) || told.rtnh_len > left)
            return -EPROTO;
        r = decode_hop(&told, at + sizeof(told), told.rtnh_len - sizeof(told), route, &hop);
        if (r < 0)
            return r;
        if (vec_push(hops, hop) < 0)
            return -ENOMEM;
        step = RTNH_ALIGN((size_t)told.rtnh_len);
        if (step > left)
            step = left;
        at += step;
        left -= step;
    }
    return 0;
}

static int decode_head(const void *payload, size_t n, struct reading *reading)
{
    struct rtmsg message;
    unsigned most;

    if (n < sizeof(message))
        return -EPROTO;
    memcpy(&message, payload, sizeof(message));
    if (message.rtm_family != AF_INET && message.rtm_family != AF_INET6)
        return -EPROTO;
    most = (unsigned)address_bytes(message.rtm_family) * 8;
    if (message.rtm_dst_len > most || message.rtm_src_len > most)
        return -EPROTO;
    *reading = (struct reading){
        .route = {.family = message.rtm_family,
                  .bits = message.rtm_dst_len,
                  .source_bits = message.rtm_src_len,
                  .tos = message.rtm_tos,
                  .table = message.rtm_table,
                  .protocol = message.rtm_protocol,
                  .scope = message.rtm_scope,
                  .type = message.rtm_type,
                  .flags = message.rtm_flags & ~HOP_FLAGS},
        .hop = {.weight = 1, .flags = (uint8_t)(message.rtm_flags & HOP_FLAGS)},
    };
    return 0;
}

static int decode_ways(const struct reading *reading, struct route *route,
                       struct route_hop_vec *hops)
{
    if (route_leads_nowhere(route->type)) /* of those IPv6 tells lo as the interface */
        return 0;
    if (reading->multipath)
        return decode_multipath(reading->multipath, route, hops);
    return reading->hop.family || reading->hop.ifindex ? vec_push(hops, reading->hop) : 0;
}

int decode_route(const void *payload, size_t n, struct route *ret, struct route_hop_vec *ret_hops)
{
    struct reading reading;
    struct attr_walk walk;
    const struct nlattr *attr;
    int r = decode_head(payload, n, &reading);

    vec_clear(ret_hops);
    if (r < 0)
        return r;
    walk = (struct attr_walk){(const uint8_t *)payload + sizeof(struct rtmsg),
                              n - sizeof(struct rtmsg)};
    while ((r = attr_next(&walk, &attr)) > 0) {
        r = decode_attribute(attr, &reading);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = decode_ways(&reading, &reading.route, ret_hops);
    if (r < 0)
        return r;
    reading.route.n_hops = (uint32_t)ret_hops->n;
    *ret = reading.route;
    return 0;
}
