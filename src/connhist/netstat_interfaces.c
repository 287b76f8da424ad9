/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "netstat_tables.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static const struct column total_columns[] = {
    {"table", NULL, false},         {"netns", NULL, false}, {"statistic", "STATISTIC", false},
    {"received", "RECEIVED", true}, {"sent", "SENT", true},
};

/* For people a row for each direction, so that it stays within a terminal. */
static const struct column way_columns[] = {
    {"interface", "INTERFACE", false, .least = 9},
    {"state", "STATE", false, .gives = 3},
    {"way", "TRAFFIC", false},
    {"bytes", "BYTES", true},
    {"packets", "PACKETS", true},
    {"multicast", "MULTICAST", true, .gives = 2},
    {"discards", "DISCARDS", true},
    {"errors", "ERRORS", true},
};

static const struct column each_columns[] = {
    {"table", NULL, false},        {"netns", NULL, false},       {"interface", NULL, false},
    {"ifindex", NULL, true},       {"state", NULL, false},       {"flags", NULL, false},
    {"mtu_bytes", NULL, true},     {"rx_bytes", NULL, true},     {"rx_packets", NULL, true},
    {"rx_multicast", NULL, true},  {"rx_dropped", NULL, true},   {"rx_errors", NULL, true},
    {"rx_missed", NULL, true},     {"rx_nohandler", NULL, true}, {"tx_bytes", NULL, true},
    {"tx_packets", NULL, true},    {"tx_dropped", NULL, true},   {"tx_errors", NULL, true},
    {"tx_collisions", NULL, true}, {"tx_carrier", NULL, true},
};

static struct cell of(const struct interface *interface, int64_t value)
{
    return interface->has_stats ? cell_int(value) : cell_null();
}

static int put_interface(struct writer *writer, const struct tables *tables,
                         const struct interface *interface)
{
    const struct interface_stats *stats = &interface->stats;
    char flags[INTERFACE_FLAGS_TEXT_MAX];
    const struct cell cells[SUM(each_columns)] = {
        cell_text("interfaces"),
        cell_text(tables->netns),
        cell_text(interface->name),
        cell_int(interface->ifindex),
        cell_text(interface_operstate_name(interface->operstate)),
        cell_text(interface_flags_format(interface->flags, flags)),
        cell_int(interface->mtu_bytes),
        of(interface, stats->rx_bytes),
        of(interface, stats->rx_packets),
        of(interface, stats->rx_multicast),
        of(interface, stats->rx_dropped),
        of(interface, stats->rx_errors),
        of(interface, stats->rx_missed),
        of(interface, stats->rx_nohandler),
        of(interface, stats->tx_bytes),
        of(interface, stats->tx_packets),
        of(interface, stats->tx_dropped),
        of(interface, stats->tx_errors),
        of(interface, stats->tx_collisions),
        of(interface, stats->tx_carrier),
    };

    return writer_row(writer, cells);
}

/* As RX-DRP of netstat -i and "drop" of /proc/net/dev: what the device had no room for, too. */
static int64_t discards(const struct interface_stats *stats)
{
    int64_t sum;

    return __builtin_add_overflow(stats->rx_dropped, stats->rx_missed, &sum) ? INT64_MAX : sum;
}

static int put_ways(struct writer *writer, const struct interface *interface)
{
    const struct interface_stats *stats = &interface->stats;
    const struct cell name = cell_text(interface->name);
    const struct cell state = cell_text(interface_operstate_name(interface->operstate));
    const struct cell received[SUM(way_columns)] = {
        name,
        state,
        cell_text("received"),
        of(interface, stats->rx_bytes),
        of(interface, stats->rx_packets),
        of(interface, stats->rx_multicast),
        of(interface, discards(stats)),
        of(interface, stats->rx_errors),
    };
    const struct cell sent[SUM(way_columns)] = {
        name,
        state,
        cell_text("sent"),
        of(interface, stats->tx_bytes),
        of(interface, stats->tx_packets),
        cell_null(),
        of(interface, stats->tx_dropped),
        of(interface, stats->tx_errors),
    };
    int r = writer_row(writer, received);

    return r < 0 ? r : writer_row(writer, sent);
}

static int put_each(struct writer *writer, bool people, const struct tables *tables,
                    size_t *ret_rows)
{
    const struct interface_list *list = &tables->interfaces;
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->n; i++) {
        r = people ? put_ways(writer, &list->items[i])
                   : put_interface(writer, tables, &list->items[i]);
        ++*ret_rows;
    }
    return r;
}

/* Linux counts no multicast that is sent, and a driver may count what it received as multicast
 * without counting it as a packet. */
static int put_total(struct writer *writer, bool people, const struct tables *tables,
                     size_t *ret_rows)
{
    size_t n;
    const struct interface_stats sum = interface_list_total(&tables->interfaces, &n);
    const struct {
        const char *name;
        const char *words;
        struct cell received;
        struct cell sent;
    } rows[] = {
        {"bytes", "Bytes", cell_int(sum.rx_bytes), cell_int(sum.tx_bytes)},
        {"packets", "Packets", cell_int(sum.rx_packets), cell_int(sum.tx_packets)},
        {"unicast", "Unicast packets",
         sum.rx_packets >= sum.rx_multicast ? cell_int(sum.rx_packets - sum.rx_multicast)
                                            : cell_null(),
         cell_null()},
        {"multicast", "Multicast packets", cell_int(sum.rx_multicast), cell_null()},
        {"discards", "Discards", cell_int(discards(&sum)), cell_int(sum.tx_dropped)},
        {"errors", "Errors", cell_int(sum.rx_errors), cell_int(sum.tx_errors)},
    };
    int r = 0;

    for (size_t i = 0; n > 0 && r == 0 && i < SUM(rows); i++) {
        const struct cell cells[SUM(total_columns)] = {
            cell_text("interfaces"),
            cell_text(tables->netns),
            cell_text(people ? rows[i].words : rows[i].name),
            rows[i].received,
            rows[i].sent,
        };

        r = writer_row(writer, cells);
        ++*ret_rows;
    }
    return r;
}

int put_interfaces(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables, size_t *ret_rows)
{
    struct field fields[TABLE_FIELDS_MAX];
    size_t n_fields = table_fields(ctx, choice, "interfaces", fields);
    struct document document = {.schema = "connhist/netstat/1",
                                .fields = fields,
                                .n_fields = n_fields,
                                .columns = total_columns,
                                .n_columns = SUM(total_columns)};
    bool people = ctx->format == FORMAT_TABLE;
    int r;

    if (choice->each) {
        document.columns = people ? way_columns : each_columns;
        document.n_columns = people ? SUM(way_columns) : SUM(each_columns);
    }
    if (people)
        printf("Network interfaces%s\n", choice->each ? "" : ", all together");
    r = writer_begin(writer, &document);
    if (r == 0)
        r = choice->each ? put_each(writer, people, tables, ret_rows)
                         : put_total(writer, people, tables, ret_rows);
    return r < 0 ? r : writer_end(writer, NULL);
}
