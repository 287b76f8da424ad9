/* SPDX-License-Identifier: MIT */
/* What is read from which tier, and how much that is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/report/rate.h"
#include "connhist/report/trend.h"
#include "connhist/store/upkeep.h"
#include "record_file.h"
#include "tiers.h"

#define MIN  INT64_C(60000)
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)
#define D0   (INT64_C(20415) * DAY) /* the begin of a day */

/* "h 0-24 m 1440-1500": tiers by their first letter, and begin and end in minutes since D0. */
static void check_pieces(const struct grid *grid, int64_t from_ms, int64_t end_ms,
                         const char *expected)
{
    struct pieces pieces = {0};
    char text[512] = "";

    assert_int_equal(grid_cut(grid, from_ms, end_ms, &pieces), 0);
    for (size_t i = 0; i < pieces.n; i++) {
        const struct piece *piece = &pieces.items[i];
        size_t used = strlen(text);

        snprintf(text + used, sizeof(text) - used, "%s%c %g-%g", i ? " " : "",
                 tier_name(piece->tier)[0], (double)(piece->from_ms - D0) / (double)MIN,
                 (double)(piece->end_ms - D0) / (double)MIN);
    }
    vec_finish(&pieces);
    assert_string_equal(text, expected);
}

/* All is there, and added up until the third day. */
static const struct kept all_kept = {
    .until_ms = {INT64_MAX, INT64_MAX, D0 + 2 * DAY + 90 * MIN, D0 + 2 * DAY + HOUR, D0 + 2 * DAY}};

static void whole_periods_are_read_and_finer_ones_at_the_edges(void **state)
{
    struct walltime walltime = {0};
    struct grid grid = {
        .walltime = &walltime, .kept = &all_kept, .finest = TIER_TICKS, .coarsest = TIER_DAYS};

    (void)state;
    check_pieces(&grid, D0, D0 + 2 * DAY, "d 0-2880");
    check_pieces(&grid, D0 - HOUR, D0 + DAY + HOUR, "h -60-0 d 0-1440 h 1440-1500");
    check_pieces(&grid, D0 + 90 * MIN + 500, D0 + 4 * HOUR + MIN + 30000,
                 "t 90.0083-91 m 91-120 h 120-240 m 240-241 t 241-241.5");
    /* what is not added up yet */
    check_pieces(&grid, D0 + 2 * DAY, D0 + 3 * DAY, "h 2880-2940 m 2940-2970 t 2970-4320");
    check_pieces(&grid, D0 + 3 * DAY, D0 + 3 * DAY, "");
}

static void a_period_lies_in_one_bucket(void **state)
{
    struct walltime walltime = {0};
    struct grid grid = {.walltime = &walltime,
                        .kept = &all_kept,
                        .finest = TIER_TICKS,
                        .coarsest = TIER_DAYS,
                        .since_ms = D0,
                        .until_ms = D0 + DAY,
                        .step_ms = 90 * MIN};

    (void)state;
    check_pieces(&grid, D0, D0 + 3 * HOUR, "h 0-60 m 60-120 h 120-180");
    grid.step_ms = 30000;
    check_pieces(&grid, D0, D0 + 2 * MIN, "t 0-2");
    grid.step_ms = 2 * MIN + 30000; /* the third minute lies in two */
    check_pieces(&grid, D0, D0 + 5 * MIN, "m 0-2 t 2-3 m 3-5");
    grid.step_ms = 2 * DAY; /* it ends with the span */
    check_pieces(&grid, D0, D0 + DAY, "d 0-1440");
    grid.until_ms = D0 + DAY - 1;
    check_pieces(&grid, D0 + 22 * HOUR, D0 + DAY, "h 1320-1380 m 1380-1439 t 1439-1440");
}

static void a_clock_that_is_apart_by_no_period_takes_finer_ones(void **state)
{
    struct epoch epochs[] = {{.from_ms = D0 - DAY, .offset_ms = 30 * MIN},
                             {.from_ms = D0 + DAY, .offset_ms = HOUR + 57000},
                             {.from_ms = D0 + DAY + 3 * HOUR + 30 * MIN, .offset_ms = DAY}};
    struct walltime walltime = {.epochs = {.items = epochs, .n = 3}};
    struct grid grid = {
        .walltime = &walltime, .kept = &all_kept, .finest = TIER_TICKS, .coarsest = TIER_DAYS};

    (void)state;
    check_pieces(&grid, D0, D0 + 2 * HOUR, "m 0-120");
    /* hours within a minute of it, but no minutes; one in which it was set */
    check_pieces(&grid, D0 + DAY, D0 + DAY + 5 * HOUR,
                 "h 1440-1620 t 1620-1650 m 1650-1680 h 1680-1740");
    grid.any_shift = true;
    check_pieces(&grid, D0, D0 + 2 * HOUR, "h 0-120");
}

static void where_nothing_finer_is_kept_the_middle_of_a_period_decides(void **state)
{
    const struct kept kept = {
        .from_ms = {D0 + 20 * HOUR, D0 + 10 * HOUR, D0 + 5 * HOUR, D0 - DAY, 0},
        .until_ms = {INT64_MAX, INT64_MAX, D0 + DAY, D0 + DAY, D0 + DAY}};
    struct walltime walltime = {0};
    struct grid grid = {
        .walltime = &walltime, .kept = &kept, .finest = TIER_TICKS, .coarsest = TIER_DAYS};

    (void)state;
    check_pieces(&grid, D0 + 29 * MIN, D0 + 2 * HOUR + 31 * MIN, "h 0-180");
    check_pieces(&grid, D0 + 31 * MIN, D0 + 2 * HOUR + 29 * MIN, "h 60-120");
    check_pieces(&grid, D0 + 4 * HOUR + 45 * MIN, D0 + 6 * HOUR + 30 * MIN, "h 300-360 m 360-390");
    check_pieces(&grid, D0 - 2 * DAY, D0 - DAY + HOUR, "d -2880--1440 h -1440--1380");
    grid.coarsest = TIER_TICKS;
    check_pieces(&grid, D0 + 3 * HOUR, D0 + 11 * HOUR, "h 180-300 m 300-600 t 600-660");
    grid.finest = TIER_DETAIL;
    check_pieces(&grid, D0, D0 + 22 * HOUR, "t 1200-1320");
    grid.finest = TIER_MINUTES;
    check_pieces(&grid, D0 + 3 * HOUR, D0 + 2 * DAY, "h 180-300 m 300-2880");
    assert_int_equal(kept_finest(&kept, TIER_TICKS, D0 + 6 * HOUR), TIER_MINUTES);
    assert_int_equal(kept_finest(&kept, TIER_TICKS, D0), TIER_HOURS);
    assert_int_equal(kept_finest(&kept, TIER_TICKS, D0 - 3 * DAY), TIER_DAYS);
}

static void upkeep(struct record_file *file)
{
    struct err err = {0};
    int r;

    while ((r = store_upkeep(file->store, INT64_MAX, &err)) > 0)
        ;
    assert_int_equal(r, 0);
}

#define HALF_HOURS 48

/* At half an hour, so that an hour has counts of both boots. */
#define REBOOT (4 * HALF_HOURS + 9)

/* A snapshot every half an hour, of counts that change each time. */
static void write_days(struct record_file *file, int days, bool reboot)
{
    record_begin(file, 'a', D0 - 1000, 30 * MIN);
    for (int i = 0; i < days * HALF_HOURS; i++) {
        int64_t at_ms = D0 + i * 30 * MIN;
        struct rate_change rate = {
            .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
            .period_ms = at_ms,
            .opened = 2};

        if (reboot && i == REBOOT)
            record_begin(file, 'b', at_ms - 1000, 30 * MIN);
        record_snapshot(file, at_ms, i % 2 == 0 || (reboot && i == REBOOT));
        record_tally(file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_ESTABLISHED,
                     (uint32_t)(i % HALF_HOURS + 1));
        record_rate(file, &rate);
        record_write(file);
    }
    upkeep(file);
    record_read(file);
}

/* Steps of SQLite that an answer over so many days takes, in steps of a day. */
static int64_t steps_over(struct record_file *file, int days)
{
    struct trend_question counts = {.since_ms = D0,
                                    .until_ms = D0 + days * DAY - 1,
                                    .step_ms = DAY,
                                    .by = TREND_BY_PORT | TREND_BY_ROLE | TREND_BY_STATE};
    struct rate_question came = {
        .since_ms = D0, .until_ms = D0 + days * DAY, .step_ms = DAY, .measure = RATE_OPENED};
    struct trend trend = {0};
    struct rates rates = {0};
    struct err err = {0};
    int64_t before = db_vm_steps(file->db);

    assert_int_equal(trend_ask(file->db, &file->walltime, &counts, &trend, &err), 0);
    assert_int_equal(rate_ask(file->db, &file->walltime, &came, &rates, &err), 0);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].points.n, days);
    assert_int_equal(rates.series.n, 1);
    for (int i = 0; i < days; i++) {
        assert_int_equal(trend.series.items[0].points.items[i].min, 1);
        assert_int_equal(trend.series.items[0].points.items[i].max, HALF_HOURS);
        assert_false(trend.series.items[0].points.items[i].bounds);
        assert_int_equal(rates.series.items[0].points.items[i].opened, 2 * HALF_HOURS);
    }
    assert_int_equal(trend.coverage.done, days * HALF_HOURS);
    trend_finish(&trend);
    rates_finish(&rates);
    return db_vm_steps(file->db) - before;
}

static void a_long_time_costs_its_days_and_not_its_snapshots(void **state)
{
    struct record_file file;
    int64_t few, many;

    (void)state;
    record_file_init(&file);
    write_days(&file, 41, false);
    few = steps_over(&file, 10);
    many = steps_over(&file, 40);
    /* a row takes about ten steps, and a day has 5 rows: its counts, its rates twice, its snapshots
     * twice. Of its 48 snapshots with their counts and rates there would be 240 */
    assert_true(many - few < 30 * 5 * 30);
    record_file_finish(&file);
}

/* The port is then one of two services: each boot has a namespace of its own. */
static void a_reboot_costs_the_day_that_it_is_in(void **state)
{
    struct record_file file;
    int64_t few, many;

    (void)state;
    record_file_init(&file);
    write_days(&file, 41, true);
    few = steps_over(&file, 10);
    many = steps_over(&file, 40);
    /* as above, with a search for each service's rows of the longer time */
    assert_true(many - few < 30 * 5 * 30);
    record_file_finish(&file);
}

static void a_period_with_a_cut_is_read_from_finer_ones(void **state)
{
    const struct kept pruned = {.from_ms = {0, D0 + HOUR, D0, 0, 0},
                                .until_ms = {INT64_MAX, INT64_MAX, D0 + DAY, D0 + DAY, D0 + DAY}};
    int64_t cuts[] = {D0 + 30 * MIN + 1, D0 + 5 * HOUR};
    struct walltime walltime = {0};
    struct grid grid = {.walltime = &walltime,
                        .kept = &all_kept,
                        .cuts = cuts,
                        .n_cuts = 2,
                        .finest = TIER_TICKS,
                        .coarsest = TIER_DAYS};

    (void)state;
    check_pieces(&grid, D0, D0 + 2 * DAY, "m 0-30 t 30-31 m 31-60 h 60-1440 d 1440-2880");
    grid.kept = &pruned; /* no ticks there: each period is told once */
    check_pieces(&grid, D0, D0 + DAY, "m 0-60 h 60-1440");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_periods_are_read_and_finer_ones_at_the_edges),
        cmocka_unit_test(a_period_lies_in_one_bucket),
        cmocka_unit_test(a_clock_that_is_apart_by_no_period_takes_finer_ones),
        cmocka_unit_test(where_nothing_finer_is_kept_the_middle_of_a_period_decides),
        cmocka_unit_test(a_long_time_costs_its_days_and_not_its_snapshots),
        cmocka_unit_test(a_reboot_costs_the_day_that_it_is_in),
        cmocka_unit_test(a_period_with_a_cut_is_read_from_finer_ones),
    };

    return cmocka_run_group_tests_name("tiers", tests, NULL, NULL);
}
