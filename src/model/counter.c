/* SPDX-License-Identifier: MIT */
#include "connhist/model/counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/strutil.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

/* Groups by the begin of the name, up to its last '.'. */
static const struct {
    const char *group;
    enum counter_protocol protocol;
} groups[] = {
    {"Ip", COUNTER_IP},
    {"IpExt", COUNTER_IP},
    {"Ip6", COUNTER_IPV6},
    {"Icmp", COUNTER_ICMP},
    {"IcmpMsg", COUNTER_ICMP},
    {"Icmp6", COUNTER_ICMPV6},
    {"Tcp", COUNTER_TCP},
    {"TcpExt", COUNTER_TCP},
    {"MPTcpExt", COUNTER_TCP},
    {"Udp", COUNTER_UDP},
    {"UdpLite", COUNTER_UDP},
    {"Udp6", COUNTER_UDPV6},
    {"UdpLite6", COUNTER_UDPV6},
    {"sockstat.TCP", COUNTER_TCP},
    {"sockstat.TCP6", COUNTER_TCPV6},
    {"sockstat.UDP", COUNTER_UDP},
    {"sockstat.UDPLITE", COUNTER_UDP},
    {"sockstat.UDP6", COUNTER_UDPV6},
    {"sockstat.UDPLITE6", COUNTER_UDPV6},
    {"sockstat.RAW", COUNTER_IP},
    {"sockstat.FRAG", COUNTER_IP},
    {"sockstat.RAW6", COUNTER_IPV6},
    {"sockstat.FRAG6", COUNTER_IPV6},
};

/* Gauges outside sockstat (RFC 2011, 2012; MPCurrEstab: net/mptcp/mib.h). */
static const char *const gauges[] = {
    "Ip.Forwarding", "Ip.DefaultTTL", "Tcp.RtoAlgorithm", "Tcp.RtoMin",
    "Tcp.RtoMax",    "Tcp.MaxConn",   "Tcp.CurrEstab",    "MPTcpExt.MPCurrEstab",
};

static const char *const protocol_names[COUNTER_PROTOCOLS] = {
    [COUNTER_IP] = "ip",         [COUNTER_IPV6] = "ipv6",   [COUNTER_ICMP] = "icmp",
    [COUNTER_ICMPV6] = "icmpv6", [COUNTER_TCP] = "tcp",     [COUNTER_TCPV6] = "tcpv6",
    [COUNTER_UDP] = "udp",       [COUNTER_UDPV6] = "udpv6", [COUNTER_OTHER] = "other",
};

void counter_table_finish(struct counter_table *table)
{
    vec_finish(table);
}

static unsigned char folded(const char **text)
{
    unsigned char c;

    while (**text == '.')
        (*text)++;
    c = (unsigned char)**text;
    if (c)
        (*text)++;
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : c;
}

int counter_compare_names(const char *a, const char *b)
{
    unsigned char x, y;

    do {
        x = folded(&a);
        y = folded(&b);
    } while (x && x == y);
    return (int)x - (int)y;
}

enum counter_protocol counter_protocol_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t length = dot ? (size_t)(dot - name) : 0;

    for (size_t i = 0; i < SUM(groups); i++)
        if (strlen(groups[i].group) == length && memcmp(groups[i].group, name, length) == 0)
            return groups[i].protocol;
    return COUNTER_OTHER;
}

static enum counter_kind kind_of(const char *name)
{
    if (strncmp(name, "sockstat.", strlen("sockstat.")) == 0)
        return COUNTER_GAUGE;
    for (size_t i = 0; i < SUM(gauges); i++)
        if (strcmp(gauges[i], name) == 0)
            return COUNTER_GAUGE;
    return COUNTER_TOTAL;
}

static bool is_name(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.'))
            return false;
    }
    return n > 0;
}

int counter_table_add(struct counter_table *table, const char *group, size_t group_length,
                      const char *name, size_t name_length, int64_t value)
{
    struct counter counter = {.value = value, .place = (uint16_t)table->n};

    if (table->n >= COUNTERS_MAX || group_length >= COUNTER_NAME_MAX ||
        name_length >= COUNTER_NAME_MAX || group_length + 1 + name_length >= COUNTER_NAME_MAX ||
        !is_name(group, group_length) || !is_name(name, name_length)) {
        table->n_left_out++;
        return 0;
    }
    memcpy(counter.name, group, group_length);
    counter.name[group_length] = '.';
    memcpy(counter.name + group_length + 1, name, name_length);
    counter.protocol = (uint8_t)counter_protocol_of(counter.name);
    counter.kind = (uint8_t)kind_of(counter.name);
    return vec_push(table, counter);
}

/* What has the same name stands in the kernel's order. */
static int compare(const void *left, const void *right)
{
    const struct counter *a = left, *b = right;
    int r = counter_compare_names(a->name, b->name);

    return r ? r : (a->place > b->place) - (a->place < b->place);
}

void counter_table_sort(struct counter_table *table)
{
    size_t kept = 0;

    if (table->n == 0)
        return;
    qsort(table->items, table->n, sizeof(table->items[0]), compare);
    for (size_t i = 0; i < table->n; i++)
        if (kept == 0 ||
            counter_compare_names(table->items[kept - 1].name, table->items[i].name) != 0)
            table->items[kept++] = table->items[i];
    table->n = kept;
}

static int compare_key(const void *key, const void *item)
{
    return counter_compare_names(key, ((const struct counter *)item)->name);
}

const struct counter *counter_table_find(const struct counter_table *table, const char *name)
{
    if (table->n == 0)
        return NULL;
    return bsearch(name, table->items, table->n, sizeof(table->items[0]), compare_key);
}

const char *counter_protocol_name(unsigned protocol)
{
    return protocol > 0 && protocol < COUNTER_PROTOCOLS ? protocol_names[protocol] : "?";
}

int counter_protocol_parse(const char *text, enum counter_protocol *ret)
{
    for (unsigned i = COUNTER_IP; i < COUNTER_OTHER; i++)
        if (same_word(text, protocol_names[i])) {
            *ret = (enum counter_protocol)i;
            return 0;
        }
    return -EINVAL;
}

const char *counter_kind_name(unsigned kind)
{
    return kind == COUNTER_TOTAL ? "counter" : kind == COUNTER_GAUGE ? "gauge" : "?";
}
