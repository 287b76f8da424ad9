/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capture.h"
#include "connhist/render/text.h"

#define T0 INT64_C(1763780400000) /* 2025-11-22T03:00:00Z */

static void expect(const struct coverage *coverage, size_t max_gaps, const char *wanted)
{
    struct capture capture;

    capture_begin(&capture);
    coverage_print(capture.out, coverage, true, max_gaps, 0);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

static void a_full_record_is_one_line(void **unused)
{
    (void)unused;
    expect(&(struct coverage){.planned = 360, .done = 360}, 5, "coverage: 360 of 360 snapshots\n");
    expect(&(struct coverage){.planned = 1, .done = 1}, 5, "coverage: 1 of 1 snapshot\n");
}

static void nothing_recorded_is_said_in_so_many_words(void **unused)
{
    (void)unused;
    expect(&(struct coverage){0}, 5, "coverage: nothing was recorded in this span\n");
}

static void every_kind_of_loss_is_told(void **unused)
{
    (void)unused;
    expect(&(struct coverage){.planned = 360,
                              .done = 357,
                              .interrupted = 1,
                              .missed = 2,
                              .events_lost = 12,
                              .unkept = 1},
           5,
           "coverage: 357 of 360 snapshots, 1 interrupted, 2 missed, "
           "events lost 12 times: short connections may lack, 1 socket without detail\n");
}

static void a_short_gap_has_two_times(void **unused)
{
    struct gap gap = {.from_ms = T0 + 100, .until_ms = T0 + 350, .reason = "dump failed"};

    (void)unused;
    expect(&(struct coverage){.planned = 9, .done = 8, .gaps = {.items = &gap, .n = 1}}, 5,
           "coverage: 8 of 9 snapshots\n"
           "  not recorded: 2025-11-22T03:00:00.100Z - 2025-11-22T03:00:00.350Z (250ms): dump "
           "failed\n");
}

static void gaps_are_told_up_to_the_limit(void **unused)
{
    struct gap gaps[] = {
        {.from_ms = T0 + 840000, .until_ms = T0 + 1210000, .reason = "recorder not running"},
        {.from_ms = T0 + 2000000, .until_ms = T0 + 2030000, .reason = "3 ticks \033missed"},
        {.from_ms = T0 + 3000000, .until_ms = T0 + 3030000, .reason = ""},
    };
    struct coverage coverage = {
        .planned = 360, .done = 330, .missed = 30, .gaps = {.items = gaps, .n = 3}};

    (void)unused;
    expect(&coverage, 3,
           "coverage: 330 of 360 snapshots, 30 missed\n"
           "  not recorded: 2025-11-22T03:14:00Z - 2025-11-22T03:20:10Z (6m10s): "
           "recorder not running\n"
           "  not recorded: 2025-11-22T03:33:20Z - 2025-11-22T03:33:50Z (30s): "
           "3 ticks \\x1bmissed\n"
           "  not recorded: 2025-11-22T03:50:00Z - 2025-11-22T03:50:30Z (30s)\n");
    expect(&coverage, 1,
           "coverage: 330 of 360 snapshots, 30 missed\n"
           "  not recorded: 2025-11-22T03:14:00Z - 2025-11-22T03:20:10Z (6m10s): "
           "recorder not running\n"
           "  ... and 2 more\n");
    expect(&coverage, 0, "coverage: 330 of 360 snapshots, 30 missed, 3 gaps\n");
}

static void spans_of_lost_events_are_told_up_to_the_limit(void **unused)
{
    struct gap deaf[] = {
        {.from_ms = T0, .until_ms = T0 + 2000, .reason = ""},
        {.from_ms = T0 + 60000, .until_ms = T0 + 61000, .reason = "buffer \033full"}};
    struct coverage coverage = {
        .planned = 360, .done = 360, .events_lost = 2, .deaf = {.items = deaf, .n = 2}};

    (void)unused;
    expect(&coverage, 2,
           "coverage: 360 of 360 snapshots, events lost 2 times: short connections may lack\n"
           "  events of closed connections were lost: 2025-11-22T03:00:00Z - 2025-11-22T03:00:02Z "
           "(2s)\n"
           "  events of closed connections were lost: 2025-11-22T03:01:00Z - 2025-11-22T03:01:01Z "
           "(1s): buffer \\x1bfull\n");
    expect(&coverage, 1,
           "coverage: 360 of 360 snapshots, events lost 2 times: short connections may lack\n"
           "  events of closed connections were lost: 2025-11-22T03:00:00Z - 2025-11-22T03:00:02Z "
           "(2s)\n"
           "  ... and 1 more\n");
    expect(&coverage, 0,
           "coverage: 360 of 360 snapshots, events lost 2 times: short connections may lack\n");
}

static void what_a_gap_says_is_not_said_again(void **unused)
{
    struct gap gap = {.from_ms = T0,
                      .until_ms = T0 + 60000,
                      .record_from_ms = 1000,
                      .record_until_ms = 61000,
                      .reason = "recorder died"};
    struct gap deaf[] = {{.record_from_ms = 900, .record_until_ms = 60500},
                         {.from_ms = T0 + 59000,
                          .until_ms = T0 + 61000,
                          .record_until_ms = 61001,
                          .reason = "late"}};
    struct coverage coverage = {
        .planned = 9, .done = 9, .gaps = {.items = &gap, .n = 1}, .deaf = {.items = deaf, .n = 1}};

    (void)unused;
    coverage.events_lost = 1;
    expect(&coverage, 1,
           "coverage: 9 of 9 snapshots\n"
           "  not recorded: 2025-11-22T03:00:00Z - 2025-11-22T03:01:00Z (1m00s): recorder died\n");
    coverage.events_lost = (int64_t)(coverage.deaf.n = 2);
    expect(&coverage, 1,
           "coverage: 9 of 9 snapshots, events lost 1 time: short connections may lack\n"
           "  not recorded: 2025-11-22T03:00:00Z - 2025-11-22T03:01:00Z (1m00s): recorder died\n"
           "  events of closed connections were lost: 2025-11-22T03:00:59Z - "
           "2025-11-22T03:01:01Z (2s): late\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_record_is_one_line),
        cmocka_unit_test(nothing_recorded_is_said_in_so_many_words),
        cmocka_unit_test(every_kind_of_loss_is_told),
        cmocka_unit_test(a_short_gap_has_two_times),
        cmocka_unit_test(gaps_are_told_up_to_the_limit),
        cmocka_unit_test(spans_of_lost_events_are_told_up_to_the_limit),
        cmocka_unit_test(what_a_gap_says_is_not_said_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
