/* SPDX-License-Identifier: MIT */
#include "connhist/model/interface.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void interface_list_finish(struct interface_list *list)
{
    vec_finish(list);
}

static int compare(const void *left, const void *right)
{
    const struct interface *a = left, *b = right;

    return (a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

void interface_list_sort(struct interface_list *list)
{
    size_t kept = 0;

    if (list->n == 0)
        return;
    qsort(list->items, list->n, sizeof(list->items[0]), compare);
    for (size_t i = 0; i < list->n; i++) {
        if (kept == 0 || list->items[kept - 1].ifindex != list->items[i].ifindex)
            kept++;
        list->items[kept - 1] = list->items[i];
    }
    list->n = kept;
}

static int compare_index(const void *key, const void *item)
{
    uint32_t wanted = *(const uint32_t *)key, ifindex = ((const struct interface *)item)->ifindex;

    return (wanted > ifindex) - (wanted < ifindex);
}

const struct interface *interface_list_find(const struct interface_list *list, uint32_t ifindex)
{
    if (list->n == 0)
        return NULL;
    return bsearch(&ifindex, list->items, list->n, sizeof(list->items[0]), compare_index);
}

/* Stays at the highest number. */
static void add(int64_t *sum, int64_t value)
{
    if (__builtin_add_overflow(*sum, value, sum))
        *sum = INT64_MAX;
}

static const struct {
    const char *name;
    size_t offset;
} stats_table[] = {
#define STAT(what)                                    \
    {                                                 \
#what, offsetof(struct interface_stats, what) \
    }
    STAT(rx_bytes),     STAT(tx_bytes),      STAT(rx_packets), STAT(tx_packets),   STAT(rx_errors),
    STAT(tx_errors),    STAT(rx_dropped),    STAT(tx_dropped), STAT(rx_multicast), STAT(rx_missed),
    STAT(rx_nohandler), STAT(tx_collisions), STAT(tx_carrier),
};

static_assert(sizeof(stats_table) / sizeof(stats_table[0]) == INTERFACE_STATS &&
                  sizeof(struct interface_stats) == INTERFACE_STATS * sizeof(int64_t),
              "each member has a name");

const char *interface_stat_name(size_t i)
{
    return stats_table[i].name;
}

int64_t interface_stat(const struct interface_stats *stats, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)stats + stats_table[i].offset, sizeof(value));
    return value;
}

struct interface_stats interface_list_total(const struct interface_list *list, size_t *ret_n)
{
    struct interface_stats sum = {0};
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        const struct interface_stats *stats = &list->items[i].stats;

        n += list->items[i].has_stats;
        add(&sum.rx_bytes, stats->rx_bytes);
        add(&sum.tx_bytes, stats->tx_bytes);
        add(&sum.rx_packets, stats->rx_packets);
        add(&sum.tx_packets, stats->tx_packets);
        add(&sum.rx_errors, stats->rx_errors);
        add(&sum.tx_errors, stats->tx_errors);
        add(&sum.rx_dropped, stats->rx_dropped);
        add(&sum.tx_dropped, stats->tx_dropped);
        add(&sum.rx_multicast, stats->rx_multicast);
        add(&sum.rx_missed, stats->rx_missed);
        add(&sum.rx_nohandler, stats->rx_nohandler);
        add(&sum.tx_collisions, stats->tx_collisions);
        add(&sum.tx_carrier, stats->tx_carrier);
    }
    *ret_n = n;
    return sum;
}

/* linux/if.h, IFF_*. */
const char *interface_flags_format(uint32_t flags, char buf[static INTERFACE_FLAGS_TEXT_MAX])
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {0x8, "LOOPBACK"},    {0x2, "BROADCAST"},   {0x10, "POINTOPOINT"}, {0x1000, "MULTICAST"},
        {0x80, "NOARP"},      {0x200, "ALLMULTI"},  {0x100, "PROMISC"},    {0x400, "MASTER"},
        {0x800, "SLAVE"},     {0x4, "DEBUG"},       {0x8000, "DYNAMIC"},   {0x4000, "AUTOMEDIA"},
        {0x2000, "PORTSEL"},  {0x20, "NOTRAILERS"}, {0x1, "UP"},           {0x10000, "LOWER_UP"},
        {0x20000, "DORMANT"}, {0x40000, "ECHO"},
    };
    size_t used = 0;

    buf[0] = '\0';
    if ((flags & 0x41) == 0x1) /* up, and not RUNNING */
        used = (size_t)snprintf(buf, INTERFACE_FLAGS_TEXT_MAX, "NO-CARRIER");
    flags &= ~0x40U;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!(flags & names[i].bit))
            continue;
        flags &= ~names[i].bit;
        used += (size_t)snprintf(buf + used, INTERFACE_FLAGS_TEXT_MAX - used, "%s%s",
                                 used ? "," : "", names[i].name);
    }
    if (flags)
        snprintf(buf + used, INTERFACE_FLAGS_TEXT_MAX - used, "%s%#x", used ? "," : "",
                 (unsigned)flags);
    return buf;
}

const char *interface_operstate_name(unsigned operstate)
{
    static const char *const names[] = {"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN",
                                        "TESTING", "DORMANT",    "UP"};

    return operstate < sizeof(names) / sizeof(names[0]) ? names[operstate] : "?";
}
