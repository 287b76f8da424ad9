/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "capture.h"
#include "connhist/model/service.h"
#include "connhist/render/chart.h"

#define T0   INT64_C(1763780400000) /* 2025-11-22T03:00:00Z */
#define HOUR INT64_C(3600000)

#define POINTS(array)                                             \
    {                                                             \
        .items = (array), .n = sizeof(array) / sizeof((array)[0]) \
    }
#define SEEN(count)                      \
    {                                    \
        .recorded = true, .max = (count) \
    }
#define GAP                          \
    {                                \
        .recorded = false, .max = 77 \
    }

static const char *name_http(void *arg, unsigned protocol, uint16_t port)
{
    (void)arg;
    return protocol == PROTOCOL_TCP && port == 80 ? "http" : NULL;
}

static const char *name_given(void *arg, unsigned protocol, uint16_t port)
{
    (void)protocol;
    (void)port;
    return arg;
}

static void print(struct capture *capture, const struct trend *trend,
                  const struct chart_options *options)
{
    struct chart_options used = *options;

    capture_begin(capture);
    used.out = capture->out;
    used.utc = true;
    chart_print(trend, &used);
}

static void expect(const struct trend *trend, const struct chart_options *options,
                   const char *wanted)
{
    struct capture capture;

    print(&capture, trend, options);
    assert_string_equal(capture_text(&capture), wanted);
    capture_finish(&capture);
}

static struct trend trend_of(struct trend_series *series, size_t n, size_t hours)
{
    return (struct trend){.since_ms = T0,
                          .until_ms = T0 + (int64_t)hours * HOUR,
                          .step_ms = HOUR,
                          .series = {.items = series, .n = n},
                          .coverage = {.planned = 10, .done = 10}};
}

static void a_series_is_a_line_of_blocks_with_its_facts(void **unused)
{
    struct trend_point points[] = {SEEN(0), SEEN(1), SEEN(50), GAP, SEEN(70), SEEN(71), SEEN(100)};
    struct trend_series series[] = {{.protocol = PROTOCOL_TCP,
                                     .role = ROLE_SERVER,
                                     .state = STATE_TIME_WAIT,
                                     .port = 80,
                                     .points = POINTS(points),
                                     .max = 100,
                                     .max_at_ms = T0 + 6 * HOUR,
                                     .now = 99,
                                     .per_hour = 14.4,
                                     .direction = TREND_GROWING}};
    struct trend trend = trend_of(series, 1, 7);

    (void)unused;
    expect(&trend, &(struct chart_options){.width = 80, .name_of_port = name_http},
           "tcp 80 http server TIME_WAIT\n"
           "  ▁▂▅·▆▆█\n"
           "  max 100 at 2025-11-22T09:00:00Z, now 99, growing by 14 an hour\n"
           "  from 2025-11-22T03:00:00Z to 2025-11-22T10:00:00Z\n"
           "  one column: 1h00m; ▁ none, █ the row's max, · not recorded\n"
           "coverage: 10 of 10 snapshots\n");
}

static void what_is_past_is_not_told_as_of_now(void **unused)
{
    struct trend_point points[] = {SEEN(1), SEEN(2)};
    struct trend_series series[] = {{.protocol = PROTOCOL_TCP,
                                     .port = 80,
                                     .points = POINTS(points),
                                     .max = 2,
                                     .max_at_ms = T0 + HOUR,
                                     .now = 2,
                                     .per_hour = 14.4,
                                     .direction = TREND_GROWING}};
    struct trend trend = trend_of(series, 1, 2);
    struct capture capture;

    (void)unused;
    trend.last_ms = T0 + HOUR;
    trend.stale_ms = trend.last_ms + 20000;
    print(&capture, &trend, &(struct chart_options){.now_ms = trend.stale_ms});
    assert_non_null(strstr(capture_text(&capture), ", now 2, growing by 14 an hour\n"));
    capture_finish(&capture);
    print(&capture, &trend, &(struct chart_options){.now_ms = trend.stale_ms + 1, .width = 100});
    assert_non_null(strstr(capture_text(&capture),
                           ", last 2 at 2025-11-22T04:00:00Z, was growing by 14 an hour\n"));
    capture_finish(&capture);
}

static void ascii_stays_ascii(void **unused)
{
    struct trend_point points[] = {SEEN(0), SEEN(1), SEEN(2), SEEN(3), SEEN(4),
                                   SEEN(5), SEEN(6), SEEN(7), GAP};
    struct trend_series series[] = {{.protocol = PROTOCOL_UDP,
                                     .port = 53,
                                     .points = POINTS(points),
                                     .max = 7,
                                     .max_at_ms = T0,
                                     .now = 7,
                                     .direction = TREND_STEADY}};
    struct trend trend = trend_of(series, 1, 9);
    char name[] = "größe";

    (void)unused;
    expect(&trend,
           &(struct chart_options){
               .width = 80, .ascii = true, .name_of_port = name_given, .name_arg = name},
           "udp 53 gr??e\n"
           "  _.:-=+*#?\n"
           "  max 7 at 2025-11-22T03:00:00Z, now 7, steady\n"
           "  from 2025-11-22T03:00:00Z to 2025-11-22T12:00:00Z\n"
           "  one column: 1h00m; _ none, # the row's max, ? not recorded\n"
           "coverage: 10 of 10 snapshots\n");
}

static void none_and_not_recorded_look_different(void **unused)
{
    struct trend_point none[] = {SEEN(0), SEEN(0)}, gaps[] = {GAP, GAP};
    struct trend_series series[] = {
        {.port = 80, .points = POINTS(none), .direction = TREND_STEADY},
        {.port = 81, .points = POINTS(gaps), .direction = TREND_UNCLEAR},
    };
    struct trend trend = trend_of(series, 2, 2);

    (void)unused;
    trend.coverage = (struct coverage){.planned = 2, .done = 1, .missed = 1};
    expect(&trend, &(struct chart_options){.width = 80},
           "port 80\n"
           "  ▁▁\n"
           "  max 0, now 0, steady\n"
           "port 81\n"
           "  ··\n"
           "  not recorded\n"
           "  from 2025-11-22T03:00:00Z to 2025-11-22T05:00:00Z\n"
           "  one column: 1h00m; ▁ none, █ the row's max, · not recorded\n"
           "coverage: 1 of 2 snapshots, 1 missed\n");
}

static void without_series_the_coverage_tells_why(void **unused)
{
    struct trend trend = trend_of(NULL, 0, 2);

    (void)unused;
    expect(&trend, &(struct chart_options){.width = 80}, "coverage: 10 of 10 snapshots\n");
    trend.coverage = (struct coverage){0};
    expect(&trend, &(struct chart_options){.width = 80},
           "coverage: nothing was recorded in this span\n");
}

static void labels_say_what_was_summed(void **unused)
{
    static const struct {
        struct trend_series series;
        const char *label;
    } cases[] = {
        {{.port = -2}, "all sockets\n"},
        {{.port = -2, .state = STATE_LISTEN}, "LISTEN\n"},
        {{.port = -2, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT}, "tcp client\n"},
        {{.port = SERVICE_PORT_OTHER, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT},
         "tcp other ports client\n"},
        {{.port = 0, .protocol = PROTOCOL_UDP, .role = ROLE_CLIENT}, "udp unconnected client\n"},
        {{.port = 443, .protocol = PROTOCOL_TCP, .peer = "192.0.2.7"}, "tcp 443 peer 192.0.2.7\n"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trend_series series = cases[i].series;
        struct trend trend = trend_of(&series, 1, 1);
        struct capture capture;

        print(&capture, &trend, &(struct chart_options){.width = 80});
        assert_memory_equal(capture_text(&capture), cases[i].label, strlen(cases[i].label));
        capture_finish(&capture);
    }
}

static void rates_are_told_in_a_fitting_unit(void **unused)
{
    static const struct {
        enum trend_direction direction;
        double per_hour;
        const char *words;
    } cases[] = {
        {TREND_GROWING, 0.5, "growing by 0.5 an hour\n"},
        {TREND_GROWING, 0.01, "growing\n"},
        {TREND_SHRINKING, -599, "shrinking by 599 an hour\n"},
        {TREND_SHRINKING, -6000, "shrinking by 100 a minute\n"},
        {TREND_GROWING, 660, "growing by 11 a minute\n"},
        {TREND_GROWING, INFINITY, "growing\n"},
        {TREND_SHRINKING, NAN, "shrinking\n"},
        {TREND_GROWING, 1e300, "growing by 1.7e+298 a minute\n"},
        {TREND_UNCLEAR, 5, "trend unclear\n"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct trend_point points[] = {SEEN(1)};
        struct trend_series series = {.points = POINTS(points),
                                      .max = 1,
                                      .now = 1,
                                      .direction = cases[i].direction,
                                      .per_hour = cases[i].per_hour};
        struct trend trend = trend_of(&series, 1, 1);
        struct capture capture;

        print(&capture, &trend, &(struct chart_options){.width = 80});
        assert_non_null(strstr(capture_text(&capture), cases[i].words));
        capture_finish(&capture);
    }
}

static void what_is_at_0_is_neither_growing_nor_shrinking(void **unused)
{
    struct trend_point points[] = {SEEN(1), SEEN(0)};
    struct trend_series series = {.points = POINTS(points), .max = 1, .per_hour = -60};
    struct trend trend = trend_of(&series, 1, 2);

    (void)unused;
    for (unsigned i = 0; i < 2; i++) {
        struct capture capture;

        series.direction = i ? TREND_SHRINKING : TREND_UNCLEAR;
        print(&capture, &trend, &(struct chart_options){.width = 80});
        assert_non_null(strstr(capture_text(&capture), "now 0\n"));
        capture_finish(&capture);
    }
}

static void buckets_that_do_not_fit_show_their_groups_maximum(void **unused)
{
    struct trend_point points[100] = {0};
    struct trend_series series = {
        .port = 80, .points = POINTS(points), .max = 7, .now = 1, .direction = TREND_STEADY};
    struct trend trend = trend_of(&series, 1, 100);
    struct capture capture;

    (void)unused;
    points[0] = (struct trend_point)SEEN(1);
    points[1] = (struct trend_point)SEEN(7);
    points[4] = (struct trend_point)SEEN(0);
    points[99] = (struct trend_point)SEEN(4);
    print(&capture, &trend, &(struct chart_options){.width = 40});
    /* 100 buckets in 38 columns: three in one */
    assert_non_null(strstr(capture_text(&capture), "\n  █▁·······························▅\n"));
    assert_non_null(strstr(capture_text(&capture), "one column: 3h00m"));
    capture_finish(&capture);
}

static void states_have_colours(void **unused)
{
    struct trend_point points[] = {SEEN(1)};
    struct trend_series series = {
        .port = -2, .state = STATE_CLOSE_WAIT, .points = POINTS(points), .max = 1, .now = 1};
    struct trend trend = trend_of(&series, 1, 1);
    struct capture capture;

    (void)unused;
    print(&capture, &trend, &(struct chart_options){.width = 80, .color = true});
    assert_non_null(
        strstr(capture_text(&capture), "\033[1mCLOSE_WAIT\033[0m\n  \033[31m█\033[0m\n"));
    capture_finish(&capture);
}

static void a_hostile_name_is_neutralised_and_cut(void **unused)
{
    struct trend_point points[] = {SEEN(1)};
    struct trend_series series = {.protocol = PROTOCOL_TCP,
                                  .port = 80,
                                  .state = STATE_LISTEN,
                                  .points = POINTS(points),
                                  .max = 1};
    struct trend trend = trend_of(&series, 1, 1);
    char name[4097];
    struct capture capture;

    (void)unused;
    memset(name, '\033', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    print(&capture, &trend,
          &(struct chart_options){.width = 60, .name_of_port = name_given, .name_arg = name});
    assert_memory_equal(capture_text(&capture), "tcp 80 \\x1b\\x1b\\x1b\\x1b… LISTEN\n",
                        strlen("tcp 80 \\x1b\\x1b\\x1b\\x1b… LISTEN\n"));
    assert_null(strchr(capture.text, '\033'));
    capture_finish(&capture);
}

/* Columns of the widest line: every character that is not a continuation byte. */
static size_t widest_line(const char *text)
{
    size_t widest = 0, used = 0;

    for (; *text; text++) {
        if (*text == '\n')
            used = 0;
        else if (((unsigned char)*text & 0xc0) != 0x80)
            used++;
        if (used > widest)
            widest = used;
    }
    return widest;
}

static void no_line_is_wider_than_asked(void **unused)
{
    struct trend_point points[500];
    struct gap gaps[7];
    struct trend_series series = {.protocol = PROTOCOL_TCP,
                                  .role = ROLE_SERVER,
                                  .state = STATE_ESTABLISHED,
                                  .port = 65535,
                                  .peer = "2001:db8:1234:5678:9abc:def0:1234:5678",
                                  .points = POINTS(points),
                                  .max = INT64_MAX,
                                  .max_at_ms = T0,
                                  .now = INT64_MAX,
                                  .per_hour = -1e300,
                                  .direction = TREND_SHRINKING};
    struct trend trend = trend_of(&series, 1, 500);
    char name[200];

    (void)unused;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < 500; i++)
        points[i] = (struct trend_point){.recorded = true, .max = INT64_MAX};
    for (size_t i = 0; i < 7; i++)
        gaps[i] = (struct gap){.from_ms = T0,
                               .until_ms = T0 + HOUR,
                               .reason = "a reason that goes on for quite some time"};
    trend.series_hidden = SIZE_MAX;
    trend.coverage = (struct coverage){.planned = INT64_MAX,
                                       .done = INT64_MAX - 1,
                                       .missed = 1,
                                       .events_lost = INT64_MAX,
                                       .gaps = {.items = gaps, .n = 7}};
    for (int width = 1; width < 200; width++) {
        size_t limit = width < 40 ? 40 : (size_t)width;
        struct capture capture;

        print(
            &capture, &trend,
            &(struct chart_options){.width = width, .name_of_port = name_given, .name_arg = name});
        assert_in_range(widest_line(capture_text(&capture)), 38, limit);
        assert_non_null(strstr(capture.text, "and 2 more"));
        capture_finish(&capture);
    }
}

/* The first line of a chart of one series. */
static void expect_title(const struct trend_series *series, unsigned by, const char *wanted)
{
    struct trend_series one = *series;
    struct trend trend = trend_of(&one, 1, 0);
    struct chart_options options = {.ascii = true, .by = by, .width = 60};
    struct capture capture;
    const char *text;

    print(&capture, &trend, &options);
    text = capture_text(&capture);
    if (strncmp(text, wanted, strlen(wanted)) != 0)
        fail_msg("%s", text);
    capture_finish(&capture);
}

static void an_owner_is_named_as_far_as_it_is_known(void **state)
{
    struct trend_series series = {.port = -2,
                                  .state = STATE_CLOSE_WAIT,
                                  .process = "php-fpm",
                                  .exe = "/usr/sbin/php-fpm8.2",
                                  .pid = 812,
                                  .unit = "",
                                  .uid = 33};

    (void)state;
    expect_title(&series, TREND_BY_PROCESS,
                 "CLOSE_WAIT process php-fpm of /usr/sbin/php-fpm8.2 pid 812\n");
    expect_title(&series, TREND_BY_UNIT | TREND_BY_UID | TREND_BY_NETNS,
                 "CLOSE_WAIT netns (own) pid 812 unit (none) uid 33\n");
    expect_title(&series, 0, "CLOSE_WAIT\n");
    series.process = series.exe = series.unit = NULL;
    series.pid = 0;
    series.uid = -1;
    expect_title(&series, TREND_BY_PROCESS | TREND_BY_UNIT | TREND_BY_UID,
                 "CLOSE_WAIT process (unknown) unit (unknown) uid (unknown)\n");
    series.process = "(unknown)";
    expect_title(&series, TREND_BY_PROCESS, "CLOSE_WAIT process \"(unknown)\"\n");
    series.process = "(kernel)";
    series.kernel = true;
    expect_title(&series, TREND_BY_PROCESS, "CLOSE_WAIT process (kernel)\n");
    series.kernel = false;
    series.process = "\033[31mred\n";
    expect_title(&series, TREND_BY_PROCESS, "CLOSE_WAIT process \\x1b[31mred\\x0a\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_a_line_of_blocks_with_its_facts),
        cmocka_unit_test(what_is_past_is_not_told_as_of_now),
        cmocka_unit_test(ascii_stays_ascii),
        cmocka_unit_test(none_and_not_recorded_look_different),
        cmocka_unit_test(without_series_the_coverage_tells_why),
        cmocka_unit_test(labels_say_what_was_summed),
        cmocka_unit_test(rates_are_told_in_a_fitting_unit),
        cmocka_unit_test(what_is_at_0_is_neither_growing_nor_shrinking),
        cmocka_unit_test(buckets_that_do_not_fit_show_their_groups_maximum),
        cmocka_unit_test(states_have_colours),
        cmocka_unit_test(a_hostile_name_is_neutralised_and_cut),
        cmocka_unit_test(no_line_is_wider_than_asked),
        cmocka_unit_test(an_owner_is_named_as_far_as_it_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
