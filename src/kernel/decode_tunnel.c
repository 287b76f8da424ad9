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

/* Kinds of devices, and the attribute of their port: all of them two bytes in network byte order. */
static const struct {
    const char *kind;
    uint16_t attribute;
} kinds[] = {
    {"vxlan", IFLA_VXLAN_PORT},
    {"geneve", IFLA_GENEVE_PORT},
    {"bareudp", IFLA_BAREUDP_PORT},
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

static uint16_t attribute_of(const struct nlattr *kind)
{
    const char *text = (const char *)(kind + 1);
    size_t n = kind->nla_len - sizeof(*kind);

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (n >= strlen(kinds[i].kind) && n <= strlen(kinds[i].kind) + 1 &&
            memcmp(text, kinds[i].kind, strlen(kinds[i].kind)) == 0 &&
            (n == strlen(kinds[i].kind) || !text[n - 1]))
            return kinds[i].attribute;
    return 0;
}

static int decode_info(const struct nlattr *info, struct tunnel_port *ret)
{
    const struct nlattr *kind, *data, *port = NULL;
    uint16_t value;
    int r = find(walk_into(info), IFLA_INFO_KIND, &kind);

    if (r == 0)
        r = find(walk_into(info), IFLA_INFO_DATA, &data);
    if (r < 0 || !kind || !data || !attribute_of(kind))
        return r;
    r = find(walk_into(data), attribute_of(kind), &port);
    if (r < 0 || !port || port->nla_len < sizeof(*port) + sizeof(value))
        return r;
    memcpy(&value, port + 1, sizeof(value));
    ret->port = ntohs(value);
    return 0;
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
