/* SPDX-License-Identifier: MIT */
/* Network interfaces and what they count (RTM_NEWLINK, linux/if_link.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

#define INTERFACE_NAME_MAX 16   /* IFNAMSIZ: bytes with the NUL */
#define INTERFACES_MAX     8192 /* in a list */

/* Totals since the interface began (struct rtnl_link_stats64). Those beyond int64 are the highest
 * int64. */
struct interface_stats {
    int64_t rx_bytes;
    int64_t tx_bytes;
    int64_t rx_packets;
    int64_t tx_packets;
    int64_t rx_errors;     /* bad packets received */
    int64_t tx_errors;     /* packets not sent for errors */
    int64_t rx_dropped;    /* received, and not processed for want of room or sense */
    int64_t tx_dropped;    /* not sent for want of room */
    int64_t rx_multicast;  /* multicast packets received; Linux does not count those sent, and
                              broadcast not at all */
    int64_t rx_missed;     /* the device had no room: not among rx_dropped */
    int64_t rx_nohandler;  /* on an inactive interface (of a bond) */
    int64_t tx_collisions; /* while sending */
    int64_t tx_carrier;    /* errors of the carrier */
};

struct interface {
    struct interface_stats stats;
    uint32_t ifindex;
    uint32_t flags;                /* IFF_UP (1) … of linux/if.h */
    uint32_t mtu_bytes;            /* 0: not told */
    uint16_t type;                 /* ARPHRD_ETHER (1) … of linux/if_arp.h */
    uint8_t operstate;             /* IF_OPER_UNKNOWN (0) … IF_OPER_UP (6), RFC 2863 */
    bool has_stats;                /* else stats is all zero */
    char name[INTERFACE_NAME_MAX]; /* data of others: any bytes but NUL and '/' */
};

/* Zeroed: empty. */
struct interface_list {
    VEC_FIELDS(struct interface); /* owned; sorted by ifindex after interface_list_sort() */
    size_t n_left_out;            /* beyond INTERFACES_MAX */
};

void interface_list_finish(struct interface_list *list);

/* Sorts by ifindex; of one that was told twice, one stays. */
void interface_list_sort(struct interface_list *list);

/* The interface with that index in a sorted list; NULL. */
const struct interface *interface_list_find(const struct interface_list *list, uint32_t ifindex);

#define INTERFACE_STATS 13 /* members of struct interface_stats */

/* The name of a member by its place, "rx_bytes" at 0, and its value. i < INTERFACE_STATS. */
const char *interface_stat_name(size_t i);
int64_t interface_stat(const struct interface_stats *stats, size_t i);

/* The sum of all. *ret_n: how many of them have statistics. */
struct interface_stats interface_list_total(const struct interface_list *list, size_t *ret_n);

#define INTERFACE_FLAGS_TEXT_MAX 192

/* "LOOPBACK,UP,LOWER_UP": the flags by ip(8)'s names and in its order, bits without a name as a
 * number. Returns buf. */
const char *interface_flags_format(uint32_t flags, char buf[static INTERFACE_FLAGS_TEXT_MAX]);

/* "UP", "DOWN", "UNKNOWN" … as ip(8) writes them; "?" otherwise. */
const char *interface_operstate_name(unsigned operstate);
