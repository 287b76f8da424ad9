/* SPDX-License-Identifier: MIT */
#include "connhist/base/vec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct numbers {
    VEC_FIELDS(int);
};

static void pushed_items_stay_in_their_order(void **state)
{
    struct numbers numbers = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(vec_push(&numbers, i), 0);
    assert_int_equal(numbers.n, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers.items[i], i);
    vec_finish(&numbers);
    assert_null(numbers.items);
    assert_int_equal(numbers.n + numbers.capacity, 0);
    vec_finish(&numbers);
}

static void clearing_keeps_the_memory(void **state)
{
    struct numbers numbers = {0};
    int *items;

    (void)state;
    assert_int_equal(vec_reserve(&numbers, 100), 0);
    assert_true(numbers.capacity >= 100);
    items = numbers.items;
    for (int i = 0; i < 100; i++)
        assert_int_equal(vec_push(&numbers, i), 0);
    vec_clear(&numbers);
    assert_int_equal(numbers.n, 0);
    assert_int_equal(vec_push(&numbers, 7), 0);
    assert_ptr_equal(numbers.items, items);
    vec_finish(&numbers);
}

static void what_can_not_be_had_changes_nothing(void **state)
{
    struct numbers numbers = {0};

    (void)state;
    assert_int_equal(vec_push(&numbers, 7), 0);
    assert_int_equal(vec_reserve(&numbers, SIZE_MAX), -ENOMEM);
    assert_int_equal(vec_reserve(&numbers, SIZE_MAX / 2), -ENOMEM);
    assert_int_equal(numbers.n, 1);
    assert_int_equal(numbers.items[0], 7);
    vec_finish(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushed_items_stay_in_their_order),
        cmocka_unit_test(clearing_keeps_the_memory),
        cmocka_unit_test(what_can_not_be_had_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
