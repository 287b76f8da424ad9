/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/model/life.h"
#include "connhist/report/rate.h"
#include "record_file.h"

#define MIN   INT64_C(60000)
#define BEGIN (1000 * MIN)

static struct rate_change rate_of(int32_t port, uint8_t role, int64_t period_ms)
{
    return (struct rate_change){
        .service = {.port = port, .protocol = PROTOCOL_TCP, .role = role},
        .period_ms = period_ms,
    };
}

/* Complete snapshots from from_ms to before until_ms, 10 s apart. */
static void take_snapshots(struct record_file *file, int64_t from_ms, int64_t until_ms)
{
    for (int64_t at_ms = from_ms; at_ms < until_ms; at_ms += 10000) {
        record_snapshot(file, at_ms, at_ms == from_ms);
        record_write(file);
    }
}

static struct rates ask(struct record_file *file, const struct rate_question *question)
{
    struct rates rates = {0};
    struct err err = {0};
    int r = rate_ask(file->db, &file->walltime, question, &rates, &err);

    if (r < 0)
        fail_msg("%d: %s", r, err.text);
    return rates;
}

static int refusal(struct record_file *file, const struct rate_question *question)
{
    struct rates rates = {0};
    struct err err = {0};
    int r = rate_ask(file->db, &file->walltime, question, &rates, &err);

    assert_true(r < 0);
    assert_true(err.text[0]);
    return r;
}

/* Everything that was recorded by hand, to be added up the slow way. */
struct truth {
    struct rate_change rates[600];
    uint64_t durations[600][8]; /* the values themselves */
    size_t n_durations[600];
    size_t n;
};

static void make_truth(struct record_file *file, struct truth *truth)
{
    static const int32_t ports[] = {80, 443, SERVICE_PORT_OTHER};

    srandom(5);
    for (truth->n = 0; truth->n < 600; truth->n++) {
        struct rate_change *rate = &truth->rates[truth->n];

        *rate = rate_of(ports[random() % 3], random() % 2 ? ROLE_SERVER : ROLE_CLIENT,
                        BEGIN + random() % 40 * MIN);
        rate->opened = (uint64_t)(random() % 5);
        for (int i = 0; i < 5; i++)
            rate->closed[i] = (uint64_t)(random() % 3);
        rate->sent_bytes = (uint64_t)random() % 100000;
        rate->received_bytes = (uint64_t)random() % 100000;
        truth->n_durations[truth->n] = (size_t)random() % 8;
        for (size_t i = 0; i < truth->n_durations[truth->n]; i++) {
            uint64_t value = (uint64_t)random() >> (random() % 31 + 1);

            truth->durations[truth->n][i] = value;
            rate->duration_ms.counts[histogram_bucket(value)]++;
            rate->rtt_us.counts[histogram_bucket(value)]++;
        }
        record_rate(file, rate);
        if (truth->n % 100 == 99)
            record_write(file);
    }
}

static int compare_values(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static int64_t bound_of(const uint64_t *values, size_t n, unsigned percent)
{
    size_t index = (n * percent + 99) / 100;
    uint64_t bound = 0;

    while (bound < values[index ? index - 1 : 0])
        bound = bound * 2 + 1;
    return (int64_t)bound;
}

static bool belongs(const struct rate_change *rate, const struct rate_series *series,
                    const struct rate_point *point, int64_t step_ms)
{
    return rate->period_ms >= point->at_ms && rate->period_ms < point->at_ms + step_ms &&
           (series->port == -2 || series->port == rate->service.port) &&
           (series->role == 0 || series->role == rate->service.role);
}

static void check_point(const struct truth *truth, enum rate_measure measure,
                        const struct rate_series *series, const struct rate_point *point,
                        int64_t step_ms)
{
    static uint64_t values[600 * 8];
    struct rate_point sum = {0};
    size_t n = 0;

    for (size_t i = 0; i < truth->n; i++) {
        const struct rate_change *rate = &truth->rates[i];

        if (!belongs(rate, series, point, step_ms))
            continue;
        sum.opened += rate->opened;
        for (int by = 0; by < 5; by++)
            sum.closed[by] += rate->closed[by];
        sum.sent_bytes += rate->sent_bytes;
        sum.received_bytes += rate->received_bytes;
        for (size_t j = 0; j < truth->n_durations[i]; j++)
            values[n++] = truth->durations[i][j];
    }
    assert_true(point->recorded);
    if (measure == RATE_OPENED)
        assert_int_equal(point->opened, sum.opened);
    if (measure == RATE_CLOSED)
        assert_memory_equal(point->closed, sum.closed, sizeof(sum.closed));
    if (measure == RATE_BYTES) {
        assert_int_equal(point->sent_bytes, sum.sent_bytes);
        assert_int_equal(point->received_bytes, sum.received_bytes);
    }
    if (measure != RATE_DURATION && measure != RATE_RTT)
        return;
    assert_int_equal(point->n, n);
    if (n == 0)
        return;
    qsort(values, n, sizeof(*values), compare_values);
    assert_int_equal(point->p50, bound_of(values, n, 50));
    assert_int_equal(point->p90, bound_of(values, n, 90));
    assert_int_equal(point->p99, bound_of(values, n, 99));
}

static void every_answer_is_what_adding_up_by_hand_gives(void **state)
{
    static const unsigned bys[] = {0, TREND_BY_PORT, TREND_BY_ROLE, TREND_BY_PORT | TREND_BY_ROLE};
    static const size_t series_by[] = {1, 3, 2, 6};
    static const int64_t steps[] = {MIN, 3 * MIN, 7 * MIN, 40 * MIN};
    static struct truth truth;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN - 1000, 10000);
    take_snapshots(&file, BEGIN, BEGIN + 41 * MIN);
    make_truth(&file, &truth);
    record_read(&file);
    for (int measure = RATE_OPENED; measure <= RATE_RTT; measure++)
        for (size_t by = 0; by < 4; by++)
            for (size_t step = 0; step < 4; step++) {
                struct rate_question question = {.since_ms = BEGIN,
                                                 .until_ms = BEGIN + 40 * MIN,
                                                 .step_ms = steps[step],
                                                 .by = bys[by],
                                                 .measure = measure};
                struct rates rates = ask(&file, &question);

                assert_int_equal(rates.series.n, series_by[by]);
                for (size_t i = 0; i < rates.series.n; i++) {
                    const struct rate_series *series = &rates.series.items[i];

                    assert_int_equal(series->points.n, (40 * MIN - 1) / steps[step] + 1);
                    for (size_t j = 0; j < series->points.n; j++)
                        check_point(&truth, measure, series, &series->points.items[j], steps[step]);
                }
                rates_finish(&rates);
            }
    record_file_finish(&file);
}

/* Recorded from minute 0 to 3 and from minute 6 on; each minute of it one socket began. */
static void record_with_gap(struct record_file *file)
{
    record_file_init(file);
    record_begin(file, 'a', BEGIN, 10000);
    take_snapshots(file, BEGIN, BEGIN + 3 * MIN);
    record_end(file, BEGIN + 3 * MIN);
    record_begin(file, 'a', BEGIN + 6 * MIN, 10000);
    take_snapshots(file, BEGIN + 6 * MIN, BEGIN + 9 * MIN);
    for (int i = 0; i < 9; i++) {
        struct rate_change rate = rate_of(80, ROLE_SERVER, BEGIN + i * MIN);

        rate.opened = i == 1 || i == 6 ? 30 : 0;
        if (i < 3 || i >= 6)
            record_rate(file, &rate);
    }
    record_write(file);
    record_end(file, BEGIN + 9 * MIN);
    record_read(file);
}

static void what_was_not_recorded_is_no_zero(void **state)
{
    struct rate_question question = {.since_ms = BEGIN,
                                     .until_ms = BEGIN + 9 * MIN,
                                     .step_ms = MIN,
                                     .by = TREND_BY_PORT,
                                     .measure = RATE_OPENED};
    struct record_file file;
    struct rates rates;
    const struct rate_point *points;

    (void)state;
    record_with_gap(&file);
    rates = ask(&file, &question);
    assert_int_equal(rates.series.n, 1);
    assert_int_equal(rates.coverage.gaps.n, 1);
    points = rates.series.items[0].points.items;
    for (int i = 0; i < 9; i++) {
        assert_int_equal(points[i].recorded, i < 3 || i >= 6);
        assert_int_equal(points[i].opened, i == 1 || i == 6 ? 30 : 0);
    }
    assert_true(fabs(rate_per_second(&points[1], points[1].opened) - 0.5) < 1e-9);
    rates_finish(&rates);
    record_file_finish(&file);
}

static void a_rate_is_of_the_time_that_was_recorded(void **state)
{
    struct rate_question question = {
        .since_ms = BEGIN, .until_ms = BEGIN + 9 * MIN, .step_ms = 9 * MIN, .measure = RATE_OPENED};
    struct record_file file;
    struct rates rates;
    const struct rate_point *point;

    (void)state;
    record_with_gap(&file);
    rates = ask(&file, &question);
    point = &rates.series.items[0].points.items[0];
    /* the gap is from the last snapshot, 10 s before the end, to the first one after */
    assert_int_equal(point->covered_ms, 6 * MIN - 10000);
    assert_true(fabs(rate_per_second(point, point->opened) - 60 / 350.0) < 1e-9);
    rates_finish(&rates);
    record_file_finish(&file);
}

static void minutes_are_whole_and_told_by_the_wall_clock(void **state)
{
    struct rate_question question = {.since_ms = BEGIN + 60 * MIN + 1,
                                     .until_ms = BEGIN + 62 * MIN,
                                     .step_ms = 1,
                                     .measure = RATE_OPENED};
    struct record_file file;
    struct rates rates;
    struct rate_change rate = rate_of(80, ROLE_SERVER, BEGIN);

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    record_epoch(&file, BEGIN, 60 * MIN);
    rate.opened = 1;
    record_rate(&file, &rate);
    rate.period_ms = BEGIN + MIN;
    rate.opened = 2;
    record_rate(&file, &rate);
    rate.period_ms = BEGIN + 2 * MIN;
    rate.opened = 4;
    record_rate(&file, &rate);
    take_snapshots(&file, BEGIN, BEGIN + 3 * MIN);
    record_read(&file);
    rates = ask(&file, &question);
    assert_int_equal(rates.step_ms, MIN);
    assert_int_equal(rates.series.items[0].points.n, 2);
    assert_int_equal(rates.series.items[0].points.items[0].at_ms, BEGIN + 60 * MIN);
    assert_int_equal(rates.series.items[0].points.items[0].opened, 1);
    assert_int_equal(rates.series.items[0].points.items[1].opened, 2);
    rates_finish(&rates);
    record_file_finish(&file);
}

static void only_the_highest_totals_are_shown_and_filters_hold(void **state)
{
    struct rate_question question = {.since_ms = BEGIN,
                                     .until_ms = BEGIN + 2 * MIN,
                                     .step_ms = MIN,
                                     .by = TREND_BY_PORT | TREND_BY_ROLE,
                                     .top = 2,
                                     .measure = RATE_CLOSED};
    struct record_file file;
    struct rates rates;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    for (int i = 1; i <= 4; i++) {
        struct rate_change rate = rate_of(i, ROLE_CLIENT, BEGIN + i % 2 * MIN);

        rate.closed[CLOSED_BY_RESET] = (uint64_t)i;
        rate.opened = i == 4;
        record_rate(&file, &rate);
    }
    take_snapshots(&file, BEGIN, BEGIN + 2 * MIN);
    record_read(&file);
    rates = ask(&file, &question);
    assert_int_equal(rates.series.n, 2);
    assert_int_equal(rates.series_hidden, 2);
    assert_int_equal(rates.series.items[0].port, 4);
    assert_int_equal(rates.series.items[1].port, 3);
    assert_int_equal(rate_closed(&rates.series.items[1].points.items[1]), 3);
    rates_finish(&rates);
    question.filter.ports[0] = (struct port_choice){2, 3};
    question.filter.n_ports = 1;
    question.top = 0;
    rates = ask(&file, &question);
    assert_int_equal(rates.series.n, 2);
    assert_int_equal(rates.series.items[0].port, 2);
    rates_finish(&rates);
    /* nothing to tell of round trips */
    question.measure = RATE_RTT;
    rates = ask(&file, &question);
    assert_int_equal(rates.series.n, 0);
    rates_finish(&rates);
    record_file_finish(&file);
}

static void impossible_questions_are_refused(void **state)
{
    struct rate_question question = {.measure = RATE_OPENED};
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', BEGIN, 10000);
    take_snapshots(&file, BEGIN, BEGIN + MIN);
    record_read(&file);
    question.since_ms = question.until_ms = BEGIN;
    assert_int_equal(refusal(&file, &question), -EINVAL);
    question.until_ms = INT64_MAX;
    question.since_ms = INT64_MIN;
    assert_int_equal(refusal(&file, &question), -EINVAL);
    question.since_ms = 0;
    question.until_ms = 100001 * MIN;
    question.step_ms = MIN;
    assert_int_equal(refusal(&file, &question), -EINVAL);
    question.step_ms = INT64_MAX;
    assert_int_equal(refusal(&file, &question), -EINVAL);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_is_what_adding_up_by_hand_gives),
        cmocka_unit_test(what_was_not_recorded_is_no_zero),
        cmocka_unit_test(a_rate_is_of_the_time_that_was_recorded),
        cmocka_unit_test(minutes_are_whole_and_told_by_the_wall_clock),
        cmocka_unit_test(only_the_highest_totals_are_shown_and_filters_hold),
        cmocka_unit_test(impossible_questions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
