/* SPDX-License-Identifier: MIT */
/* Interfaces that come from other namespaces, go there, and come home. */
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

#define MINUTE    INT64_C(60000)
#define SECOND    INT64_C(1000)
#define LINKS_MAX 300

/* The kernel, and the recorder that reads it. */
struct scene {
    struct counting_state counting;
    struct counting told;
    struct clock clock;
    int64_t at_ms;
    int64_t bytes[LINKS_MAX]; /* of ethN with ifindex N; -1: it is not here */
    uint32_t shift;           /* the ifindex is greater by that */
};

static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static void scene_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    const struct scene *scene = ctx;

    for (uint32_t i = 1; i < LINKS_MAX && what & COUNTED_INTERFACES; i++) {
        struct interface link = {
            .ifindex = i + scene->shift, .has_stats = true, .stats = {.rx_bytes = scene->bytes[i]}};

        snprintf(link.name, sizeof(link.name), "eth%u", i);
        if (scene->bytes[i] >= 0)
            assert_int_equal(vec_push(&ret->interfaces, link), 0);
    }
}

static bool always_changed(void *ctx)
{
    (void)ctx;
    return true;
}

static void snapshot(struct scene *scene, int64_t at_ms)
{
    static const struct source_ops ops = {.counters = scene_counters,
                                          .tables_changed = always_changed};
    const struct source source = {.ops = &ops, .ctx = scene};

    counting_finish(&scene->told);
    scene->told = (struct counting){0};
    scene->at_ms = at_ms;
    counting_begin(&scene->counting, &scene->told, at_ms, false, false);
    counting_read(&scene->counting, &source, 1);
    counting_end(&scene->counting);
}

static void tick(struct scene *scene)
{
    snapshot(scene, scene->at_ms + SECOND);
}

static void next_minute(struct scene *scene)
{
    snapshot(scene, (scene->at_ms / MINUTE + 1) * MINUTE);
}

static int set_up(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    assert_non_null(scene);
    scene->clock = (struct clock){.boottime_ns = no_time};
    counting_state_init(&scene->counting, &scene->clock);
    for (size_t i = 0; i < LINKS_MAX; i++)
        scene->bytes[i] = -1;
    scene->bytes[1] = 100;
    snapshot(scene, 10 * MINUTE);
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

/* What was told of ethN's rx_bytes; grew -1: nothing. */
static struct counter_change rx(const struct scene *scene, int n)
{
    char name[COUNTER_NAME_MAX];

    snprintf(name, sizeof(name), "interface.eth%d.rx_bytes", n);
    for (size_t i = 0; i < scene->told.counters.n; i++)
        if (strcmp(scene->told.counters.items[i].name, name) == 0)
            return scene->told.counters.items[i];
    return (struct counter_change){.grew = -1};
}

static void hold(struct scene *scene, int n, int64_t grew, enum counter_turn turn)
{
    assert_int_equal(rx(scene, n).grew, grew);
    assert_int_equal(rx(scene, n).turn, turn);
}

static void one_that_comes_home_goes_on_from_where_it_left(void **state)
{
    struct scene *scene = *state;

    scene->bytes[1] = -1;
    next_minute(scene);
    next_minute(scene);
    scene->bytes[1] = 130;
    tick(scene);
    scene->bytes[1] = 140;
    next_minute(scene);
    hold(scene, 1, 40, COUNTER_WENT_ON);
    scene->bytes[1] = 141;
    next_minute(scene);
    hold(scene, 1, 1, COUNTER_WENT_ON);
}

static void one_that_comes_home_with_less_is_another(void **state)
{
    struct scene *scene = *state;

    scene->bytes[1] = -1;
    next_minute(scene);
    scene->bytes[1] = 70;
    next_minute(scene);
    hold(scene, 1, 70, COUNTER_RESET);
}

static void another_that_has_the_name_later_counts_from_nothing(void **state)
{
    struct scene *scene = *state;

    scene->bytes[1] = -1;
    next_minute(scene);
    scene->shift = 7;
    scene->bytes[1] = 300;
    next_minute(scene);
    hold(scene, 1, 300, COUNTER_RESET);
}

static void what_one_brings_along_is_no_growth(void **state)
{
    struct scene *scene = *state;

    scene->bytes[2] = 1000;
    next_minute(scene); /* nobody told of it in between */
    hold(scene, 2, 0, COUNTER_FIRST);
    assert_int_equal(rx(scene, 2).value, 1000);
    scene->bytes[3] = 5000;
    tick(scene);
    scene->bytes[3] = 5600;
    tick(scene);
    scene->bytes[3] = 5700;
    scene->bytes[2] = 1001;
    next_minute(scene);
    hold(scene, 3, 700, COUNTER_FIRST); /* since it was met */
    hold(scene, 2, 1, COUNTER_WENT_ON);
    scene->bytes[3] = 5704;
    next_minute(scene);
    hold(scene, 3, 4, COUNTER_WENT_ON);
}

static void one_that_is_met_with_nothing_counted_is_new(void **state)
{
    struct scene *scene = *state;

    scene->bytes[2] = 0;
    tick(scene);
    scene->bytes[2] = 80;
    next_minute(scene);
    hold(scene, 2, 80, COUNTER_WENT_ON);
}

static void one_that_was_one_too_many_has_grown_by_nothing_known(void **state)
{
    struct scene *scene = *state;

    for (int i = 2; i <= 258; i++)
        scene->bytes[i] = 1000 + i;
    next_minute(scene);
    assert_int_equal(rx(scene, 257).grew, -1);
    scene->bytes[3] = -1;
    next_minute(scene);
    hold(scene, 257, 0, COUNTER_FIRST);
    assert_int_equal(rx(scene, 258).grew, -1);
    /* it falls out and comes back */
    scene->bytes[3] = 1003;
    next_minute(scene);
    scene->bytes[257] += 9;
    next_minute(scene);
    scene->bytes[3] = -1;
    next_minute(scene);
    hold(scene, 257, 9, COUNTER_WENT_ON);
}

/* Bounded: the first of them is forgotten, and met again. */
static void of_many_that_leave_the_latest_are_known(void **state)
{
    struct scene *scene = *state;

    for (int i = 2; i <= 256; i++)
        scene->bytes[i] = 10;
    next_minute(scene);
    for (int i = 1; i <= 256; i++)
        scene->bytes[i] = -1;
    next_minute(scene);
    scene->bytes[299] = 7;
    next_minute(scene);
    scene->bytes[299] = -1;
    next_minute(scene);
    assert_true(scene->counting.spaces.items[0]->apart.n <= 256);
    scene->bytes[299] = 8;
    scene->bytes[256] = 12;
    next_minute(scene);
    hold(scene, 299, 1, COUNTER_WENT_ON);
    hold(scene, 256, 2, COUNTER_WENT_ON);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_comes_home_goes_on_from_where_it_left),
        TEST(one_that_comes_home_with_less_is_another),
        TEST(another_that_has_the_name_later_counts_from_nothing),
        TEST(what_one_brings_along_is_no_growth),
        TEST(one_that_is_met_with_nothing_counted_is_new),
        TEST(one_that_was_one_too_many_has_grown_by_nothing_known),
        TEST(of_many_that_leave_the_latest_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
