/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "connhist/model/life.h"
#include "connhist/report/walltime.h"
#include "record_file.h"

static void check(const struct walltime *walltime, int64_t wall_ms, int64_t first_ms,
                  int64_t last_ms)
{
    int64_t first, last;

    walltime_to_record(walltime, wall_ms, &first, &last);
    assert_int_equal(first, first_ms);
    assert_int_equal(last, last_ms);
}

static void without_epochs_both_clocks_are_one(void **state)
{
    struct walltime walltime = {0};

    (void)state;
    assert_int_equal(walltime_of_record(&walltime, 1234), 1234);
    assert_int_equal(walltime_of_record(&walltime, TIME_UNKNOWN), TIME_UNKNOWN);
    check(&walltime, 1234, 1234, 1234);
}

static void a_wall_time_that_was_jumped_over_lies_between_two_instants(void **state)
{
    struct epoch epochs[] = {{1000, 0}, {5000, 3600}};
    struct walltime walltime = {.epochs = {.items = epochs, .n = 2}};

    (void)state;
    assert_int_equal(walltime_of_record(&walltime, 4999), 4999);
    assert_int_equal(walltime_of_record(&walltime, 5000), 8600);
    check(&walltime, 4999, 4999, 4999);
    check(&walltime, 5000, 5000, 4999);
    check(&walltime, 8599, 5000, 4999);
    check(&walltime, 8600, 5000, 5000);
    check(&walltime, 8601, 5001, 5001);
}

static void a_wall_time_that_came_twice_has_two_instants(void **state)
{
    struct epoch epochs[] = {{1000, 0}, {5000, -2000}};
    struct walltime walltime = {.epochs = {.items = epochs, .n = 2}};

    (void)state;
    check(&walltime, 2999, 2999, 2999);
    check(&walltime, 3000, 3000, 5000);
    check(&walltime, 4999, 4999, 6999);
    check(&walltime, 5000, 7000, 7000);
}

static void there_and_back_is_the_same_for_any_epochs(void **state)
{
    struct epoch epochs[] = {{100, 7}, {300, -150}, {500, 400}, {700, 395}, {900, 0}};
    struct walltime walltime = {.epochs = {.items = epochs, .n = 5}};

    (void)state;
    for (int64_t record_ms = 0; record_ms < 1200; record_ms++) {
        int64_t first, last;

        walltime_to_record(&walltime, walltime_of_record(&walltime, record_ms), &first, &last);
        assert_true(first <= record_ms && record_ms <= last);
        assert_int_equal(walltime_of_record(&walltime, first),
                         walltime_of_record(&walltime, record_ms));
        assert_int_equal(walltime_of_record(&walltime, last),
                         walltime_of_record(&walltime, record_ms));
    }
}

static void epochs_come_from_the_file(void **state)
{
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 100, 1000);
    record_epoch(&file, 5000, 60000);
    record_epoch(&file, 100, 0);
    record_write(&file);
    record_read(&file);
    assert_int_equal(walltime_of_record(&file.walltime, 4999), 4999);
    assert_int_equal(walltime_of_record(&file.walltime, 5000), 65000);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_epochs_both_clocks_are_one),
        cmocka_unit_test(a_wall_time_that_was_jumped_over_lies_between_two_instants),
        cmocka_unit_test(a_wall_time_that_came_twice_has_two_instants),
        cmocka_unit_test(there_and_back_is_the_same_for_any_epochs),
        cmocka_unit_test(epochs_come_from_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
