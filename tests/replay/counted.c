/* SPDX-License-Identifier: MIT */
#include "counted.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "stage.h"

void made_tables_finish(struct made_tables *tables)
{
    counted_tables_finish(&tables->now);
}

static void drop_counter(struct counter_table *table, const char *name)
{
    size_t kept = 0;

    for (size_t i = 0; i < table->n; i++)
        if (strcmp(table->items[i].name, name) != 0)
            table->items[kept++] = table->items[i];
    table->n = kept;
}

static void put_counter(struct counter_table *table, const char *name, const char *value)
{
    const char *dot = strrchr(name, '.');
    int64_t number;

    drop_counter(table, name);
    if (*value == '-')
        return;
    if (!dot || sscanf(value, "%" SCNd64, &number) != 1 ||
        counter_table_add(table, name, (size_t)(dot - name), dot + 1, strlen(dot + 1), number) < 0)
        stage_die("counter", name);
}

static void drop_interface(struct interface_list *list, uint32_t ifindex)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].ifindex != ifindex)
            list->items[kept++] = list->items[i];
    list->n = kept;
}

static void put_interface(struct interface_list *list, const char *line)
{
    struct interface one = {.type = 1, .operstate = 6, .flags = 1, .has_stats = true};
    int n = sscanf(line, "interface %" SCNu32 " %15s %" SCNu32 " %" SCNd64, &one.ifindex, one.name,
                   &one.mtu_bytes, &one.stats.rx_bytes);

    drop_interface(list, one.ifindex);
    if (n != 4 && !(n == 2 && strcmp(one.name, "-") == 0))
        stage_die("interface", line);
    if (n == 4 && vec_push(list, one) < 0)
        stage_die("interface", "out of memory");
}

static bool is_to(const struct route *route, const struct route *other)
{
    return route->bits == other->bits &&
           memcmp(&route->destination, &other->destination, sizeof(route->destination)) == 0;
}

static void put_route(struct route_table *table, const char *line)
{
    struct route route = {.family = AF_INET, .table = ROUTE_TABLE_MAIN, .type = ROUTE_UNICAST};
    struct route_table kept = {0};
    struct route_hop hop = {.family = AF_INET, .ifindex = 2, .weight = 1};
    char destination[64], via[64];
    int n = sscanf(line, "route %63s %" SCNu8 " %63s %" SCNu32, destination, &route.bits, via,
                   &route.metric);
    uint8_t family;

    if (n < 3 || address_parse(destination, &family, &route.destination) < 0)
        stage_die("route", line);
    for (size_t i = 0; i < table->n; i++)
        if ((n == 4 || !is_to(&table->items[i], &route)) &&
            route_table_add(&kept, &table->items[i], route_hops(table, &table->items[i]),
                            table->items[i].n_hops) < 0)
            stage_die("route", "out of memory");
    if (n == 4 && (address_parse(via, &family, &hop.gateway) < 0 ||
                   route_table_add(&kept, &route, &hop, 1) < 0))
        stage_die("route", line);
    route_table_finish(table);
    *table = kept;
}

bool made_tables_obey(struct made_tables *tables, const char *line)
{
    char name[COUNTER_NAME_MAX], value[32];

    if (sscanf(line, "counter %63s %31s", name, value) == 2)
        put_counter(&tables->now.counters, name, value);
    else if (strncmp(line, "interface ", 10) == 0)
        put_interface(&tables->now.interfaces, line);
    else if (strncmp(line, "route ", 6) == 0)
        put_route(&tables->now.routes, line);
    else if (sscanf(line, "unread %u", &tables->now.lacks) != 1)
        return false;
    tables->any = true;
    return true;
}

void made_tables_read(const struct made_tables *tables, unsigned what, struct counted_tables *ret)
{
    const struct counted_tables *now = &tables->now;
    int r = 0;

    ret->lacks |= now->lacks & what;
    what &= ~now->lacks;
    for (size_t i = 0; r == 0 && what & COUNTED_COUNTERS && i < now->counters.n; i++)
        r = vec_push(&ret->counters, now->counters.items[i]);
    for (size_t i = 0; r == 0 && what & COUNTED_INTERFACES && i < now->interfaces.n; i++)
        r = vec_push(&ret->interfaces, now->interfaces.items[i]);
    for (size_t i = 0; r == 0 && what & COUNTED_ROUTES && i < now->routes.n; i++)
        r = route_table_add(&ret->routes, &now->routes.items[i],
                            route_hops(&now->routes, &now->routes.items[i]),
                            now->routes.items[i].n_hops);
    if (r < 0)
        stage_die("counters", "out of memory");
    counter_table_sort(&ret->counters);
    interface_list_sort(&ret->interfaces);
    route_table_rank(&ret->routes);
}
