/* SPDX-License-Identifier: MIT */
/* Interfaces and routes that change between the minutes' readings, of a made-up source. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "counting.h"

#define LINKS_MAX 4
#define MINUTE    INT64_C(60000)
#define SECOND    INT64_C(1000)

struct link {
    uint32_t ifindex; /* 0: none */
    int64_t rx_bytes;
    const char *name;
};

/* The kernel, and the recorder that reads it. */
struct scene {
    struct counting_state counting;
    struct counting told; /* at the last snapshot */
    struct clock clock;
    struct link links[LINKS_MAX];
    int64_t now_ns;
    int64_t takes_ns; /* a reading of the tables */
    int64_t at_ms;    /* of the last snapshot */
    int64_t counter;
    unsigned lacks;
    uint32_t routes;          /* bits: the route to 10.N.0.0/16 is there */
    unsigned n_tables_read;   /* at the last snapshot */
    unsigned n_counters_read; /* likewise */
    bool changed;             /* the kernel told of it */
};

static int64_t scene_now(void *ctx)
{
    return ((const struct scene *)ctx)->now_ns;
}

static void read_interfaces(const struct scene *scene, struct interface_list *ret)
{
    for (size_t i = 0; i < LINKS_MAX; i++) {
        const struct link *link = &scene->links[i];
        struct interface one = {
            .ifindex = link->ifindex, .has_stats = true, .stats = {.rx_bytes = link->rx_bytes}};

        if (!link->ifindex)
            continue;
        snprintf(one.name, sizeof(one.name), "%s", link->name);
        assert_int_equal(vec_push(ret, one), 0);
    }
    interface_list_sort(ret);
}

static void read_routes(const struct scene *scene, struct route_table *ret)
{
    for (uint8_t i = 0; i < 32; i++) {
        struct route route = {.family = 2, .bits = 16, .type = ROUTE_BLACKHOLE, .table = 254};

        route.destination.bytes[0] = 10;
        route.destination.bytes[1] = i;
        if (scene->routes & 1U << i)
            assert_int_equal(route_table_add(ret, &route, NULL, 0), 0);
    }
    route_table_sort(ret);
}

static void scene_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    struct scene *scene = ctx;

    ret->lacks |= scene->lacks & what;
    if (what & COUNTED_COUNTERS) {
        scene->n_counters_read++;
        assert_int_equal(
            counter_table_add(&ret->counters, "Tcp", 3, "ActiveOpens", 1, scene->counter), 0);
        counter_table_sort(&ret->counters);
    }
    if (!(what & COUNTED_TABLES))
        return;
    scene->n_tables_read++;
    scene->now_ns += scene->takes_ns;
    read_interfaces(scene, &ret->interfaces);
    read_routes(scene, &ret->routes);
}

static bool scene_changed(void *ctx)
{
    struct scene *scene = ctx;
    bool changed = scene->changed;

    scene->changed = false;
    return changed;
}

static void snapshot(struct scene *scene, int64_t at_ms, bool full)
{
    static const struct source_ops ops = {.counters = scene_counters,
                                          .tables_changed = scene_changed};
    const struct source source = {.ops = &ops, .ctx = scene};

    counting_finish(&scene->told);
    scene->told = (struct counting){0};
    scene->n_tables_read = scene->n_counters_read = 0;
    scene->now_ns += (at_ms - scene->at_ms) * NS_PER_MS;
    scene->at_ms = at_ms;
    counting_begin(&scene->counting, &scene->told, at_ms, full, full);
    counting_read(&scene->counting, &source, 1);
    counting_end(&scene->counting);
}

/* The next one, a second later. */
static void tick(struct scene *scene)
{
    snapshot(scene, scene->at_ms + SECOND, false);
}

/* The first one of the next minute. */
static void next_minute(struct scene *scene)
{
    snapshot(scene, (scene->at_ms / MINUTE + 1) * MINUTE, false);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->clock = (struct clock){.boottime_ns = scene_now, .ctx = scene};
    counting_state_init(&scene->counting, &scene->clock);
    scene->counter = 7;
    scene->routes = 1;
    scene->links[0] = (struct link){.ifindex = 4, .rx_bytes = 100, .name = "eth0"};
    snapshot(scene, 10 * MINUTE, true);
    assert_int_equal(scene->told.netns.items[0].full, COUNTED_ALL);
    *state = scene;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *scene = *state;

    counting_finish(&scene->told);
    counting_state_finish(&scene->counting);
    free(scene);
    return 0;
}

/* What was told of rx_bytes of the interface of that name; grew -1: nothing. */
static struct counter_change rx(const struct scene *scene, const char *interface)
{
    char name[COUNTER_NAME_MAX];

    snprintf(name, sizeof(name), "interface.%s.rx_bytes", interface);
    for (size_t i = 0; i < scene->told.counters.n; i++)
        if (strcmp(scene->told.counters.items[i].name, name) == 0)
            return scene->told.counters.items[i];
    return (struct counter_change){.grew = -1};
}

static void nothing_is_read_where_nothing_changed(void **state)
{
    struct scene *scene = *state;

    scene->counter++;
    scene->routes = 3; /* nobody told */
    tick(scene);
    assert_int_equal(scene->n_tables_read + scene->n_counters_read, 0);
    assert_int_equal(scene->told.netns.n, 0);
    assert_false(scene->told.taken);
    next_minute(scene);
    assert_int_equal(scene->n_tables_read, 1);
    assert_int_equal(scene->n_counters_read, 1);
    assert_int_equal(scene->told.routes.n, 1);
    assert_true(scene->told.taken && !scene->told.netns.items[0].again);
}

static void a_change_between_two_minutes_is_told_at_the_next_snapshot(void **state)
{
    struct scene *scene = *state;
    const struct counted_netns *one;

    scene->counter++;
    scene->routes = 2;
    scene->changed = true;
    tick(scene);
    assert_false(scene->told.taken);
    assert_int_equal(scene->n_counters_read, 0);
    assert_int_equal(scene->told.counters.n, 0);
    assert_int_equal(scene->told.netns.n, 1);
    one = &scene->told.netns.items[0];
    assert_true(one->again && !one->full && !one->lacks);
    assert_int_equal(one->n_routes, 2);
    assert_int_equal(one->n_interfaces, 0);
    /* told once */
    tick(scene);
    assert_int_equal(scene->n_tables_read, 0);
    assert_int_equal(scene->told.netns.n, 0);
    next_minute(scene);
    assert_int_equal(scene->told.routes.n, 0);
    assert_int_equal(scene->told.counters.n, 1);
    assert_int_equal(scene->told.counters.items[0].grew, 1);
}

static void what_is_as_it_was_when_it_is_read_is_not_told(void **state)
{
    struct scene *scene = *state;

    scene->changed = true;
    tick(scene);
    assert_int_equal(scene->n_tables_read, 1);
    assert_int_equal(scene->told.netns.n, 0);
}

static void a_walk_that_was_interrupted_tells_nothing_and_is_tried_again(void **state)
{
    struct scene *scene = *state;

    scene->routes = 3;
    scene->links[0].name = "lan0";
    scene->changed = true;
    scene->lacks = COUNTED_ROUTES;
    tick(scene);
    assert_int_equal(scene->n_tables_read, 1);
    assert_int_equal(scene->told.netns.n, 0);
    scene->lacks = 0;
    tick(scene);
    assert_int_equal(scene->told.netns.n, 1);
    assert_int_equal(scene->told.interfaces.n, 2);
    assert_int_equal(scene->told.routes.n, 1);
    tick(scene);
    assert_int_equal(scene->n_tables_read, 0);
}

static void what_a_minutes_reading_lacked_is_read_at_the_next_snapshot(void **state)
{
    struct scene *scene = *state;

    scene->routes = 3;
    scene->lacks = COUNTED_ROUTES;
    next_minute(scene);
    assert_int_equal(scene->told.netns.items[0].lacks, COUNTED_ROUTES);
    assert_int_equal(scene->told.routes.n, 0);
    scene->lacks = 0;
    tick(scene);
    assert_true(scene->told.netns.n == 1 && scene->told.netns.items[0].again);
    assert_int_equal(scene->told.netns.items[0].full, 0);
    assert_int_equal(scene->told.routes.n, 1);
}

static void tables_that_take_long_are_read_a_fiftieth_of_the_time(void **state)
{
    struct scene *scene = *state;
    unsigned n = 0;

    scene->takes_ns = 100 * NS_PER_MS; /* and then 5 s of peace */
    scene->changed = true;
    tick(scene);
    assert_int_equal(scene->n_tables_read, 1);
    scene->changed = true;
    for (int i = 0; i < 4; i++) {
        tick(scene);
        n += scene->n_tables_read;
    }
    assert_int_equal(n, 0);
    scene->routes = 3; /* that it was told is not forgotten meanwhile */
    tick(scene);
    assert_int_equal(scene->n_tables_read, 1);
    assert_int_equal(scene->told.routes.n, 1);
    scene->changed = true;
    next_minute(scene); /* the minute's reading does not wait */
    assert_int_equal(scene->n_tables_read, 1);
}

static void a_renamed_interface_goes_on_counting(void **state)
{
    struct scene *scene = *state;

    scene->links[0].name = "lan0";
    scene->links[0].rx_bytes = 150;
    scene->changed = true;
    tick(scene);
    assert_int_equal(scene->told.interfaces.n, 2);
    assert_int_equal(scene->told.counters.n, 0);
    scene->links[0].rx_bytes = 180;
    next_minute(scene);
    assert_int_equal(scene->told.interfaces.n, 0);
    assert_int_equal(rx(scene, "lan0").grew, 80);
    assert_int_equal(rx(scene, "lan0").turn, COUNTER_WENT_ON);
    assert_int_equal(rx(scene, "eth0").grew, -1);
    /* and back, by way of a third name */
    scene->links[0].name = "wan0";
    scene->changed = true;
    tick(scene);
    scene->links[0].name = "eth0";
    scene->links[0].rx_bytes = 200;
    scene->changed = true;
    tick(scene);
    next_minute(scene);
    assert_int_equal(rx(scene, "eth0").grew, 20);
    assert_int_equal(rx(scene, "eth0").turn, COUNTER_WENT_ON);
    assert_int_equal(rx(scene, "wan0").grew, -1);
}

static void two_that_change_names_by_way_of_a_third_go_on_counting(void **state)
{
    struct scene *scene = *state;

    scene->links[1] = (struct link){.ifindex = 5, .rx_bytes = 1000, .name = "eth1"};
    next_minute(scene);
    scene->links[0].name = "swap";
    scene->changed = true;
    tick(scene);
    scene->links[1].name = "eth0";
    scene->changed = true;
    tick(scene);
    scene->links[0].name = "eth1";
    scene->links[0].rx_bytes += 3;
    scene->links[1].rx_bytes += 5;
    scene->changed = true;
    tick(scene);
    next_minute(scene);
    assert_int_equal(rx(scene, "eth1").grew, 3);
    assert_int_equal(rx(scene, "eth1").value, 103);
    assert_int_equal(rx(scene, "eth0").grew, 5);
    assert_int_equal(rx(scene, "eth0").value, 1005);
}

static void another_that_took_the_name_counts_from_nothing(void **state)
{
    struct scene *scene = *state;

    scene->links[0].ifindex = 0;
    scene->changed = true;
    tick(scene);
    assert_int_equal(scene->told.interfaces.n, 1);
    scene->links[0] = (struct link){.ifindex = 9, .rx_bytes = 300, .name = "eth0"};
    scene->changed = true;
    tick(scene);
    next_minute(scene);
    assert_int_equal(rx(scene, "eth0").turn, COUNTER_RESET);
    assert_int_equal(rx(scene, "eth0").grew, 300);
}

static void one_that_came_and_went_between_two_minutes_has_no_statistics(void **state)
{
    struct scene *scene = *state;

    scene->links[1] = (struct link){.ifindex = 5, .rx_bytes = 1000, .name = "tmp0"};
    scene->changed = true;
    tick(scene);
    assert_int_equal(scene->told.interfaces.n, 1);
    scene->links[1].ifindex = 0;
    scene->changed = true;
    tick(scene);
    assert_true(scene->told.interfaces.n == 1 && scene->told.interfaces.items[0].ended);
    next_minute(scene);
    assert_int_equal(scene->told.counters.n, 0);
}

static void a_new_namespace_has_its_tables_at_once_and_its_counters_with_the_minute(void **state)
{
    static const struct source_ops ops = {.counters = scene_counters};
    struct scene *scene = *state;
    const struct source source = {.ops = &ops, .ctx = scene};
    const struct counted_netns *one;

    scene->told.netns.n = scene->told.routes.n = scene->told.interfaces.n = 0;
    scene->told.counters.n = 0;
    scene->told.taken = false;
    counting_begin(&scene->counting, &scene->told, 10 * MINUTE + SECOND, false, false);
    counting_read(&scene->counting, &source, 2);
    counting_end(&scene->counting);
    assert_int_equal(scene->told.netns.n, 1);
    one = &scene->told.netns.items[0];
    assert_true(one->again && one->netns == 2);
    assert_int_equal(one->full, COUNTED_TABLES);
    assert_int_equal(one->n_routes + one->n_interfaces, 2);
    assert_int_equal(scene->told.counters.n, 0);
    counting_begin(&scene->counting, &scene->told, 11 * MINUTE, false, false);
    counting_read(&scene->counting, &source, 2);
    counting_end(&scene->counting);
    one = &scene->told.netns.items[1];
    assert_int_equal(one->full, COUNTED_COUNTERS);
    assert_int_equal(one->n_routes + one->n_interfaces, 0);
    assert_int_equal(one->n_counters, 2); /* and rx_bytes */
    assert_int_equal(scene->told.counters.items[0].turn, COUNTER_FIRST);
}

static void after_a_lost_batch_all_is_read_and_told(void **state)
{
    struct scene *scene = *state;

    scene->changed = true;
    scene->routes = 3;
    snapshot(scene, scene->at_ms + SECOND, true);
    assert_true(scene->told.taken);
    assert_int_equal(scene->told.netns.items[0].full, COUNTED_ALL);
    assert_false(scene->told.netns.items[0].again);
    assert_int_equal(scene->told.routes.n, 2);
    assert_int_equal(scene->told.interfaces.n, 1);
    tick(scene);
    assert_int_equal(scene->n_tables_read, 0);
}

static void what_was_lacking_in_full_alone_is_told_in_full_again(void **state)
{
    struct scene *scene = *state;

    scene->lacks = COUNTED_ROUTES;
    snapshot(scene, scene->at_ms + SECOND, true);
    assert_int_equal(scene->told.netns.items[0].lacks, COUNTED_ROUTES);
    scene->lacks = 0;
    tick(scene);
    assert_int_equal(scene->told.netns.n, 1);
    assert_int_equal(scene->told.netns.items[0].full, COUNTED_ROUTES);
    assert_int_equal(scene->told.routes.n, 1);
    assert_int_equal(scene->told.interfaces.n, 0);
    scene->counter++;
    next_minute(scene);
    assert_int_equal(scene->told.netns.items[0].full, 0);
    assert_int_equal(scene->told.counters.items[0].turn, COUNTER_WENT_ON);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_read_where_nothing_changed),
        TEST(a_change_between_two_minutes_is_told_at_the_next_snapshot),
        TEST(what_is_as_it_was_when_it_is_read_is_not_told),
        TEST(a_walk_that_was_interrupted_tells_nothing_and_is_tried_again),
        TEST(what_a_minutes_reading_lacked_is_read_at_the_next_snapshot),
        TEST(tables_that_take_long_are_read_a_fiftieth_of_the_time),
        TEST(a_renamed_interface_goes_on_counting),
        TEST(two_that_change_names_by_way_of_a_third_go_on_counting),
        TEST(another_that_took_the_name_counts_from_nothing),
        TEST(one_that_came_and_went_between_two_minutes_has_no_statistics),
        TEST(a_new_namespace_has_its_tables_at_once_and_its_counters_with_the_minute),
        TEST(after_a_lost_batch_all_is_read_and_told),
        TEST(what_was_lacking_in_full_alone_is_told_in_full_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
