/* SPDX-License-Identifier: MIT */
#include "decode_tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#include "attr.h"

/* Kinds of devices: the attribute of their port, two bytes in network byte order; those that only
 * devices of IPv6 have; and that of those that take both (drivers/net: vxlan_core.c, geneve.c). 0: none.
 * The socket of bareudp is of IPv6 and takes IPv4, where the kernel has IPv6. */
struct kind {
    const char *name;
    uint16_t port, ipv6[2], both;
};

static const struct kind kinds[] = {
    {"vxlan", IFLA_VXLAN_PORT, {IFLA_VXLAN_GROUP6, IFLA_VXLAN_LOCAL6}, IFLA_VXLAN_COLLECT_METADATA},
    {"geneve", IFLA_GENEVE_PORT, {IFLA_GENEVE_REMOTE6, 0}, IFLA_GENEVE_COLLECT_METADATA},
    {"bareudp", IFLA_BAREUDP_PORT, {0, 0}, IFLA_BAREUDP_PORT},
};

static struct attr_walk walk_of(const void *at, size_t n)
{
    return (struct attr_walk){.at = at, .left = n};
}

static struct attr_walk walk_into(const struct nlattr *attr)
{
    return walk_of(attr + 1, attr->nla_len - sizeof(*attr));
}

/* The attribute of this type; NULL and 0: there is none. */
static int find(struct attr_walk walk, uint16_t type, const struct nlattr **ret)
{
    const struct nlattr *attr;
    int r;

    *ret = NULL;
    while ((r = attr_next(&walk, &attr)) > 0)
        if ((attr->nla_type & NLA_TYPE_MASK) == type)
            *ret = attr;
    return r;
}

static const struct kind *kind_of(const struct nlattr *attr)
{
    const char *text = (const char *)(attr + 1);
    size_t n = attr->nla_len - sizeof(*attr);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t length = strlen(kinds[i].name);

        if (n >= length && n <= length + 1 && memcmp(text, kinds[i].name, length) == 0 &&
            (n == length || !text[n - 1]))
            return &kinds[i];
    }
    return NULL;
}

/* Whether an attribute is there and, if it has a value, that is not 0. */
static int is_set(struct attr_walk walk, uint16_t type, bool *ret)
{
    const struct nlattr *attr = NULL;
    int r = type ? find(walk, type, &attr) : 0;

    *ret = attr && (attr->nla_len == sizeof(*attr) || *(const uint8_t *)(attr + 1) ||
                    attr->nla_len > sizeof(*attr) + 1);
    return r;
}

static int decode_families(struct attr_walk data, const struct kind *kind, struct tunnel_port *ret)
{
    bool group, local, both;
    int r = is_set(data, kind->ipv6[0], &group);

    if (r == 0)
        r = is_set(data, kind->ipv6[1], &local);
    if (r == 0)
        r = is_set(data, kind->both, &both);
    if (r < 0)
        return r;
    ret->ipv6 = both || group || local;
    ret->ipv4 = both || !ret->ipv6;
    return 0;
}

static int decode_info(const struct nlattr *info, struct tunnel_port *ret)
{
    const struct nlattr *name, *data, *port = NULL;
    const struct kind *kind;
    uint16_t value;
    int r = find(walk_into(info), IFLA_INFO_KIND, &name);

    if (r == 0)
        r = find(walk_into(info), IFLA_INFO_DATA, &data);
    if (r < 0 || !name || !data || !(kind = kind_of(name)))
        return r;
    r = find(walk_into(data), kind->port, &port);
    if (r < 0 || !port || port->nla_len < sizeof(*port) + sizeof(value))
        return r;
    memcpy(&value, port + 1, sizeof(value));
    ret->port = ntohs(value);
    return decode_families(walk_into(data), kind, ret);
}

int decode_tunnel(const void *message, size_t n, struct tunnel_port *ret)
{
    struct tunnel_port none = {0};
    const struct nlattr *info;
    struct ifinfomsg link;
    int r;

    if (n < NLMSG_ALIGN(sizeof(link)))
        return -EPROTO;
    memcpy(&link, message, sizeof(link));
    r = find(walk_of((const uint8_t *)message + NLMSG_ALIGN(sizeof(link)),
                     n - NLMSG_ALIGN(sizeof(link))),
             IFLA_LINKINFO, &info);
    if (r < 0)
        return r;
    /* a device that is down has no socket */
    if (info && link.ifi_flags & IFF_UP)
        r = decode_info(info, &none);
    if (r == 0)
        *ret = none;
    return r;
}
