/* SPDX-License-Identifier: MIT */
/* The names of counters that the recorder keeps in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "counting.h"

/* A kernel with interfaces first to last - 1, all but the first of which count their number. */
struct kernel {
    int64_t turn;
    int first, last;
};

static void add_interface(struct counted_tables *to, uint32_t ifindex, int64_t bytes)
{
    struct interface one = {
        .ifindex = ifindex, .has_stats = true, .stats.rx_bytes = (uint64_t)bytes};

    snprintf(one.name, sizeof(one.name), "veth%u", ifindex);
    assert_int_equal(vec_push(&to->interfaces, one), 0);
}

static void read_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    struct kernel *kernel = ctx;

    if (what & COUNTED_COUNTERS) {
        kernel->turn++;
        assert_int_equal(
            counter_table_add(&ret->counters, "Tcp", 3, "ActiveOpens", 11, kernel->turn), 0);
    }
    if (!(what & COUNTED_INTERFACES))
        return;
    add_interface(ret, 0, 10 * kernel->turn); /* it stays */
    for (int i = kernel->first; i < kernel->last; i++)
        add_interface(ret, (uint32_t)i, i);
}

static const struct counter_change *told(const struct counting *counting, const char *name)
{
    for (size_t i = 0; i < counting->counters.n; i++)
        if (strcmp(counting->counters.items[i].name, name) == 0)
            return &counting->counters.items[i];
    fail_msg("%s was not told", name);
    abort();
}

static void read_now(struct counting_state *state, struct kernel *kernel, struct counting *to,
                     int64_t start_ms)
{
    static const struct source_ops ops = {.counters = read_counters};
    const struct source source = {&ops, kernel};

    counting_begin(state, to, start_ms, false, true);
    counting_read(state, &source, 0);
    counting_read(state, &source, 7); /* another namespace with the same */
    counting_end(state);
}

/* Reading takes no time. */
static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct clock clock = {.boottime_ns = no_time};

static void interfaces_that_are_gone_give_their_names_places_back(void **state)
{
    struct counting_state counting;
    struct kernel kernel = {.first = 1, .last = 1};

    (void)state;
    counting_state_init(&counting, &clock);
    for (int i = 0; i < 300; i++) { /* 100 new ones each time: 390,000 names */
        struct counting to = {0};
        const struct counter_change *change;

        kernel.first = kernel.last;
        kernel.last += 100;
        read_now(&counting, &kernel, &to, 60000 * (i + 1));
        assert_int_equal(to.left_out, 0);
        assert_true(counting.names.n <= COUNTED_LINKS_MAX);
        /* what stays goes on from where it was, in both namespaces */
        change = told(&to, "interface.veth0.rx_bytes");
        assert_int_equal(change->value, 10 * (2 * i + 1));
        assert_int_equal(change->grew, i ? 20 : 0);
        change = told(&to, "Tcp.ActiveOpens");
        assert_int_equal(change->grew, i ? 2 : 0);
        counting_finish(&to);
    }
    counting_state_finish(&counting);
}

static void interfaces_that_stay_keep_their_names_and_what_has_no_place_is_counted(void **state)
{
    struct counting_state counting;
    struct kernel kernel = {.first = 1, .last = 250};

    (void)state;
    counting_state_init(&counting, &clock);
    for (int i = 0; i < 3; i++) {
        struct counting to = {0};

        read_now(&counting, &kernel, &to, 60000 * (i + 1));
        assert_int_equal(to.left_out, 0);
        /* those that count the same are not told again */
        assert_int_equal(to.counters.n, i ? 4 : 2 * (1 + 1 + 249));
        counting_finish(&to);
    }
    counting_state_finish(&counting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces_that_are_gone_give_their_names_places_back),
        cmocka_unit_test(interfaces_that_stay_keep_their_names_and_what_has_no_place_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
