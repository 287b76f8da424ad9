/* SPDX-License-Identifier: MIT */
/* The kernel's named counters: those of /proc/net/{snmp,snmp6,netstat,sockstat,sockstat6}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

#define COUNTER_NAME_MAX 64   /* bytes with the NUL; the longest of Linux 6.18 takes 39 */
#define COUNTERS_MAX     2048 /* in a table; Linux 6.18 has some 450 */

/* Which part of `netstat -s` a counter belongs to. Linux counts TCP over both families together:
 * of TCPV6 alone there is but the gauge of sockstat6. Udp is IPv4 alone. */
enum counter_protocol {
    COUNTER_IP = 1, /* Ip, IpExt; RAW and FRAG of sockstat */
    COUNTER_IPV6,   /* Ip6; RAW6 and FRAG6 of sockstat6 */
    COUNTER_ICMP,   /* Icmp, IcmpMsg */
    COUNTER_ICMPV6, /* Icmp6 */
    COUNTER_TCP,    /* Tcp, TcpExt, MPTcpExt; TCP of sockstat */
    COUNTER_TCPV6,  /* TCP6 of sockstat6 */
    COUNTER_UDP,    /* Udp, UdpLite; UDP and UDPLITE of sockstat */
    COUNTER_UDPV6,  /* Udp6, UdpLite6; UDP6 and UDPLITE6 of sockstat6 */
    COUNTER_OTHER,  /* what a later kernel may add; `sockets` of sockstat */
    COUNTER_PROTOCOLS,
};

enum counter_kind {
    COUNTER_TOTAL, /* only grows, from 0 at the namespace's begin; wraps at 2^32 or 2^64 */
    COUNTER_GAUGE, /* a state or a setting: goes up and down */
};

struct counter {
    int64_t value;               /* as the kernel told; Tcp.MaxConn may be -1 */
    uint16_t place;              /* in the kernel's order, from 0 */
    uint8_t protocol;            /* enum counter_protocol */
    uint8_t kind;                /* enum counter_kind */
    char name[COUNTER_NAME_MAX]; /* "TcpExt.ListenOverflows", "Ip6.InReceives",
                                    "sockstat.TCP.inuse": letters, digits, '_' and '.' */
};

/* Zeroed: empty. */
struct counter_table {
    VEC_FIELDS(struct counter); /* owned; sorted by name after counter_table_sort() */
    size_t n_left_out;          /* not kept: beyond COUNTERS_MAX, a name that is too long or has
                                   other characters, a value beyond int64 */
};

void counter_table_finish(struct counter_table *table);

/* Appends a counter with the name GROUP.NAME (lengths in bytes, no NUL needed) and finds out its
 * protocol and kind. What can't be kept is counted in n_left_out. 0 or -ENOMEM. */
int counter_table_add(struct counter_table *table, const char *group, size_t group_length,
                      const char *name, size_t name_length, int64_t value);

/* Sorts by counter_compare_names() and drops what stands twice but for the first. */
void counter_table_sort(struct counter_table *table);

/* The counter of that name in a sorted table; NULL. The spelling is free, see
 * counter_compare_names(). */
const struct counter *counter_table_find(const struct counter_table *table, const char *name);

/* Order of names: case and '.' don't count, so that nstat's "TcpExtListenOverflows" is the same as
 * "TcpExt.ListenOverflows". <0, 0, >0. */
int counter_compare_names(const char *a, const char *b);

/* Where `netstat -s` has it, by the group's name ("TcpExt", "sockstat.TCP"). */
enum counter_protocol counter_protocol_of(const char *name);

/* "ip", "ipv6", "icmp", "icmpv6", "tcp", "tcpv6", "udp", "udpv6", "other"; "?" otherwise. */
const char *counter_protocol_name(unsigned protocol);

/* Reads one of these names but "other". -EINVAL when it is none. */
int counter_protocol_parse(const char *text, enum counter_protocol *ret);

/* "counter" or "gauge"; "?" otherwise. */
const char *counter_kind_name(unsigned kind);
