/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "capture.h"
#include "connhist/model/life.h"
#include "connhist/render/rate_chart.h"

#define T0   INT64_C(1763780400000) /* 2025-11-22T03:00:00Z */
#define MIN  INT64_C(60000)
#define MANY 500

static struct rates rates_of(struct rate_series *series, size_t n, size_t minutes)
{
    struct rates rates = {.since_ms = T0,
                          .until_ms = T0 + (int64_t)minutes * MIN,
                          .step_ms = MIN,
                          .series = {.items = series, .n = n},
                          .coverage = {.planned = 10, .done = 10}};

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < series[i].points.n; j++)
            series[i].points.items[j].at_ms = T0 + (int64_t)j * MIN;
    return rates;
}

static struct rate_series series_of(struct rate_point *points, size_t n)
{
    return (struct rate_series){.protocol = PROTOCOL_TCP,
                                .role = ROLE_SERVER,
                                .port = 80,
                                .points = {.items = points, .n = n}};
}

static void expect(const struct rates *rates, enum rate_measure measure,
                   const struct chart_options *options, const char *wanted)
{
    struct chart_options used = *options;
    struct capture capture;

    capture_begin(&capture);
    used.out = capture.out;
    used.utc = true;
    rate_chart_print(rates, measure, &used);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

#define FOOT(end)                                                         \
    "  from 2025-11-22T03:00:00Z to 2025-11-22T03:" end ":00Z\n"          \
    "  one column: 1m00s; ▁ none, █ the row's max, · not recorded\n" \
    "coverage: 10 of 10 snapshots\n"

static void a_gap_is_a_gap_and_a_minute_without_anything_is_none(void **unused)
{
    struct rate_point points[] = {
        {.recorded = true, .covered_ms = MIN, .opened = 0},
        {.recorded = true, .covered_ms = MIN, .opened = 60},
        {.recorded = false, .opened = 777, .at_least = true},
        {.recorded = true, .covered_ms = MIN, .opened = 120},
        {.recorded = true, .covered_ms = MIN, .opened = 1},
    };
    struct rate_series series = series_of(points, 5);
    struct rates rates = rates_of(&series, 1, 5);

    (void)unused;
    expect(&rates, RATE_OPENED, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  ▁▅·█▂\n"
           "  opened: max 120 in the 1m00s from 2025-11-22T03:03:00Z, at least 181 in all, 45 a "
           "minute\n" FOOT("05"));
    points[2].at_least = false;
    expect(&rates, RATE_OPENED, &(struct chart_options){.width = 100, .ascii = true},
           "tcp 80 server\n"
           "  _=?#.\n"
           "  opened: max 120 in the 1m00s from 2025-11-22T03:03:00Z, 181 in all, 45 a minute\n"
           "  from 2025-11-22T03:00:00Z to 2025-11-22T03:05:00Z\n"
           "  one column: 1m00s; _ none, # the row's max, ? not recorded\n"
           "coverage: 10 of 10 snapshots\n");
}

static void ends_have_a_line_for_each_way_that_there_was(void **unused)
{
    struct rate_point points[] = {
        {.recorded = true, .covered_ms = MIN, .closed = {[CLOSED_BY_LOCAL] = 7}},
        {.recorded = true,
         .covered_ms = MIN,
         .closed = {[CLOSED_BY_LOCAL] = 1, [CLOSED_BY_RESET] = 300}},
    };
    struct rate_series series = series_of(points, 2);
    struct rates rates = rates_of(&series, 1, 2);

    (void)unused;
    expect(&rates, RATE_CLOSED, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  ▂█\n"
           "  closed: max 301 in the 1m00s from 2025-11-22T03:01:00Z, 308 in all, 2.6 a second\n"
           "  █▂\n"
           "  closed, local: max 7 in the 1m00s from 2025-11-22T03:00:00Z, 8 in all, 4.0 a minute\n"
           "  ▁█\n"
           "  closed, reset: max 300 in the 1m00s from 2025-11-22T03:01:00Z, 300 in all, 2.5 a "
           "second\n" FOOT("02"));
    points[1].closed[CLOSED_BY_RESET] = 0;
    expect(&rates, RATE_CLOSED, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  █▂\n"
           "  closed, local: max 7 in the 1m00s from 2025-11-22T03:00:00Z, 8 in all, 4.0 a "
           "minute\n" FOOT("02"));
}

static void bytes_have_units_of_their_size(void **unused)
{
    struct rate_point points[] = {
        {.recorded = true, .covered_ms = MIN, .sent_bytes = 3 << 20, .received_bytes = 500},
        {.recorded = true, .covered_ms = MIN, .sent_bytes = 1 << 20},
    };
    struct rate_series series = series_of(points, 2);
    struct rates rates = rates_of(&series, 1, 2);

    (void)unused;
    expect(&rates, RATE_BYTES, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  █▄\n"
           "  sent: max 3.0 MiB in the 1m00s from 2025-11-22T03:00:00Z, 4.0 MiB in all, 34.1 KiB a "
           "second\n"
           "  █▁\n"
           "  received: max 500 B in the 1m00s from 2025-11-22T03:00:00Z, 500 B in all, 4 B a "
           "second\n" FOOT("02"));
}

static void times_have_units_of_their_size_and_none_ended_is_no_zero(void **unused)
{
    struct rate_point points[] = {
        {.recorded = true, .covered_ms = MIN, .n = 3, .p50 = 0, .p99 = 65535},
        {.recorded = true, .covered_ms = MIN, .n = 0, .p50 = -1, .p99 = -1},
        {.recorded = true, .covered_ms = MIN, .n = 4, .p50 = 7, .p99 = 131071, .at_least = true},
    };
    struct rate_series series = series_of(points, 3);
    struct rates rates = rates_of(&series, 1, 3);

    (void)unused;
    expect(&rates, RATE_DURATION, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  ▂▁█\n"
           "  p50: max 7ms in the 1m00s from 2025-11-22T03:02:00Z, last 7ms, of at least 7\n"
           "  ▅▁█\n"
           "  p99: max 2m11s in the 1m00s from 2025-11-22T03:02:00Z, last 2m11s, of at least "
           "7\n" FOOT("03"));
    expect(&rates, RATE_RTT, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  ▂▁█\n"
           "  p50: max 7us in the 1m00s from 2025-11-22T03:02:00Z, last 7us, of at least 7\n"
           "  ▅▁█\n"
           "  p99: max 131ms in the 1m00s from 2025-11-22T03:02:00Z, last 131ms, of at least "
           "7\n" FOOT("03"));
}

static void what_was_never_recorded_is_told_so(void **unused)
{
    struct rate_point points[] = {{.opened = 5, .at_least = true}, {.opened = 5, .at_least = true}};
    struct rate_series series = series_of(points, 2);
    struct rates rates = rates_of(&series, 1, 2);

    (void)unused;
    expect(&rates, RATE_OPENED, &(struct chart_options){.width = 100},
           "tcp 80 server\n"
           "  ··\n"
           "  opened: not recorded\n" FOOT("02"));
}

static void many_steps_are_drawn_by_their_highest_within_the_width(void **unused)
{
    static struct rate_point points[MANY];
    struct rate_series series = series_of(points, MANY);
    struct rates rates = rates_of(&series, 1, MANY);
    const struct chart_options narrow = {.width = 40, .ascii = true, .color = false};
    struct chart_options used = narrow;
    struct capture capture;
    char *rest = NULL;

    (void)unused;
    for (size_t i = 0; i < MANY; i++)
        points[i] = (struct rate_point){.recorded = i >= 20,
                                        .covered_ms = MIN,
                                        .at_ms = T0,
                                        .opened = i == 33 ? UINT64_MAX / 16 : 0,
                                        .closed = {i, i, i, i, i},
                                        .sent_bytes = INT64_MAX / 8,
                                        .n = 1,
                                        .p50 = INT64_MAX / 2000,
                                        .p99 = INT64_MAX / 2000};
    for (int measure = RATE_OPENED; measure <= RATE_RTT; measure++) {
        capture_begin(&capture);
        used.out = capture.out;
        rate_chart_print(&rates, measure, &used);
        capture_text(&capture);
        if (measure == RATE_OPENED) {
            assert_non_null(strstr(capture.text, "\n  ?_#____"));
            assert_non_null(strstr(capture.text, "one column: 14m00s, its highest"));
        }
        for (char *line = strtok_r(capture.text, "\n", &rest); line;
             line = strtok_r(NULL, "\n", &rest))
            assert_in_range(strlen(line), 1, 40);
        capture_finish(&capture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_is_a_gap_and_a_minute_without_anything_is_none),
        cmocka_unit_test(ends_have_a_line_for_each_way_that_there_was),
        cmocka_unit_test(bytes_have_units_of_their_size),
        cmocka_unit_test(times_have_units_of_their_size_and_none_ended_is_no_zero),
        cmocka_unit_test(what_was_never_recorded_is_told_so),
        cmocka_unit_test(many_steps_are_drawn_by_their_highest_within_the_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
