/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/model/history.h"
#include "connhist/report/trend.h"
#include "record_file.h"

#define TCP    PROTOCOL_TCP
#define SERVER ROLE_SERVER
#define CLIENT ROLE_CLIENT

static void write_snapshot(struct record_file *file, int64_t at_ms, bool anchor)
{
    record_snapshot(file, at_ms, anchor);
    record_write(file);
}

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

static void counts_hold_until_the_next_row(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 10000,
                                      .until_ms = 50000,
                                      .step_ms = 20000,
                                      .by = TREND_BY_PORT | TREND_BY_STATE};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    record_tally(&file, TCP, SERVER, 80, STATE_TIME_WAIT, 5);
    record_write(&file);
    write_snapshot(&file, 20000, false);
    record_snapshot(&file, 30000, false);
    record_tally(&file, TCP, SERVER, 80, STATE_TIME_WAIT, 9);
    record_write(&file);
    write_snapshot(&file, 40000, false);
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].port, 80);
    assert_int_equal(trend.series.items[0].state, STATE_TIME_WAIT);
    assert_int_equal(trend.series.items[0].role, 0);
    assert_int_equal(trend.series.items[0].points.n, 2);
    check_point(&trend.series.items[0].points.items[0], 10000, 5, 5, 5, 5);
    check_point(&trend.series.items[0].points.items[1], 30000, 9, 9, 9, 9);
    assert_int_equal(trend.series.items[0].max, 9);
    assert_int_equal(trend.series.items[0].max_at_ms, 30000);
    assert_int_equal(trend.series.items[0].now, 9);
    assert_int_equal(trend.coverage.done, 4);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void an_anchor_zeroes_what_it_leaves_out(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 20000, .until_ms = 50000, .step_ms = 10000};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    record_tally(&file, TCP, SERVER, 80, STATE_TIME_WAIT, 5);
    record_tally(&file, TCP, SERVER, 81, STATE_TIME_WAIT, 2);
    record_write(&file);
    write_snapshot(&file, 20000, false);
    record_snapshot(&file, 30000, true);
    record_tally(&file, TCP, SERVER, 81, STATE_TIME_WAIT, 2);
    record_write(&file);
    write_snapshot(&file, 40000, false);
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].port, -2);
    check_point(&trend.series.items[0].points.items[0], 20000, 7, 7, 7, 7);
    check_point(&trend.series.items[0].points.items[1], 30000, 2, 2, 2, 2);
    check_point(&trend.series.items[0].points.items[2], 40000, 2, 2, 2, 2);
    trend_finish(&trend);

    /* a span that begins behind the anchor does not see what was before it */
    question.since_ms = 40000;
    question.by = TREND_BY_PORT;
    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].port, 81);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void a_gap_is_not_a_zero(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 10000, .until_ms = 70000, .step_ms = 10000};
    const struct trend_point *points;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    record_tally(&file, TCP, SERVER, 80, STATE_ESTABLISHED, 3);
    record_write(&file);
    record_interrupted(&file, 20000);
    record_loss(&file, LOSS_DUMP_FAILED, 20000, 20000, 1);
    record_write(&file);
    record_end(&file, 25000);
    record_begin(&file, 'a', 55000, 10000);
    record_snapshot(&file, 60000, true);
    record_write(&file);
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    points = trend.series.items[0].points.items;
    check_point(&points[0], 10000, 3, 3, 3, 3);
    for (size_t i = 1; i < 5; i++)
        assert_false(points[i].recorded);
    check_point(&points[5], 60000, 0, 0, 0, 0);
    assert_int_equal(trend.coverage.interrupted, 1);
    assert_int_equal(trend.coverage.gaps.n, 1);
    assert_int_equal(trend.coverage.gaps.items[0].from_ms, 10000);
    assert_int_equal(trend.coverage.gaps.items[0].until_ms, 60000);
    assert_string_equal(trend.coverage.gaps.items[0].reason, "recorder not running");
    trend_finish(&trend);
    record_file_finish(&file);
}

static void sums_are_taken_before_extremes(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 10000, .until_ms = 30000, .step_ms = 20000};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    record_tally(&file, TCP, SERVER, 80, STATE_ESTABLISHED, 10);
    record_tally(&file, TCP, SERVER, 81, STATE_ESTABLISHED, 1);
    record_write(&file);
    record_snapshot(&file, 20000, false);
    record_tally(&file, TCP, SERVER, 80, STATE_ESTABLISHED, 1);
    record_tally(&file, TCP, SERVER, 81, STATE_ESTABLISHED, 10);
    record_write(&file);
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    check_point(&trend.series.items[0].points.items[0], 10000, 11, 11, 11, 11);
    trend_finish(&trend);
    record_file_finish(&file);
}

/* n snapshots, one a second, with counts[i] */
static enum trend_direction direction_of(const uint32_t *counts, size_t n, double *per_hour)
{
    struct trend_question question = {.since_ms = 1000, .until_ms = (int64_t)n * 1000};
    enum trend_direction direction;
    struct record_file file;
    struct trend trend;

    record_file_init(&file);
    record_begin(&file, 'a', 500, 1000);
    for (size_t i = 0; i < n; i++) {
        record_snapshot(&file, (int64_t)(i + 1) * 1000, i == 0);
        record_tally(&file, TCP, SERVER, 80, STATE_TIME_WAIT, counts[i]);
        record_write(&file);
    }
    record_read(&file);
    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    direction = trend.series.items[0].direction;
    *per_hour = trend.series.items[0].per_hour;
    trend_finish(&trend);
    record_file_finish(&file);
    return direction;
}

static void the_direction_is_that_of_the_last_third(void **state)
{
    static const uint32_t grows[] = {9, 9, 9, 9, 9, 9, 10, 20, 30, 40};
    static const uint32_t shrinks[] = {0, 10, 20, 30, 40, 50, 60, 50, 40, 30};
    static const uint32_t steady[] = {0, 10, 20, 30, 40, 50, 100, 101, 99, 100};
    static const uint32_t few[] = {1, 2};
    double per_hour;

    (void)state;
    assert_int_equal(direction_of(grows, 10, &per_hour), TREND_GROWING);
    assert_true(per_hour > 35999 && per_hour < 36001);
    assert_int_equal(direction_of(shrinks, 10, &per_hour), TREND_SHRINKING);
    assert_true(per_hour > -36001 && per_hour < -35999);
    assert_int_equal(direction_of(steady, 10, &per_hour), TREND_STEADY);
    assert_int_equal(direction_of(few, 2, &per_hour), TREND_UNCLEAR);
}

static void top_keeps_the_highest_and_counts_the_rest(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {
        .since_ms = 1000, .until_ms = 2000, .by = TREND_BY_PORT, .top = 2};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 500, 1000);
    record_snapshot(&file, 1000, true);
    for (int32_t port = 1; port <= 5; port++)
        record_tally(&file, TCP, SERVER, port, STATE_ESTABLISHED, (uint32_t)port * 3 % 7 + 1);
    record_write(&file);
    record_read(&file);
    trend = ask(&file, &question); /* 4 7 3 6 2 */
    assert_int_equal(trend.series.n, 2);
    assert_int_equal(trend.series.items[0].port, 2);
    assert_int_equal(trend.series.items[1].port, 4);
    assert_int_equal(trend.series_hidden, 3);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void ports_may_hide_in_what_is_not_told_apart(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 1000, .until_ms = 3000};
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 500, 1000);
    record_snapshot(&file, 1000, true);
    record_tally(&file, TCP, CLIENT, SERVICE_PORT_OTHER, STATE_ESTABLISHED, 3);
    record_tally(&file, TCP, CLIENT, SERVICE_PORT_OTHER, STATE_TIME_WAIT, 4);
    record_write(&file);
    record_read(&file);
    trend = ask(&file, &question);
    assert_int_equal(trend.other_sockets, 0);
    trend_finish(&trend);
    assert_int_equal(filter_add_ports(&question.filter, "4711", NULL, &err), 0);
    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 0);
    assert_int_equal(trend.other_sockets, 7);
    trend_finish(&trend);
    assert_int_equal(filter_add_states(&question.filter, "TIME_WAIT", &err), 0);
    trend = ask(&file, &question);
    assert_int_equal(trend.other_sockets, 4);
    trend_finish(&trend);
    question.filter.role = SERVER;
    trend = ask(&file, &question);
    assert_int_equal(trend.other_sockets, 0);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void an_empty_file_gives_no_series_and_says_why(void **state)
{
    struct record_file file;
    struct trend trend;
    struct trend_question question = {.since_ms = 1000, .until_ms = 2000};
    struct trend_question backwards = {.since_ms = 2000, .until_ms = 1000};
    struct trend_question fine = {.since_ms = 0, .until_ms = 100001, .step_ms = 1};
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_read(&file);
    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 0);
    assert_int_equal(trend.coverage.gaps.n, 1);
    assert_string_equal(trend.coverage.gaps.items[0].reason, "nothing recorded yet");
    trend_finish(&trend);
    assert_int_equal(trend_ask(file.db, &file.walltime, &backwards, &trend, &err), -EINVAL);
    assert_int_equal(trend_ask(file.db, &file.walltime, &fine, &trend, &err), -EINVAL);
    record_file_finish(&file);
}

static void by_peer_counts_lives_at_snapshots(void **state)
{
    static const uint8_t established[] = {STATE_ESTABLISHED}, listens[] = {STATE_LISTEN};
    /* ESTABLISHED, 15 s later TIME_WAIT */
    static const uint8_t waits[] = {STATE_ESTABLISHED, 0x98, 0x75, STATE_TIME_WAIT};
    struct record_file file;
    struct trend trend;
    struct life life;
    struct trend_question question = {
        .since_ms = 10000, .until_ms = 40000, .step_ms = 10000, .by = TREND_BY_PEER};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    write_snapshot(&file, 10000, true);
    write_snapshot(&file, 20000, false);
    record_snapshot(&file, 30000, false);
    life = record_life(1, "127.0.0.1:80 10.0.0.1:1000", SERVER, waits, 4, 9500);
    life.ended_ms = 30000; /* not there any more in that snapshot */
    assert_int_equal(batch_add_life(file.batch, &file.batch->closed, &life), 0);
    life = record_life(2, "[::ffff:127.0.0.1]:80 [::ffff:10.0.0.1]:1001", SERVER, established, 1,
                       15000);
    assert_int_equal(batch_add_life(file.batch, &file.batch->opened, &life), 0);
    life = record_life(3, "[fe80::1]:80 [fe80::2]:1001", SERVER, established, 1, 25000);
    life.scope_ifindex = 3;
    assert_int_equal(batch_add_life(file.batch, &file.batch->opened, &life), 0);
    /* has no peer */
    life = record_life(5, "[::]:80 [::]:0", SERVER, listens, 1, 9500);
    assert_int_equal(batch_add_life(file.batch, &file.batch->opened, &life), 0);
    /* opened and closed between two snapshots */
    life = record_life(4, "127.0.0.1:80 10.0.0.9:1000", SERVER, established, 1, 11000);
    life.ended_ms = 12000;
    assert_int_equal(batch_add_life(file.batch, &file.batch->closed, &life), 0);
    record_write(&file);
    record_read(&file);

    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 2);
    assert_string_equal(trend.series.items[0].peer, "10.0.0.1");
    check_point(&trend.series.items[0].points.items[0], 10000, 1, 1, 1, 1);
    check_point(&trend.series.items[0].points.items[1], 20000, 2, 2, 2, 2);
    check_point(&trend.series.items[0].points.items[2], 30000, 1, 1, 1, 1);
    assert_string_equal(trend.series.items[1].peer, "fe80::2");
    check_point(&trend.series.items[1].points.items[0], 10000, 0, 0, 0, 0);
    check_point(&trend.series.items[1].points.items[2], 30000, 1, 1, 1, 1);
    trend_finish(&trend);

    /* with a filter for addresses lives are counted, too: TIME_WAIT began at 24.5 s, between
     * snapshots */
    question.by = TREND_BY_STATE;
    question.filter.has_peer = true;
    assert_int_equal(prefix_parse("10.0.0.0/24", &question.filter.peer), 0);
    trend = ask(&file, &question);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].state, STATE_ESTABLISHED);
    check_point(&trend.series.items[0].points.items[1], 20000, 2, 2, 2, 2);
    trend_finish(&trend);
    record_file_finish(&file);
}

#define SNAPSHOTS 120
#define PORTS     4

/* counts[snapshot][port][state]; -1 at port 0, state 0: interrupted */
typedef uint32_t counts_table[SNAPSHOTS][PORTS][STATE_COUNT];

static void make_counts(struct record_file *file, counts_table counts, bool *complete)
{
    uint32_t now[PORTS][STATE_COUNT] = {0};

    record_begin(file, 'a', 500, 1000);
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        bool anchor = i == 0 || rand() % 20 == 0;

        complete[i] = i == 0 || rand() % 10;
        if (!complete[i]) {
            record_interrupted(file, (int64_t)(i + 1) * 1000);
            record_write(file);
            continue;
        }
        record_snapshot(file, (int64_t)(i + 1) * 1000, anchor);
        for (size_t port = 0; port < PORTS; port++) {
            for (uint8_t state = 1; state < STATE_COUNT; state++) {
                uint32_t count = rand() % 3 ? now[port][state] : (uint32_t)(rand() % 6 / 2 * 5);

                if (anchor ? count != 0 : count != now[port][state])
                    record_tally(file, TCP, port % 2 ? ROLE_CLIENT : SERVER, (int32_t)port, state,
                                 count);
                now[port][state] = counts[i][port][state] = count;
            }
        }
        record_write(file);
    }
}

static void check_series(const struct trend *trend, const struct trend_series *series,
                         counts_table counts, const bool *complete)
{
    for (size_t b = 0; b < series->points.n; b++) {
        const struct trend_point *point = &series->points.items[b];
        int64_t min = INT64_MAX, max = -1, last = -1, sum = 0, n = 0;

        for (size_t i = 0; i < SNAPSHOTS; i++) {
            int64_t at_ms = (int64_t)(i + 1) * 1000, count = 0;

            if (!complete[i] || at_ms < point->at_ms || at_ms > trend->until_ms ||
                (at_ms >= point->at_ms + trend->step_ms && b + 1 < series->points.n))
                continue;
            for (size_t port = 0; port < PORTS; port++)
                for (size_t state = 1; state < STATE_COUNT; state++)
                    if ((series->port == -2 || (size_t)series->port == port) &&
                        (!series->role || (series->role == ROLE_CLIENT) == (port % 2)) &&
                        (!series->state || series->state == state))
                        count += counts[i][port][state];
            min = count < min ? count : min;
            max = count > max ? count : max;
            last = count;
            sum += count;
            n++;
        }
        assert_int_equal(point->recorded, n > 0);
        if (n > 0)
            check_point(point, trend->since_ms + (int64_t)b * trend->step_ms, min, max,
                        (double)sum / (double)n, last);
    }
}

/* No series lacks: together they are what comes without telling them apart. */
static void check_sum(struct record_file *file, struct trend_question question,
                      const struct trend *trend)
{
    struct trend whole;

    question.by = 0;
    whole = ask(file, &question);
    assert_int_equal(whole.series.n, trend->series.n > 0);
    for (size_t b = 0; whole.series.n && b < whole.series.items[0].points.n; b++) {
        int64_t sum = 0;

        for (size_t i = 0; i < trend->series.n; i++)
            sum += trend->series.items[i].points.items[b].last;
        assert_int_equal(sum, whole.series.items[0].points.items[b].last);
    }
    trend_finish(&whole);
}

static void random_tallies_equal_brute_force(void **state)
{
    static counts_table counts;
    bool complete[SNAPSHOTS];
    struct record_file file;

    (void)state;
    srand(20261122);
    record_file_init(&file);
    make_counts(&file, counts, complete);
    record_read(&file);
    for (int round = 0; round < 60; round++) {
        struct trend_question question = {
            .since_ms = 1 + rand() % 100000,
            .step_ms = 700 + rand() % 9000,
            .by = (unsigned)rand() % 8,
        };
        struct trend trend;

        question.until_ms = question.since_ms + 1 + rand() % 60000;
        trend = ask(&file, &question);
        for (size_t i = 0; i < trend.series.n; i++)
            check_series(&trend, &trend.series.items[i], counts, complete);
        check_sum(&file, question, &trend);
        trend_finish(&trend);
    }
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_hold_until_the_next_row),
        cmocka_unit_test(an_anchor_zeroes_what_it_leaves_out),
        cmocka_unit_test(a_gap_is_not_a_zero),
        cmocka_unit_test(sums_are_taken_before_extremes),
        cmocka_unit_test(the_direction_is_that_of_the_last_third),
        cmocka_unit_test(top_keeps_the_highest_and_counts_the_rest),
        cmocka_unit_test(ports_may_hide_in_what_is_not_told_apart),
        cmocka_unit_test(an_empty_file_gives_no_series_and_says_why),
        cmocka_unit_test(by_peer_counts_lives_at_snapshots),
        cmocka_unit_test(random_tallies_equal_brute_force),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
