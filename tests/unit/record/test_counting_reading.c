/* SPDX-License-Identifier: MIT */
/* What a reading of counters and interfaces tells, of a made-up source. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "counting.h"

#define MINUTE INT64_C(60000)
#define WRAP   (INT64_C(1) << 32)

/* The kernel: one counter, one that never moves, one interface. */
struct made {
    int64_t value;
    int64_t rx_bytes;
    uint32_t ifindex;
};

static void read_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    const struct made *made = ctx;
    const struct interface lo = {.ifindex = made->ifindex,
                                 .has_stats = true,
                                 .name = "lo",
                                 .stats = {.rx_bytes = made->rx_bytes}};

    if (what & COUNTED_INTERFACES)
        assert_int_equal(vec_push(&ret->interfaces, lo), 0);
    if (!(what & COUNTED_COUNTERS))
        return;
    assert_int_equal(counter_table_add(&ret->counters, "Udp", 3, "NoPorts", 7, made->value), 0);
    assert_int_equal(counter_table_add(&ret->counters, "Udp", 3, "InErrors", 8, 0), 0);
    counter_table_sort(&ret->counters);
}

/* Reading takes no time. */
static int64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct clock clock = {.boottime_ns = no_time};

static const struct source_ops ops = {.counters = read_counters};

/* One reading of namespaces 1 to n, at a minute. */
static void read_all(struct counting_state *state, struct made *made, struct counting *to,
                     int64_t minute, bool full, uint32_t n)
{
    const struct source source = {.ops = &ops, .ctx = made};

    counting_finish(to);
    *to = (struct counting){0};
    counting_begin(state, to, minute * MINUTE, full, false);
    for (uint32_t netns = 1; netns <= n; netns++)
        counting_read(state, &source, netns);
    counting_end(state);
}

/* The first of that name; one without a name: none was told. */
static struct counter_change find(const struct counting *told, const char *name)
{
    for (size_t i = 0; i < told->counters.n; i++)
        if (strcmp(told->counters.items[i].name, name) == 0)
            return told->counters.items[i];
    return (struct counter_change){.grew = -1};
}

static void what_never_moved_is_named_once(void **state)
{
    struct made made = {.value = 7, .rx_bytes = 0, .ifindex = 1};
    struct counting_state counting;
    struct counting told = {0};

    (void)state;
    counting_state_init(&counting, &clock);
    read_all(&counting, &made, &told, 10, true, 2);
    assert_int_equal(told.counters.n, 3); /* the moved one twice */
    assert_true(find(&told, "Udp.InErrors").named);
    assert_int_equal(find(&told, "Udp.InErrors").value, 0);
    assert_false(find(&told, "Udp.NoPorts").named);
    assert_string_equal(find(&told, "interface.lo.rx_bytes").name,
                        ""); /* names of interfaces come without end */
    read_all(&counting, &made, &told, 11, false, 2);
    assert_int_equal(told.counters.n, 0);
    read_all(&counting, &made, &told, 12, true, 2); /* the file may be another one */
    assert_int_equal(told.counters.n, 3);
    counting_finish(&told);
    counting_state_finish(&counting);
}

static void a_counter_of_32_bits_grows_through_its_end(void **state)
{
    struct made made = {.value = WRAP - 10, .rx_bytes = WRAP - 1, .ifindex = 1};
    struct counting_state counting;
    struct counting told = {0};

    (void)state;
    counting_state_init(&counting, &clock);
    counting.long_bits = 32;
    read_all(&counting, &made, &told, 10, true, 1);
    assert_int_equal(find(&told, "Udp.NoPorts").turn, COUNTER_FIRST);
    assert_int_equal(find(&told, "Udp.NoPorts").grew, 0);
    made.value = 15;
    read_all(&counting, &made, &told, 11, false, 1);
    assert_int_equal(find(&told, "Udp.NoPorts").turn, COUNTER_WRAPPED);
    assert_int_equal(find(&told, "Udp.NoPorts").grew, 25);
    assert_int_equal(find(&told, "Udp.NoPorts").value, 15);
    made.value = 4;
    read_all(&counting, &made, &told, 12, false, 1);
    assert_int_equal(find(&told, "Udp.NoPorts").turn, COUNTER_RESET);
    assert_int_equal(find(&told, "Udp.NoPorts").grew, 4);
    counting_finish(&told);
    counting_state_finish(&counting);
}

static void another_interface_of_the_name_counts_from_nothing(void **state)
{
    struct made made = {.value = 1, .rx_bytes = 100, .ifindex = 4};
    struct counting_state counting;
    struct counting told = {0};

    (void)state;
    counting_state_init(&counting, &clock);
    read_all(&counting, &made, &told, 10, true, 1);
    made.ifindex = 5;
    made.rx_bytes = 300;
    read_all(&counting, &made, &told, 11, false, 1);
    assert_int_equal(find(&told, "interface.lo.rx_bytes").turn, COUNTER_RESET);
    assert_int_equal(find(&told, "interface.lo.rx_bytes").grew, 300);
    assert_int_equal(told.interfaces.n, 2); /* one ends, one begins */
    counting_finish(&told);
    counting_state_finish(&counting);
}

static void a_namespace_that_comes_back_is_told_in_full(void **state)
{
    struct made made = {.value = 7, .ifindex = 1};
    struct counting_state counting;
    struct counting told = {0};

    (void)state;
    counting_state_init(&counting, &clock);
    read_all(&counting, &made, &told, 10, true, 2);
    assert_true(told.netns.items[1].full);
    read_all(&counting, &made, &told, 11, false, 1);
    assert_false(told.netns.items[0].full);
    read_all(&counting, &made, &told, 12, false, 2);
    assert_false(told.netns.items[0].full);
    assert_true(told.netns.items[1].full);
    assert_int_equal(told.counters.n, 1); /* a value, by which the file can tell what it grew by */
    counting_finish(&told);
    counting_state_finish(&counting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_never_moved_is_named_once),
        cmocka_unit_test(a_counter_of_32_bits_grows_through_its_end),
        cmocka_unit_test(another_interface_of_the_name_counts_from_nothing),
        cmocka_unit_test(a_namespace_that_comes_back_is_told_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
