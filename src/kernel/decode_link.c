/* SPDX-License-Identifier: MIT */
#include "decode_link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "attr.h"

static int64_t held(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static void decode_stats(const struct nlattr *attr, struct interface *interface)
{
    struct rtnl_link_stats64 told = {0};
    size_t n = mnl_attr_get_payload_len(attr);

    memcpy(&told, mnl_attr_get_payload(attr), n < sizeof(told) ? n : sizeof(told));
    interface->has_stats = true;
    interface->stats = (struct interface_stats){
        .rx_bytes = held(told.rx_bytes),
        .tx_bytes = held(told.tx_bytes),
        .rx_packets = held(told.rx_packets),
        .tx_packets = held(told.tx_packets),
        .rx_errors = held(told.rx_errors),
        .tx_errors = held(told.tx_errors),
        .rx_dropped = held(told.rx_dropped),
        .tx_dropped = held(told.tx_dropped),
        .rx_multicast = held(told.multicast),
        .rx_missed = held(told.rx_missed_errors),
        .rx_nohandler = held(told.rx_nohandler),
        .tx_collisions = held(told.collisions),
        .tx_carrier = held(told.tx_carrier_errors),
    };
}

static int decode_name(const struct nlattr *attr, struct interface *interface)
{
    const char *name = mnl_attr_get_payload(attr);
    size_t n = strnlen(name, mnl_attr_get_payload_len(attr));

    if (n == 0 || n >= sizeof(interface->name))
        return -EPROTO;
    memcpy(interface->name, name, n);
    interface->name[n] = '\0';
    return 0;
}

static int decode_attribute(const struct nlattr *attr, struct interface *interface)
{
    size_t n = mnl_attr_get_payload_len(attr);

    switch (mnl_attr_get_type(attr)) {
    case IFLA_IFNAME:
        return decode_name(attr, interface);
    case IFLA_MTU:
        if (n < sizeof(uint32_t))
            return -EPROTO;
        interface->mtu_bytes = mnl_attr_get_u32(attr);
        return 0;
    case IFLA_OPERSTATE:
        if (n < sizeof(uint8_t))
            return -EPROTO;
        interface->operstate = mnl_attr_get_u8(attr);
        return 0;
    case IFLA_STATS64:
        decode_stats(attr, interface);
        return 0;
    default:
        return 0;
    }
}

int decode_link(const void *payload, size_t n, struct interface *ret)
{
    struct ifinfomsg message;
    struct interface interface = {0};
    struct attr_walk walk;
    const struct nlattr *attr;
    int r;

    if (n < sizeof(message))
        return -EPROTO;
    memcpy(&message, payload, sizeof(message));
    if (message.ifi_index <= 0)
        return -EPROTO;
    interface.ifindex = (uint32_t)message.ifi_index;
    interface.flags = message.ifi_flags;
    interface.type = message.ifi_type;
    walk = (struct attr_walk){(const uint8_t *)payload + sizeof(message), n - sizeof(message)};
    while ((r = attr_next(&walk, &attr)) > 0) {
        r = decode_attribute(attr, &interface);
        if (r < 0)
            return r;
    }
    if (r == 0 && !*interface.name)
        return -EPROTO;
    if (r == 0)
        *ret = interface;
    return r;
}
