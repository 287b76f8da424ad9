/* SPDX-License-Identifier: MIT */
#include "connhist/report/tables_past.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "counted.h"

/* By counter_names.id. */
struct values {
    int64_t *items; /* owned */
    size_t n;
};

static void finish_values(struct values *values)
{
    free(values->items);
}

static int fold(struct db *db, const char *sql, const struct reading_choice *choice,
                struct values *values, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t now_ms = choice->values_ms + 1; /* rows before that */
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, choice->netns);
    stmt_bind_i64(stmt, 2, now_ms - now_ms % COUNTED_DAY_MS);
    stmt_bind_i64(stmt, 3, now_ms - now_ms % COUNTED_HOUR_MS);
    stmt_bind_i64(stmt, 4, now_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t id = stmt_i64(stmt, 0);

        if (id > 0 && (size_t)id < values->n)
            values->items[id] = stmt_i64(stmt, 1);
    }
    return r;
}

/* A value holds until the next: of the days before, the hours before, and the readings since. */
static int load_values(struct db *db, const struct reading_choice *choice, struct values *values,
                       struct err *err)
{
    static const char *const sql[] = {
        "SELECT counter, last FROM counter_rollups WHERE tier = 3 AND netns = ?1 AND at_ms < ?2 "
        "AND ?3 <= ?4 ORDER BY at_ms",
        "SELECT counter, last FROM counter_rollups WHERE tier = 2 AND netns = ?1 AND at_ms >= ?2 "
        "AND at_ms < ?3 AND ?3 <= ?4 ORDER BY at_ms",
        "SELECT counter, value FROM counters WHERE netns = ?1 AND at_ms >= ?3 AND at_ms < ?4 "
        "AND ?2 <= ?3 ORDER BY at_ms",
    };
    int r = 0;

    for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]) && r >= 0; i++)
        r = fold(db, sql[i], choice, values, err);
    return r;
}

static const struct {
    const char *name;
    size_t offset;
} stats[] = {
#define STAT(what) {#what, offsetof(struct interface_stats, what)},
    COUNTED_STATS(STAT)};

/* "interface.NAME.rx_bytes": a name may have dots of its own. */
static void set_stat(struct interface_list *list, const char *name, int64_t value)
{
    const char *interface = name + strlen("interface."), *dot = strrchr(interface, '.');

    for (size_t i = 0; dot && i < list->n; i++) {
        struct interface *one = &list->items[i];

        if (strlen(one->name) != (size_t)(dot - interface) ||
            strncmp(one->name, interface, (size_t)(dot - interface)) != 0)
            continue;
        for (size_t j = 0; j < sizeof(stats) / sizeof(stats[0]); j++)
            if (strcmp(dot + 1, stats[j].name) == 0)
                memcpy((char *)&one->stats + stats[j].offset, &value, sizeof(value));
    }
}

static int load_counters(struct db *db, const struct reading_choice *choice, struct tables *ret,
                         struct err *err)
{
    static const char sql[] = "SELECT id, name, kind, protocol, place FROM counter_names";
    static const char max_sql[] = "SELECT coalesce(max(id), 0) FROM counter_names";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL, *max = NULL;
    _cleanup_(finish_values) struct values values = {0};
    int r = db_prepare(db, max_sql, &max, err);

    if (r == 0)
        r = stmt_step(max, err);
    if (r < 0)
        return r;
    values.n = (size_t)(stmt_i64(max, 0) & 0xfffff) + 1;
    values.items = calloc(values.n, sizeof(*values.items));
    if (!values.items)
        return err_errno(err, -ENOMEM, "reading the counters");
    r = load_values(db, choice, &values, err);
    if (r >= 0)
        r = db_prepare(db, sql, &stmt, err);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        struct counter counter = {.kind = (uint8_t)stmt_i64(stmt, 2),
                                  .protocol = (uint8_t)stmt_i64(stmt, 3),
                                  .place = (uint16_t)stmt_i64(stmt, 4)};
        int64_t id = stmt_i64(stmt, 0);

        if (id <= 0 || (size_t)id >= values.n)
            continue;
        counter.value = values.items[id];
        snprintf(counter.name, sizeof(counter.name), "%s", stmt_text(stmt, 1));
        if (!counter.protocol)
            set_stat(&ret->interfaces, counter.name, counter.value);
        else if (vec_push(&ret->counters, counter) < 0)
            return err_errno(err, -ENOMEM, "reading the counters");
    }
    counter_table_sort(&ret->counters);
    return r;
}

/* The rows of a namespace (?1) at an instant (?2), found by their index. */
#define THAT_WERE(table)                                        \
    "WHERE id IN (SELECT id FROM " table                        \
    " WHERE netns = ?1 AND until_ms IS NULL AND from_ms <= ?2 " \
    "UNION ALL SELECT id FROM " table " WHERE netns = ?1 AND until_ms > ?2 AND from_ms <= ?2)"

static int load_interfaces(struct db *db, const struct reading_choice *choice,
                           struct interface_list *ret, struct err *err)
{
    static const char sql[] =
        "SELECT ifindex, name, flags, operstate, mtu, type, has_stats FROM interfaces " THAT_WERE(
            "interfaces");
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, choice->netns);
    stmt_bind_i64(stmt, 2, choice->record_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct interface one = {.ifindex = (uint32_t)stmt_i64(stmt, 0),
                                .flags = (uint32_t)stmt_i64(stmt, 2),
                                .operstate = (uint8_t)stmt_i64(stmt, 3),
                                .mtu_bytes = (uint32_t)stmt_i64(stmt, 4),
                                .type = (uint16_t)stmt_i64(stmt, 5),
                                .has_stats = stmt_i64(stmt, 6) != 0};

        snprintf(one.name, sizeof(one.name), "%s", stmt_text(stmt, 1));
        if (vec_push(ret, one) < 0)
            return err_errno(err, -ENOMEM, "reading the interfaces");
    }
    interface_list_sort(ret);
    return r;
}

static bool read_address(struct stmt *stmt, int column, struct address *ret, uint8_t *ret_family)
{
    size_t n;
    const void *bytes = stmt_blob(stmt, column, &n);

    if (!bytes || n == 0)
        return false;
    memcpy(ret->bytes, bytes, n < sizeof(ret->bytes) ? n : sizeof(ret->bytes));
    if (ret_family)
        *ret_family = n == 4 ? 2 : 10;
    return true;
}

static int load_ways(struct stmt *stmt, int64_t route, struct route_hop_vec *ret, struct err *err)
{
    int r;

    vec_clear(ret);
    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, route);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct route_hop hop = {.ifindex = (uint32_t)stmt_i64(stmt, 1),
                                .weight = (uint16_t)stmt_i64(stmt, 2),
                                .flags = (uint8_t)stmt_i64(stmt, 3)};

        read_address(stmt, 0, &hop.gateway, &hop.family);
        if (vec_push(ret, hop) < 0)
            return err_errno(err, -ENOMEM, "reading the routes");
    }
    return r;
}

static void read_route(struct stmt *stmt, struct route *route)
{
    *route = (struct route){.family = (uint8_t)stmt_i64(stmt, 1),
                            .table = (uint32_t)stmt_i64(stmt, 2),
                            .bits = (uint8_t)stmt_i64(stmt, 4),
                            .source_bits = (uint8_t)stmt_i64(stmt, 6),
                            .type = (uint8_t)stmt_i64(stmt, 8),
                            .metric = (uint32_t)stmt_i64(stmt, 9),
                            .protocol = (uint8_t)stmt_i64(stmt, 10),
                            .scope = (uint8_t)stmt_i64(stmt, 11),
                            .tos = (uint8_t)stmt_i64(stmt, 12),
                            .nexthop_id = (uint32_t)stmt_i64(stmt, 13),
                            .iif = (uint32_t)stmt_i64(stmt, 14),
                            .flags = (uint32_t)stmt_i64(stmt, 15),
                            .encap = (uint16_t)stmt_i64(stmt, 16),
                            .rank = (uint32_t)stmt_i64(stmt, 17),
                            .mtu_bytes = (uint32_t)stmt_i64(stmt, 18),
                            .mtu_locked = stmt_i64(stmt, 19) != 0,
                            .advmss_bytes = (uint32_t)stmt_i64(stmt, 20),
                            .max_window_bytes = (uint32_t)stmt_i64(stmt, 21),
                            .initcwnd = (uint32_t)stmt_i64(stmt, 22),
                            .initrwnd = (uint32_t)stmt_i64(stmt, 23),
                            .pref = (uint8_t)stmt_i64(stmt, 24)};
    read_address(stmt, 3, &route->destination, NULL);
    read_address(stmt, 5, &route->source, NULL);
    route->has_prefsrc = read_address(stmt, 7, &route->prefsrc, NULL);
}

static int load_routes(struct db *db, const struct reading_choice *choice, struct route_table *ret,
                       struct err *err)
{
    static const char sql[] =
        "SELECT id, family, route_table, destination, bits, source, source_bits, prefsrc, type, "
        "metric, protocol, scope, tos, nexthop_id, iif, flags, encap, rank, mtu, mtu_lock, advmss, "
        "max_window, initcwnd, initrwnd, pref FROM routes " THAT_WERE("routes");
    static const char ways_sql[] = "SELECT gateway, ifindex, weight, flags FROM route_ways "
                                   "WHERE route = ?1 ORDER BY way";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL, *ways = NULL;
    struct route_hop_vec hops = {0};
    int r = db_prepare(db, sql, &stmt, err);

    if (r == 0)
        r = db_prepare(db, ways_sql, &ways, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, choice->netns);
    stmt_bind_i64(stmt, 2, choice->record_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        struct route route;

        read_route(stmt, &route);
        r = load_ways(ways, stmt_i64(stmt, 0), &hops, err);
        if (r == 0 && route_table_add(ret, &route, hops.items, hops.n) < 0)
            r = err_errno(err, -ENOMEM, "reading the routes");
        if (r < 0)
            break;
    }
    vec_finish(&hops);
    route_table_sort(ret);
    return r;
}

int tables_at(struct db *db, const struct walltime *walltime, const struct filter *filter,
              unsigned which, int64_t at_ms, struct tables *ret, struct reading_choice *choice,
              struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    int r = counted_spans_load(&spans, db, filter, err);

    *choice = (struct reading_choice){.ended_ms = TIME_UNKNOWN, .unread_ms = TIME_UNKNOWN};
    if (r == 0)
        r = reading_choose(db, walltime, &spans, which, at_ms, choice, err);
    counted_netns_text(&spans, choice->netns, ret->netns);
    if (r < 0 || !choice->found)
        return r;
    if (which & (TABLE_INTERFACES | TABLE_ROUTES))
        r = load_interfaces(db, choice, &ret->interfaces, err);
    if (r == 0 && which & (TABLE_COUNTERS | TABLE_INTERFACES))
        r = load_counters(db, choice, ret, err);
    if (r == 0 && which & TABLE_ROUTES)
        r = load_routes(db, choice, &ret->routes, err);
    return r;
}
