/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "owner_table.h"

static struct owner process(uint32_t pid, int64_t start_ms, const char *comm)
{
    return (struct owner){.pid = pid,
                          .start_ms = start_ms,
                          .uid = 1000,
                          .comm = comm,
                          .exe = "/usr/bin/prog",
                          .unit = "prog.service",
                          .container = "",
                          .cgroup = "/system.slice/prog.service"};
}

static void the_same_process_has_one_number_and_a_copy_of_its_strings(void **state)
{
    struct owner_table table = {0};
    char name[] = "prog";
    struct owner one = process(7, 1000, name), again = process(7, 1000, "prog");
    uint32_t number = owner_table_take(&table, &one);

    (void)state;
    assert_int_not_equal(number, 0);
    name[0] = '?';
    assert_string_equal(owner_table_get(&table, number)->owner.comm, "prog");
    assert_int_equal(owner_table_take(&table, &again), number);
    assert_int_equal(owner_table_get(&table, number)->users, 2);
    assert_int_equal(table.n, 1);
    owner_table_finish(&table);
}

static void a_pid_that_is_used_again_is_another_process(void **state)
{
    struct owner_table table = {0};
    struct owner one = process(7, 1000, "prog"), other = process(7, 2000, "prog"),
                 renamed = process(7, 2000, "other");
    uint32_t a = owner_table_take(&table, &one), b = owner_table_take(&table, &other),
             c = owner_table_take(&table, &renamed);

    (void)state;
    assert_true(a != b && b != c && a != c);
    owner_table_finish(&table);
}

static void one_that_nobody_refers_to_stands_until_the_sweep(void **state)
{
    struct owner_table table = {0};
    struct owner one = process(7, 1000, "prog"), other = process(8, 1000, "prog");
    uint32_t number = owner_table_take(&table, &one);

    (void)state;
    owner_table_drop(&table, number);
    assert_string_equal(owner_table_get(&table, number)->owner.comm, "prog");
    assert_int_not_equal(owner_table_take(&table, &other), number);
    owner_table_sweep(&table);
    assert_int_equal(table.n, 1);
    assert_int_equal(owner_table_take(&table, &one), number); /* its place is given again */
    owner_table_drop(&table, number);
    assert_int_equal(owner_table_take(&table, &one), number);
    owner_table_sweep(&table);
    assert_int_equal(table.n, 2); /* it was taken again before the sweep */
    owner_table_finish(&table);
}

static void stale_ones_are_counted_as_long_as_they_are_there(void **state)
{
    struct owner_table table = {0};
    struct owner one = process(7, 1000, "prog"), other = process(8, 1000, "prog");
    uint32_t a = owner_table_take(&table, &one), b = owner_table_take(&table, &other);

    (void)state;
    owner_table_mark_stale(&table, a, true, 2000, 1000);
    owner_table_mark_stale(&table, a, true, 2000, 1000);
    owner_table_mark_stale(&table, b, false, 2000, 1000);
    assert_int_equal(table.n_stale, 2);
    owner_table_take(&table, &one); /* seen again: it is what it was */
    assert_int_equal(table.n_stale, 1);
    owner_table_drop(&table, b);
    owner_table_sweep(&table);
    assert_int_equal(table.n_stale, 0);
    owner_table_finish(&table);
}

static void there_is_a_bound(void **state)
{
    struct owner_table table = {0};

    (void)state;
    for (uint32_t i = 1; i <= OWNERS_MAX; i++) {
        struct owner one = process(i, 1000, "prog");

        assert_int_not_equal(owner_table_take(&table, &one), 0);
    }
    struct owner more = process(OWNERS_MAX + 1, 1000, "prog"), first = process(1, 1000, "prog");

    assert_int_equal(owner_table_take(&table, &more), 0);
    assert_int_not_equal(owner_table_take(&table, &first), 0);
    owner_table_finish(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_process_has_one_number_and_a_copy_of_its_strings),
        cmocka_unit_test(a_pid_that_is_used_again_is_another_process),
        cmocka_unit_test(one_that_nobody_refers_to_stands_until_the_sweep),
        cmocka_unit_test(stale_ones_are_counted_as_long_as_they_are_there),
        cmocka_unit_test(there_is_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
