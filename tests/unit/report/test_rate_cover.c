/* SPDX-License-Identifier: MIT */
/* What is said of rates where something lacks, or where the clock was set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "connhist/model/life.h"
#include "connhist/report/rate.h"
#include "record_file.h"

#define MIN   INT64_C(60000)
#define BEGIN (1000 * MIN)

/* One socket of port 80 began and one ended in each minute of [from_ms, until_ms), with snapshots
 * 10 s apart. */
static void take_minutes(struct record_file *file, int64_t from_ms, int64_t until_ms)
{
    for (int64_t at_ms = from_ms; at_ms < until_ms; at_ms += 10000) {
        struct rate_change rate = {
            .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
            .period_ms = at_ms - at_ms % MIN,
            .opened = 1,
            .closed[CLOSED_BY_LOCAL] = 1,
            .sent_bytes = file->deaf ? 0 : 100,
        };

        record_snapshot(file, at_ms, at_ms == from_ms);
        if (at_ms % MIN == 0)
            record_rate(file, &rate);
        record_write(file);
    }
}

static struct rates ask(struct record_file *file, enum rate_measure measure, int64_t since_ms,
                        int64_t until_ms)
{
    const struct rate_question question = {
        .since_ms = since_ms, .until_ms = until_ms, .step_ms = MIN, .measure = measure};
    struct rates rates = {0};
    struct err err = {0};
    int r = rate_ask(file->db, &file->walltime, &question, &rates, &err);

    if (r < 0)
        fail_msg("%d: %s", r, err.text);
    return rates;
}

static void lost_events_make_their_minutes_a_lower_bound_and_no_others(void **state)
{
    struct record_file file;
    struct rates rates;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    record_loss(&file, LOSS_EVENTS, BEGIN + 3 * MIN + 100, BEGIN + 3 * MIN + 200, 1);
    record_loss(&file, LOSS_EVENTS, BEGIN + 5 * MIN, BEGIN + 5 * MIN, 1);
    record_loss(&file, LOSS_EVENTS, BEGIN + 7 * MIN - 1, BEGIN + 7 * MIN, 1);
    take_minutes(&file, BEGIN, BEGIN + 9 * MIN);
    record_read(&file);
    for (int measure = RATE_OPENED; measure <= RATE_RTT; measure++) {
        rates = ask(&file, measure, BEGIN, BEGIN + 8 * MIN);
        assert_int_equal(rates.coverage.events_lost, 3);
        for (size_t i = 0; rates.series.n > 0 && i < 8; i++) {
            assert_true(rates.series.items[0].points.items[i].recorded);
            /* the first: nobody knows what was before the recorder came */
            assert_int_equal(rates.series.items[0].points.items[i].at_least,
                             i == 0 || i == 3 || i == 5 || i == 6 || i == 7);
        }
        assert_int_equal(rates.series.n, measure < RATE_DURATION);
        rates_finish(&rates);
    }
    record_file_finish(&file);
}

static void without_events_counts_are_lower_bounds_and_bytes_not_known(void **state)
{
    struct record_file file;
    struct rates rates;
    const struct rate_point *points;

    (void)state;
    record_file_init(&file);
    file.deaf = true;
    record_begin(&file, 'a', BEGIN, 10000);
    take_minutes(&file, BEGIN, BEGIN + 3 * MIN);
    record_end(&file, BEGIN + 3 * MIN - 5000);
    file.deaf = false;
    record_begin(&file, 'a', BEGIN + 3 * MIN, 10000);
    take_minutes(&file, BEGIN + 3 * MIN, BEGIN + 6 * MIN);
    record_read(&file);
    rates = ask(&file, RATE_BYTES, BEGIN, BEGIN + 5 * MIN);
    points = rates.series.items[0].points.items;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(points[i].recorded, i >= 3);
        assert_int_equal(points[i].sent_bytes, i >= 3 ? 100 : 0);
    }
    assert_int_equal(rates.coverage.gaps.n, 1);
    assert_int_equal(rates.coverage.gaps.items[0].from_ms, BEGIN);
    assert_int_equal(rates.coverage.gaps.items[0].until_ms, BEGIN + 3 * MIN);
    assert_string_equal(rates.coverage.gaps.items[0].reason,
                        "the kernel was not asked about closed sockets");
    rates_finish(&rates);
    rates = ask(&file, RATE_CLOSED, BEGIN, BEGIN + 5 * MIN);
    points = rates.series.items[0].points.items;
    assert_int_equal(rates.coverage.gaps.n, 0);
    for (int i = 0; i < 5; i++) {
        assert_true(points[i].recorded);
        assert_int_equal(rate_closed(&points[i]), 1);
        /* in the fourth minute the recorder was started */
        assert_int_equal(points[i].at_least, i <= 3);
    }
    rates_finish(&rates);
    record_file_finish(&file);
}

static void minutes_that_happened_twice_are_added_up_over_their_double_time(void **state)
{
    struct record_file file;
    struct rates rates;
    const struct rate_point *points;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    record_epoch(&file, BEGIN, 0);
    record_epoch(&file, BEGIN + 5 * MIN, -3 * MIN);
    take_minutes(&file, BEGIN, BEGIN + 8 * MIN);
    record_read(&file);
    /* the wall clock showed 0 1 2 3 4, then 2 3 4 */
    rates = ask(&file, RATE_OPENED, BEGIN, BEGIN + 5 * MIN);
    points = rates.series.items[0].points.items;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(points[i].opened, i < 2 ? 1 : 2);
        /* behind the last snapshot 10 s were not recorded, but that is no gap */
        assert_int_equal(points[i].covered_ms, i < 2 ? MIN : 2 * MIN);
        assert_true(fabs(rate_per_second(&points[i], points[i].opened) - 1 / 60.0) < 1e-9);
    }
    rates_finish(&rates);
    record_file_finish(&file);
}

static void a_time_that_was_jumped_over_was_not_recorded(void **state)
{
    struct record_file file;
    struct rates rates;
    const struct rate_point *points;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    record_epoch(&file, BEGIN, 0);
    record_epoch(&file, BEGIN + 2 * MIN, 3 * MIN);
    take_minutes(&file, BEGIN, BEGIN + 4 * MIN);
    record_read(&file);
    rates = ask(&file, RATE_OPENED, BEGIN, BEGIN + 7 * MIN);
    points = rates.series.items[0].points.items;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(points[i].recorded, i < 2 || i >= 5);
        assert_int_equal(points[i].opened, i < 2 || i >= 5);
    }
    rates_finish(&rates);
    record_file_finish(&file);
}

static void a_clock_that_is_off_by_little_moves_nothing_to_another_minute(void **state)
{
    static const int64_t offsets[] = {-29000, -20, 0, 20, 29000};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct record_file file;
        struct rates rates;

        record_file_init(&file);
        record_begin(&file, 'a', BEGIN, 10000);
        record_epoch(&file, BEGIN, offsets[i]);
        take_minutes(&file, BEGIN, BEGIN + 4 * MIN);
        record_read(&file);
        /* the second and the third minute, and no other */
        rates = ask(&file, RATE_OPENED, BEGIN + MIN, BEGIN + 3 * MIN);
        assert_int_equal(rates.series.n, 1);
        assert_int_equal(rates.series.items[0].points.n, 2);
        assert_int_equal(rates.series.items[0].points.items[0].opened, 1);
        assert_int_equal(rates.series.items[0].points.items[1].opened, 1);
        rates_finish(&rates);
        /* the minute that has just begun counts */
        rates = ask(&file, RATE_OPENED, BEGIN + 3 * MIN, BEGIN + 3 * MIN + 1);
        assert_int_equal(rates.series.n, 1);
        assert_int_equal(rates.series.items[0].points.items[0].opened, 1);
        rates_finish(&rates);
        record_file_finish(&file);
    }
}

static void sockets_that_may_be_of_the_ports_asked_for_are_counted(void **state)
{
    struct rate_question question = {.since_ms = BEGIN,
                                     .until_ms = BEGIN + 3 * MIN,
                                     .filter = {.ports = {{5, 5}}, .n_ports = 1},
                                     .measure = RATE_OPENED};
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    for (int i = 0; i < 3; i++) {
        struct rate_change rate = {
            .service = {.port = SERVICE_PORT_OTHER, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT},
            .period_ms = BEGIN + i * MIN,
            .opened = 2,
            .closed = {1, 1, 1, 1, 1},
        };

        record_rate(&file, &rate);
    }
    take_minutes(&file, BEGIN, BEGIN + 3 * MIN);
    record_read(&file);
    for (int measure = RATE_OPENED; measure <= RATE_RTT; measure++)
        for (int role = 0; role <= ROLE_CLIENT; role++) {
            struct rates rates = {0};
            struct err err = {0};

            question.measure = measure;
            question.filter.role = (uint8_t)role;
            assert_int_equal(rate_ask(file.db, &file.walltime, &question, &rates, &err), 0);
            assert_int_equal(rates.series.n, 0);
            assert_int_equal(rates.other_sockets, role == ROLE_SERVER      ? 0
                                                  : measure == RATE_OPENED ? 6
                                                                           : 15);
            rates_finish(&rates);
        }
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_events_make_their_minutes_a_lower_bound_and_no_others),
        cmocka_unit_test(without_events_counts_are_lower_bounds_and_bytes_not_known),
        cmocka_unit_test(minutes_that_happened_twice_are_added_up_over_their_double_time),
        cmocka_unit_test(a_time_that_was_jumped_over_was_not_recorded),
        cmocka_unit_test(a_clock_that_is_off_by_little_moves_nothing_to_another_minute),
        cmocka_unit_test(sockets_that_may_be_of_the_ports_asked_for_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
