/* SPDX-License-Identifier: MIT */
#include "connhist/report/counter_grid.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/report/filter.h"
#include "connhist/store/db.h"
#include "counter_grid_rows.h"
#include "edition.h"
#include "netns_names.h"

#define VALUES_MAX (INT64_C(1) << 21) /* held at once: 16 MiB */
#define IDS_MAX    0xfffff            /* a damaged file has no say in what memory we take */

struct counter_grid {
    struct grid_span span;
    struct {
        VEC_FIELDS(struct grid_place);
    } places; /* by label, then from_ms; owned */
    struct {
        VEC_FIELDS(struct grid_series);
    } series;        /* owned */
    int64_t *values; /* of those that were read; owned */
    size_t first;    /* the first of them */
    size_t n;        /* how many */
};

void counter_grid_free(struct counter_grid *grid)
{
    if (!grid)
        return;
    vec_finish(&grid->places);
    vec_finish(&grid->series);
    free(grid->values);
    free(grid);
}

/* How a namespace without sockets is called: by its name, unless another of that boot has that. */
static void call(const struct netns_names *names, struct grid_place *place, const char *name,
                 int64_t inode, int64_t boot)
{
    const char *text = netns_names_text(names, place->netns);
    bool taken = false;

    for (size_t i = 0; !text && i < names->n; i++)
        taken |= names->items[i].boot == boot && strcmp(names->items[i].name, name) == 0;
    if (text)
        snprintf(place->label, sizeof(place->label), "%s", text);
    else if (taken)
        snprintf(place->label, sizeof(place->label), "%.40s (inode:%lld)",
                 *name ? name : FILTER_NETNS_OWN, (long long)inode);
    else
        snprintf(place->label, sizeof(place->label), "%.79s", name);
}

static int compare_places(const void *left, const void *right)
{
    const struct grid_place *a = left, *b = right;
    int r = strcmp(a->label, b->label);

    return r ? r : (a->from_ms > b->from_ms) - (a->from_ms < b->from_ms);
}

static int load_places(struct counter_grid *grid, struct db *db, const struct filter *filter,
                       struct err *err)
{
    static const char sql[] =
        "SELECT n.id, n.inode, n.name, min(s.from_ms), coalesce(n.boot, 0) FROM netns_spans AS s "
        "JOIN netns AS n ON n.id = s.netns GROUP BY n.id";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct netns_names names = {0};
    int r = netns_names_load(&names, db, filter, err);

    if (r >= 0)
        r = db_prepare(db, sql, &stmt, err);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        struct grid_place place = {.netns = stmt_i64(stmt, 0), .from_ms = stmt_i64(stmt, 3)};

        if (!filter_netns(filter, stmt_text(stmt, 2), (uint64_t)stmt_i64(stmt, 1)))
            continue;
        call(&names, &place, stmt_text(stmt, 2), stmt_i64(stmt, 1), stmt_i64(stmt, 4));
        if (vec_push(&grid->places, place) < 0)
            r = err_errno(err, -ENOMEM, "reading the network namespaces");
    }
    vec_finish(&names);
    if (grid->places.n > 1)
        qsort(grid->places.items, grid->places.n, sizeof(struct grid_place), compare_places);
    return r;
}

/* "interface.NAME.rx_bytes": NAME may have dots of its own. */
static void read_name(const char *name, bool of_interface, struct counter_series *ret)
{
    static const char prefix[] = "interface.";
    const char *rest = name + sizeof(prefix) - 1, *dot;

    if (!of_interface || strncmp(name, prefix, sizeof(prefix) - 1) != 0 ||
        !(dot = strrchr(rest, '.'))) {
        snprintf(ret->name, sizeof(ret->name), "%s", name);
        return;
    }
    snprintf(ret->name, sizeof(ret->name), "%s", dot + 1);
    snprintf(ret->interface, sizeof(ret->interface), "%.*s", (int)(dot - rest), rest);
}

static int compare_series(const void *left, const void *right)
{
    const struct grid_series *a = left, *b = right;
    int r = (*a->told.interface != '\0') - (*b->told.interface != '\0');

    if (r == 0)
        r = strcmp(a->told.name, b->told.name);
    if (r == 0)
        r = strcmp(a->told.interface, b->told.interface);
    return r ? r : strcmp(a->told.netns, b->told.netns);
}

static const struct grid_place *find_place(const struct counter_grid *grid, int64_t netns)
{
    for (size_t i = 0; i < grid->places.n; i++)
        if (grid->places.items[i].netns == netns)
            return &grid->places.items[i];
    return NULL;
}

/* Namespaces of one name in several boots have one series. */
static void drop_doubles(struct counter_grid *grid)
{
    size_t n = 0;

    for (size_t i = 0; i < grid->series.n; i++)
        if (n == 0 || compare_series(&grid->series.items[n - 1], &grid->series.items[i]) != 0)
            grid->series.items[n++] = grid->series.items[i];
    grid->series.n = n;
}

/* A counter that was never told in a namespace was 0 there, and worth showing if it is a gauge. A copy
 * has no row of the day and of the hour that it ends in. */
static int load_series(struct counter_grid *grid, struct db *db, struct err *err)
{
    static const char sql[] =
        "WITH whole (ms) AS (SELECT coalesce(max(until_ms), 0) FROM tiers WHERE tier = 3) "
        "SELECT r.netns, k.id, k.name, k.kind, k.protocol FROM ("
        "SELECT netns, counter FROM counter_rollups WHERE tier = 3 UNION "
        "SELECT c.netns, c.counter FROM netns AS n JOIN counter_rollups AS c ON c.tier = 2 AND "
        "c.netns = n.id AND c.at_ms >= (SELECT ms FROM whole) UNION "
        "SELECT c.netns, c.counter FROM netns AS n JOIN counters AS c ON c.netns = n.id AND "
        "c.at_ms >= (SELECT ms FROM whole) UNION "
        "SELECT s.netns, g.id FROM netns_spans AS s, counter_names AS g WHERE g.kind = ?1 AND "
        "g.protocol > 0) AS r JOIN counter_names AS k ON k.id = r.counter";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r >= 0)
        stmt_bind_i64(stmt, 1, COUNTER_GAUGE);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        const struct grid_place *place = find_place(grid, stmt_i64(stmt, 0));
        struct grid_series series = {.counter = stmt_i64(stmt, 1),
                                     .told.kind = (uint8_t)stmt_i64(stmt, 3)};

        if (!place || series.counter <= 0 || series.counter > IDS_MAX)
            continue;
        read_name(stmt_text(stmt, 2), stmt_i64(stmt, 4) == 0, &series.told);
        snprintf(series.told.netns, sizeof(series.told.netns), "%s", place->label);
        if (vec_push(&grid->series, series) < 0)
            return err_errno(err, -ENOMEM, "reading the counters");
    }
    if (grid->series.n > 1)
        qsort(grid->series.items, grid->series.n, sizeof(struct grid_series), compare_series);
    drop_doubles(grid);
    return r;
}

int counter_grid_new(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t since_ms, int64_t until_ms, int64_t step_ms, struct counter_grid **ret,
                     struct err *err)
{
    _cleanup_(cleanup_counter_grid_free) struct counter_grid *grid = calloc(1, sizeof(*grid));
    int r = 0;

    if (!grid)
        return err_errno(err, -ENOMEM, "reading the counters");
    grid->span = (struct grid_span){
        .walltime = walltime,
        .since_ms = since_ms,
        .until_ms = until_ms,
        .step_ms = step_ms,
        .n_steps = (size_t)((until_ms - since_ms + step_ms - 1) / step_ms),
    };
    if (edition_has_counters(db)) {
        r = load_places(grid, db, filter, err);
        if (r >= 0)
            r = load_series(grid, db, err);
        if (r >= 0)
            r = grid_span_load(&grid->span, db, err);
    }
    if (r < 0)
        return r;
    *ret = TAKE_PTR(grid);
    return 0;
}

size_t counter_grid_count(const struct counter_grid *grid)
{
    return grid->series.n;
}

size_t counter_grid_steps(const struct counter_grid *grid)
{
    return grid->span.n_steps;
}

const struct counter_series *counter_grid_series(const struct counter_grid *grid, size_t i)
{
    return &grid->series.items[i].told;
}

const int64_t *counter_grid_values(const struct counter_grid *grid, size_t i)
{
    return grid->values + (i - grid->first) * grid->span.n_steps;
}

/* As many from `first` on as may be held, emptied. The first time there are most. */
static int make_room(struct counter_grid *grid, size_t first, struct err *err)
{
    size_t most;

    assert(grid->span.n_steps > 0 && first < grid->series.n);
    most = VALUES_MAX / grid->span.n_steps;
    most = most ? most : 1;
    grid->first = first;
    grid->n = grid->series.n - first < most ? grid->series.n - first : most;
    if (!grid->values)
        grid->values = calloc(grid->n * grid->span.n_steps + 1, sizeof(*grid->values));
    if (!grid->values)
        return err_errno(err, -ENOMEM, "reading the counters");
    for (size_t i = 0; i < grid->n * grid->span.n_steps; i++)
        grid->values[i] = COUNTER_GRID_NONE;
    return 0;
}

int counter_grid_load(struct counter_grid *grid, struct db *db, size_t first, struct err *err)
{
    int r = make_room(grid, first, err);

    for (size_t i = 0; r >= 0 && i < grid->places.n; i++)
        r = grid_rows_read(&grid->span, db, &grid->places.items[i], grid->series.items + first,
                           grid->n, grid->values, err);
    return r < 0 ? r : (int)grid->n;
}
