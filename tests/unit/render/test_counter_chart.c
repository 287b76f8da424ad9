/* SPDX-License-Identifier: MIT */
#include "connhist/render/counter_chart.h"

#include <string.h>

#include "capture.h"

#define BEGIN INT64_C(1700006400000)

static const char *draw(struct capture *capture, struct grown *steps, size_t n, bool gauge,
                        bool ascii)
{
    const struct coverage coverage = {.planned = 4, .done = 4};
    const struct counter_steps all = {.items = steps,
                                      .n = n,
                                      .since_ms = BEGIN,
                                      .until_ms = BEGIN + (int64_t)n * 60000,
                                      .step_ms = 60000,
                                      .tier = TIER_MINUTES};
    const struct counter_chart chart = {
        .steps = &all, .coverage = &coverage, .title = "Udp.NoPorts", .gauge = gauge};
    const struct chart_options options = {
        .out = capture->out, .utc = true, .ascii = ascii, .width = 80};

    counter_chart_print(&chart, &options);
    return capture_text(capture);
}

static void a_gap_is_no_zero_and_its_growth_in_no_block(void **state)
{
    struct grown steps[] = {
        {.readings = 1},
        {.readings = 1, .covered_ms = 60000, .grew = 12},
        {.readings = 1, .covered_ms = 60000},
        {0},
        {.readings = 2, .covered_ms = 50000, .grew = 1006, .gap_grew = 1000},
    };
    struct capture capture;
    const char *text;

    (void)state;
    capture_begin(&capture);
    text = draw(&capture, steps, 5, false, true);
    assert_non_null(strstr(text, "Udp.NoPorts\n  ?#_?=\n  max 12 in the 1m00s from "));
    assert_non_null(strstr(text, "18 in all"));
    assert_non_null(strstr(text, "1000 more over gaps"));
    assert_null(strstr(text, "at least"));
    capture_finish(&capture);
}

static void what_began_again_grew_at_least_by_that(void **state)
{
    struct grown steps[] = {
        {.readings = 1, .covered_ms = 60000, .grew = 2, .turns = 1U << COUNTER_RESET}};
    struct capture capture;

    (void)state;
    capture_begin(&capture);
    assert_non_null(strstr(draw(&capture, steps, 1, false, false), "at least 2 in all"));
    capture_finish(&capture);
}

static void one_that_never_moved_is_drawn_as_none(void **state)
{
    struct grown steps[] = {{.readings = 1, .covered_ms = 60000}, {0}};
    struct capture capture;
    const char *text;

    (void)state;
    capture_begin(&capture);
    text = draw(&capture, steps, 2, false, true);
    assert_non_null(strstr(text, "\n  _?\n  max 0, 0 in all\n"));
    capture_finish(&capture);
}

static void nothing_read_is_said(void **state)
{
    struct grown steps[] = {{0}, {0}};
    struct capture capture;

    (void)state;
    capture_begin(&capture);
    assert_non_null(strstr(draw(&capture, steps, 2, false, true), "\n  ??\n  not recorded\n"));
    capture_finish(&capture);
}

static void a_gauge_shows_its_highest_and_its_last(void **state)
{
    struct grown steps[] = {
        {.readings = 1, .has_last = true, .low = 3, .high = 9, .last = 4},
        {.readings = 1, .has_last = true, .low = 0, .high = 4, .last = 0},
    };
    struct capture capture;
    const char *text;

    (void)state;
    capture_begin(&capture);
    text = draw(&capture, steps, 2, true, true);
    assert_non_null(strstr(text, "\n  #=\n  max 9 in the 1m00s from "));
    assert_non_null(strstr(text, ", last 0\n"));
    assert_null(strstr(text, "in all"));
    capture_finish(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_is_no_zero_and_its_growth_in_no_block),
        cmocka_unit_test(what_began_again_grew_at_least_by_that),
        cmocka_unit_test(one_that_never_moved_is_drawn_as_none),
        cmocka_unit_test(nothing_read_is_said),
        cmocka_unit_test(a_gauge_shows_its_highest_and_its_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
