/* SPDX-License-Identifier: MIT */
/* Readings while memory is short. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "counting.h"

#define MINUTE INT64_C(60000)

static int grows_left = -1; /* that many times memory is there; -1: always */
static bool fails_on;       /* and then never more; else it fails once */
static bool failed;         /* it did */

/* Linked in place of the one that every vector grows by. */
int __real_vec_grow_(void **items, size_t *capacity, size_t n, size_t more, size_t item_bytes);
int __wrap_vec_grow_(void **items, size_t *capacity, size_t n, size_t more, size_t item_bytes);

int __wrap_vec_grow_(void **items, size_t *capacity, size_t n, size_t more, size_t item_bytes)
{
    if (grows_left == 0) {
        failed = true;
        grows_left -= !fails_on;
        return -ENOMEM;
    }
    grows_left -= grows_left > 0;
    return __real_vec_grow_(items, capacity, n, more, item_bytes);
}

/* Interfaces, counters and routes to as many networks. */
static void read_tables(void *ctx, unsigned what, struct counted_tables *ret)
{
    const uint32_t *n = ctx;
    int was = grows_left;

    grows_left = -1; /* the kernel has memory */
    for (uint8_t i = 1; i <= *n; i++) {
        struct interface link = {.ifindex = i, .has_stats = true, .stats = {.rx_bytes = *n}};
        struct route route = {.family = 2, .bits = 16, .type = ROUTE_UNICAST, .table = 254};
        const struct route_hop hop = {.ifindex = i, .weight = 1};
        char name[8];
        int length = snprintf(name, sizeof(name), "C%u", i);

        snprintf(link.name, sizeof(link.name), "eth%u", i);
        route.destination.bytes[0] = i;
        if (what & COUNTED_INTERFACES)
            assert_int_equal(vec_push(&ret->interfaces, link), 0);
        if (what & COUNTED_ROUTES)
            assert_int_equal(route_table_add(&ret->routes, &route, &hop, 1), 0);
        if (what & COUNTED_COUNTERS)
            assert_int_equal(counter_table_add(&ret->counters, "Tcp", 3, name, (size_t)length, *n),
                             0);
    }
    counter_table_sort(&ret->counters);
    route_table_sort(&ret->routes);
    grows_left = was;
}

static bool always_changed(void *ctx)
{
    (void)ctx;
    return true;
}

static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

/* True: memory was short. */
static bool read_with(struct counting_state *state, struct counting *told, uint32_t n,
                      int64_t at_ms, int grows)
{
    static const struct source_ops ops = {.counters = read_tables,
                                          .tables_changed = always_changed};
    const struct source source = {.ops = &ops, .ctx = &n};

    counting_begin(state, told, at_ms, false, false);
    grows_left = grows;
    failed = false;
    counting_read(state, &source, 1);
    grows_left = -1;
    counting_end(state);
    return failed;
}

/* Each row is of the one share, and nothing is told of what lacks. True: there is a share. */
static bool hold_told(const struct counting *told)
{
    const struct counted_netns *one = told->netns.items;
    size_t n_counters = told->netns.n ? one->n_counters : 0;
    size_t n_interfaces = told->netns.n ? one->n_interfaces : 0;
    size_t n_routes = told->netns.n ? one->n_routes : 0;

    assert_true(told->netns.n <= 1);
    assert_int_equal(told->counters.n, n_counters);
    assert_int_equal(told->interfaces.n, n_interfaces);
    assert_int_equal(told->routes.n, n_routes);
    if (told->netns.n == 0)
        return false;
    assert_true(!one->again || !one->lacks);
    if (one->lacks == COUNTED_ALL)
        assert_int_equal(n_counters + n_interfaces + n_routes + told->hops.n, 0);
    else
        assert_int_equal(one->lacks, 0);
    return one->lacks == 0;
}

/* Between two readings when `again`. Returns how often memory was short until it was enough. */
static int fail_each(bool again)
{
    static const struct clock clock = {.boottime_ns = no_time};
    int fails = 0;

    for (bool done = false; !done; fails += !done) {
        struct counting_state state;
        struct counting first = {0}, told = {0}, next = {0};

        counting_state_init(&state, &clock);
        (void)read_with(&state, &first, 2, 10 * MINUTE, -1);
        assert_true(hold_told(&first));
        done = !read_with(&state, &told, 80, again ? 10 * MINUTE + 1000 : 11 * MINUTE, fails);
        assert_true(hold_told(&told) == done);
        (void)read_with(&state, &next, 80, 12 * MINUTE, -1);
        assert_true(hold_told(&next));
        /* what was told is not told again, what was not is */
        assert_int_equal(next.netns.items[0].full, done ? 0 : COUNTED_ALL);
        assert_int_equal(next.routes.n, done ? 0 : 80);
        assert_int_equal(next.interfaces.n, done ? 0 : 80);
        counting_finish(&first);
        counting_finish(&told);
        counting_finish(&next);
        counting_state_finish(&state);
    }
    return fails;
}

static void a_reading_that_has_no_memory_lacks_all_and_the_next_one_tells_all(void **state)
{
    (void)state;
    fails_on = true;
    assert_true(fail_each(false) > 5);
    fails_on = false;
    assert_true(fail_each(false) > 5);
}

static void between_two_readings_nothing_is_told_for_which_there_is_no_memory(void **state)
{
    (void)state;
    fails_on = true;
    assert_true(fail_each(true) > 5);
    fails_on = false;
    assert_true(fail_each(true) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reading_that_has_no_memory_lacks_all_and_the_next_one_tells_all),
        cmocka_unit_test(between_two_readings_nothing_is_told_for_which_there_is_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
