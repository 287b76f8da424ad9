/* SPDX-License-Identifier: MIT */
#include "connhist/report/tables_past.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
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

static unsigned lacks_of(unsigned which)
{
    return (which & TABLE_COUNTERS ? (unsigned)COUNTED_COUNTERS : 0U) |
           (which & TABLE_INTERFACES ? (unsigned)COUNTED_INTERFACES : 0U) |
           (which & TABLE_ROUTES ? (unsigned)COUNTED_ROUTES : 0U);
}

/* The last reading of a namespace, or where readings are gone that of the hour or the day before: its
 * end says as much about counters. 1: there is one. */
static int choose_in(struct db *db, struct stmt *stmt, const struct counted_spans *spans,
                     const struct counted_span *span, int64_t at_ms, struct reading_choice *ret,
                     struct err *err)
{
    struct counted_period period;
    int r;

    *ret = (struct reading_choice){.found = true, .netns = span->netns};
    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, span->from_ms);
    stmt_bind_i64(stmt, 2, at_ms);
    stmt_bind_i64(stmt, 3, span->netns);
    r = stmt_step(stmt, err);
    if (r > 0)
        ret->values_ms = ret->record_ms = ret->minute_ms = stmt_i64(stmt, 0);
    if (r != 0)
        return r;
    r = counted_period_before(db, spans, span->netns, at_ms, &period, err);
    if (r <= 0 || period.last_ms < span->from_ms)
        return r < 0 ? r : 0;
    ret->by_period_ms = period.end_ms - period.from_ms;
    ret->record_ms = ret->minute_ms = period.last_ms;
    ret->values_ms = period.end_ms - 1;
    return 1;
}

/* The last time in (?2, ?3] at which a namespace's rows changed, without readings that lacked some of
 * them; 0: there is none. Each part finds its rows by the index. */
#define READ_WHOLE(what)                                                     \
    "NOT EXISTS (SELECT 1 FROM reading_lacks AS l WHERE l.at_ms = " what " " \
    "AND l.netns = ?1 AND l.lacks & 6)"
#define LAST_END(table)                                                   \
    "coalesce((SELECT c.until_ms FROM " table " AS c WHERE c.netns = ?1 " \
    "AND c.until_ms > ?2 AND c.until_ms <= ?3 AND " READ_WHOLE(           \
        "c.until_ms") " "                                                 \
                      "ORDER BY c.until_ms DESC LIMIT 1), 0)"
#define LAST_BEGIN(table, until)                                                        \
    "coalesce((SELECT max(c.from_ms) FROM " table " AS c WHERE c.netns = ?1 AND " until \
    " AND c.from_ms > ?2 AND c.from_ms <= ?3 AND " READ_WHOLE("c.from_ms") "), 0)"
#define LAST_OF(table) \
    LAST_END(table)    \
    ", " LAST_BEGIN(table, "c.until_ms IS NULL") ", " LAST_BEGIN(table, "c.until_ms > ?2")

/* Routes, and interfaces, whose names they are shown by, are also read when they change. 1: there is a
 * reading or a change. */
static int choose_change(struct db *db, const struct counted_span *span, int64_t at_ms,
                         bool has_reading, struct reading_choice *ret, struct err *err)
{
    static const char sql[] = "SELECT max(" LAST_OF("routes") ", " LAST_OF("interfaces") ")";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, span->netns);
    stmt_bind_i64(stmt, 2, has_reading ? ret->record_ms : span->from_ms - 1);
    stmt_bind_i64(stmt, 3, at_ms);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    if (stmt_i64(stmt, 0) == 0)
        return has_reading;
    ret->record_ms = stmt_i64(stmt, 0);
    if (!has_reading)
        ret->minute_ms = ret->record_ms;
    return 1;
}

static int choose(struct db *db, const struct counted_spans *spans, int64_t at_ms, unsigned which,
                  struct reading_choice *ret, struct err *err)
{
    static const char sql[] =
        "SELECT r.at_ms FROM readings AS r WHERE r.at_ms >= ?1 AND r.at_ms <= ?2 AND NOT EXISTS "
        "(SELECT 1 FROM reading_lacks AS l WHERE l.at_ms = r.at_ms AND l.netns = ?3 "
        "AND l.lacks & ?4) ORDER BY r.at_ms DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = spans->n ? db_prepare(db, sql, &stmt, err) : 0;

    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        const struct counted_span *span = &spans->items[i];
        struct reading_choice one;
        int64_t last_ms;

        if (span->from_ms > at_ms)
            continue;
        stmt_bind_i64(stmt, 4, (int64_t)lacks_of(which));
        last_ms = span->until_ms < at_ms ? span->until_ms : at_ms;
        r = choose_in(db, stmt, spans, span, last_ms, &one, err);
        if (r >= 0 && lacks_of(which) == COUNTED_ROUTES)
            r = choose_change(db, span, last_ms, r > 0, &one, err);
        if (r > 0 && (!ret->found || one.record_ms >= ret->record_ms))
            *ret = one;
    }
    return r < 0 ? r : 0;
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

/* How far apart readings are at most, of the run that was on at an instant, and when it ended; INT64_MAX:
 * nobody knows of an end. */
static int find_run(struct db *db, int64_t record_ms, int64_t *ret_late_ms, int64_t *ret_ended_ms,
                    struct err *err)
{
    static const char sql[] = "SELECT interval_ms, ended_ms FROM recordings WHERE started_ms <= ?1 "
                              "ORDER BY id DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t interval_ms = 0;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, record_ms);
    r = stmt_step(stmt, err);
    *ret_ended_ms = INT64_MAX;
    if (r > 0) {
        interval_ms = stmt_i64(stmt, 0);
        if (!stmt_is_null(stmt, 1))
            *ret_ended_ms = stmt_i64(stmt, 1);
    }
    *ret_late_ms = counting_late_ms(interval_ms);
    return r < 0 ? r : 0;
}

int tables_at(struct db *db, const struct walltime *walltime, const struct filter *filter,
              unsigned which, int64_t at_ms, struct tables *ret, struct reading_choice *choice,
              struct err *err)
{
    _cleanup_(counted_spans_finish) struct counted_spans spans = {0};
    int64_t first_ms, last_ms, read_ms, late_ms = 0, unused_ms = 0, ended_ms = INT64_MAX;
    int r = counted_spans_load(&spans, db, filter, err);

    *choice = (struct reading_choice){0};
    walltime_to_record(walltime, at_ms, &first_ms, &last_ms);
    if (r == 0)
        r = choose(db, &spans, last_ms, which, choice, err);
    if (r == 0)
        r = find_run(db, choice->record_ms, &late_ms, &unused_ms, err);
    if (r == 0)
        r = find_run(db, last_ms, &unused_ms, &ended_ms, err);
    if (r < 0 || !choice->found)
        return r;
    choice->reading_ms = walltime_of_record(walltime, choice->record_ms);
    choice->distance_ms = at_ms - choice->reading_ms;
    late_ms += choice->by_period_ms;
    /* a change is no reading that was due, unless none came any more */
    read_ms =
        choice->record_ms - choice->minute_ms > late_ms ? choice->record_ms : choice->minute_ms;
    choice->in_gap = last_ms < first_ms || last_ms > ended_ms || last_ms - read_ms > late_ms;
    if (choice->record_ms > choice->minute_ms)
        choice->by_period_ms = 0;
    for (size_t i = 0; i < spans.n; i++)
        if (spans.items[i].netns == choice->netns)
            snprintf(ret->netns, sizeof(ret->netns), "%s", spans.items[i].name);
    if (which & (TABLE_INTERFACES | TABLE_ROUTES))
        r = load_interfaces(db, choice, &ret->interfaces, err);
    if (r == 0 && which & (TABLE_COUNTERS | TABLE_INTERFACES))
        r = load_counters(db, choice, ret, err);
    if (r == 0 && which & TABLE_ROUTES)
        r = load_routes(db, choice, &ret->routes, err);
    return r;
}
