/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "connhist/record/timeline.h"

struct hands {
    int64_t boot_ns, real_ns;
    int64_t stall_ns; /* the next reading of the wall clock comes this much late, once */
};

static int64_t boot(void *ctx)
{
    return ((struct hands *)ctx)->boot_ns;
}

static int64_t real(void *ctx)
{
    struct hands *hands = ctx;
    int64_t stall = hands->stall_ns;

    hands->stall_ns = 0;
    hands->boot_ns += stall;
    hands->real_ns += stall;
    return hands->real_ns;
}

static struct clock clock_of(struct hands *hands)
{
    return (struct clock){boot, real, hands};
}

static void a_new_record_begins_with_the_wall_clock(void **state)
{
    struct hands hands = {.boot_ns = 5 * NS_PER_SEC, .real_ns = 1700000000 * NS_PER_SEC};
    struct clock clock = clock_of(&hands);
    struct timeline timeline;
    struct epoch epoch;

    (void)state;
    timeline_begin(&timeline, &clock, 0, &epoch);
    assert_int_equal(timeline_now_ms(&timeline), 1700000000000);
    assert_int_equal(epoch.from_ms, 1700000000000);
    assert_int_equal(epoch.offset_ms, 0);
}

static void a_wall_clock_behind_the_file_is_an_epoch_and_no_step_back(void **state)
{
    struct hands hands = {.boot_ns = 5 * NS_PER_SEC, .real_ns = 1000 * NS_PER_SEC};
    struct clock clock = clock_of(&hands);
    struct timeline timeline;
    struct epoch epoch;

    (void)state;
    timeline_begin(&timeline, &clock, 1700000000000, &epoch);
    assert_int_equal(timeline_now_ms(&timeline), 1700000000001);
    assert_int_equal(epoch.from_ms + epoch.offset_ms, 1000000);
}

static void a_step_of_the_wall_clock_is_told_once(void **state)
{
    struct hands hands = {.boot_ns = 5 * NS_PER_SEC, .real_ns = 1700000000 * NS_PER_SEC};
    struct clock clock = clock_of(&hands);
    struct timeline timeline;
    struct epoch epoch;

    (void)state;
    timeline_begin(&timeline, &clock, 0, &epoch);
    assert_false(timeline_check(&timeline, &epoch));
    hands.boot_ns += NS_PER_SEC;
    hands.real_ns += NS_PER_SEC - 3600 * NS_PER_SEC;
    assert_true(timeline_check(&timeline, &epoch));
    assert_int_equal(epoch.offset_ms, -3600000);
    assert_int_equal(epoch.from_ms, 1700000001000);
    assert_false(timeline_check(&timeline, &epoch));
    assert_int_equal(timeline_now_ms(&timeline), 1700000001000);
}

static void being_held_up_between_two_readings_is_no_step(void **state)
{
    struct hands hands = {.boot_ns = 5 * NS_PER_SEC, .real_ns = 1700000000 * NS_PER_SEC};
    struct clock clock = clock_of(&hands);
    struct timeline timeline;
    struct epoch epoch;

    (void)state;
    timeline_begin(&timeline, &clock, 0, &epoch);
    hands.stall_ns = NS_PER_SEC;
    assert_false(timeline_check(&timeline, &epoch));
}

static void a_later_run_goes_on_with_the_same_base(void **state)
{
    struct hands hands = {.boot_ns = 9 * NS_PER_SEC, .real_ns = 1700000100 * NS_PER_SEC};
    struct clock clock = clock_of(&hands);
    struct timeline timeline;
    struct epoch epoch;

    (void)state;
    timeline_resume(&timeline, &clock, 1699999995000, 0);
    assert_int_equal(timeline_now_ms(&timeline), 1700000004000);
    assert_true(timeline_check(&timeline, &epoch));
    assert_int_equal(epoch.offset_ms, 96000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_record_begins_with_the_wall_clock),
        cmocka_unit_test(a_wall_clock_behind_the_file_is_an_epoch_and_no_step_back),
        cmocka_unit_test(a_step_of_the_wall_clock_is_told_once),
        cmocka_unit_test(being_held_up_between_two_readings_is_no_step),
        cmocka_unit_test(a_later_run_goes_on_with_the_same_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
