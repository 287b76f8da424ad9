/* SPDX-License-Identifier: MIT */
#include "connhist/model/counting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(int64_t before, int64_t now, int bits, enum counter_turn turn, int64_t grew)
{
    int64_t told = -1;

    assert_int_equal(counter_growth(before, now, bits, &told), turn);
    assert_true(told == grew);
}

static void a_counter_that_went_on_grew_by_the_difference(void **state)
{
    (void)state;
    expect(5, 5, 64, COUNTER_WENT_ON, 0);
    expect(5, 12, 64, COUNTER_WENT_ON, 7);
    expect(0, INT64_MAX, 64, COUNTER_WENT_ON, INT64_MAX);
    expect(-1, INT64_MAX, 64, COUNTER_WENT_ON, INT64_MAX);
}

static void one_that_fell_began_again(void **state)
{
    (void)state;
    expect(100, 7, 64, COUNTER_RESET, 7);
    expect(100, -1, 64, COUNTER_RESET, 0);
    expect(100, 7, 32, COUNTER_RESET, 7);
    expect(UINT32_MAX, 7, 64, COUNTER_RESET, 7);
}

static void one_of_32_bits_goes_on_through_its_end(void **state)
{
    (void)state;
    expect(UINT32_MAX, 0, 32, COUNTER_WRAPPED, 1);
    expect((int64_t)UINT32_MAX - 9, 10, 32, COUNTER_WRAPPED, 20);
    expect(INT64_C(1) << 40, 10, 32, COUNTER_RESET, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_that_went_on_grew_by_the_difference),
        cmocka_unit_test(one_that_fell_began_again),
        cmocka_unit_test(one_of_32_bits_goes_on_through_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
