/* SPDX-License-Identifier: MIT */
/* What is answered about times at which the wall clock was set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "connhist/report/sockets.h"
#include "connhist/report/trend.h"
#include "record_file.h"

#define TCP    PROTOCOL_TCP
#define SERVER ROLE_SERVER

static struct trend ask(struct record_file *file, const struct trend_question *question)
{
    struct trend trend = {0};
    struct err err = {0};
    int r = trend_ask(file->db, &file->walltime, question, &trend, &err);

    if (r < 0)
        fail_msg("%d: %s", r, err.text);
    return trend;
}

static void check_point(const struct trend_point *point, int64_t at_ms, int64_t min, int64_t max,
                        double avg, int64_t last)
{
    assert_int_equal(point->at_ms, at_ms);
    assert_true(point->recorded);
    assert_int_equal(point->min, min);
    assert_int_equal(point->max, max);
    assert_true(point->avg > avg - 1e-9 && point->avg < avg + 1e-9);
    assert_int_equal(point->last, last);
}

static void of_a_time_that_came_twice_the_later_one_is_taken(void **state)
{
    struct snapshot_choice choice;
    struct record_file file;
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    for (int64_t at_ms = 10000; at_ms <= 100000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 80000) /* 30 s to 100 s come again, but the record ends at 50 s of them */
            record_epoch(&file, 80000, -50000);
        record_write(&file);
    }
    record_read(&file);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 45000, &choice, &err), 0);
    assert_true(choice.ambiguous);
    assert_int_equal(choice.record_ms, 90000);
    assert_int_equal(choice.snapshot_ms, 40000);
    assert_int_equal(choice.distance_ms, 5000);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 75000, &choice, &err), 0);
    assert_true(choice.earlier);
    assert_false(choice.ambiguous);
    assert_int_equal(choice.record_ms, 70000);
    /* the next snapshot is not due yet */
    assert_int_equal(sockets_choose(file.db, &file.walltime, 54000, &choice, &err), 0);
    assert_true(choice.ambiguous);
    assert_int_equal(choice.record_ms, 100000);
    /* shown is one of before the clock was set, whose wall time is later */
    assert_int_equal(sockets_choose(file.db, &file.walltime, 30000, &choice, &err), 0);
    assert_int_equal(choice.record_ms, 80000);
    assert_int_equal(choice.distance_ms, 0);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 15000, &choice, &err), 0);
    assert_false(choice.ambiguous);
    assert_int_equal(choice.record_ms, 10000);
    record_file_finish(&file);
}

static void a_time_that_was_jumped_over_shows_what_was_before(void **state)
{
    struct snapshot_choice choice;
    struct record_file file;
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    for (int64_t at_ms = 10000; at_ms <= 50000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 30000)
            record_epoch(&file, 30000, 3600000);
        record_write(&file);
    }
    record_read(&file);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 1000000, &choice, &err), 0);
    assert_int_equal(choice.record_ms, 20000);
    assert_int_equal(choice.snapshot_ms, 20000);
    assert_int_equal(choice.distance_ms, 980000);
    assert_true(choice.in_gap);
    assert_false(choice.ambiguous || choice.earlier);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 3635000, &choice, &err), 0);
    assert_int_equal(choice.snapshot_ms, 3630000);
    assert_false(choice.in_gap);
    record_file_finish(&file);
}

static void a_clock_set_back_puts_two_stretches_into_one_bucket(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 10000, .until_ms = 40000, .step_ms = 10000};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    for (int64_t at_ms = 10000; at_ms <= 50000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 30000) /* from here on 20 s earlier: 10, 20, 30 s come again */
            record_epoch(&file, 30000, -20000);
        record_tally(&file, TCP, SERVER, 80, STATE_ESTABLISHED, (uint32_t)at_ms / 1000);
        record_write(&file);
    }
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    check_point(&trend.series.items[0].points.items[0], 10000, 10, 30, 20, 30);
    check_point(&trend.series.items[0].points.items[1], 20000, 20, 40, 30, 40);
    check_point(&trend.series.items[0].points.items[2], 30000, 50, 50, 50, 50);
    assert_int_equal(trend.series.items[0].max_at_ms, 30000);
    assert_int_equal(trend.coverage.done, 5);
    trend_finish(&trend);
    question.until_ms = 19999; /* 10 s, and 10 s once more, with 20 s between them */
    trend = ask(&file, &question);
    check_point(&trend.series.items[0].points.items[0], 10000, 10, 30, 20, 30);
    assert_int_equal(trend.coverage.done, 2);
    assert_int_equal(trend.coverage.planned, 2);
    trend_finish(&trend);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_time_that_came_twice_the_later_one_is_taken),
        cmocka_unit_test(a_time_that_was_jumped_over_shows_what_was_before),
        cmocka_unit_test(a_clock_set_back_puts_two_stretches_into_one_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
