/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/report/coverage.h"
#include "connhist/report/status.h"
#include "record_file.h"

static void snapshots(struct record_file *file, int64_t from_ms, int64_t until_ms, int64_t step_ms)
{
    for (int64_t at_ms = from_ms; at_ms <= until_ms; at_ms += step_ms) {
        record_snapshot(file, at_ms, at_ms == from_ms);
        record_write(file);
    }
}

static struct coverage load(struct record_file *file, int64_t from_ms, int64_t until_ms)
{
    struct coverage coverage = {0};
    struct err err = {0};
    int r = coverage_load(file->db, &file->walltime, from_ms, until_ms, &coverage, NULL, &err);

    if (r < 0)
        fail_msg("%d: %s", r, err.text);
    return coverage;
}

static void check_gap(const struct coverage *coverage, size_t i, int64_t from_ms, int64_t until_ms,
                      const char *reason)
{
    assert_true(i < coverage->gaps.n);
    assert_int_equal(coverage->gaps.items[i].from_ms, from_ms);
    assert_int_equal(coverage->gaps.items[i].until_ms, until_ms);
    assert_string_equal(coverage->gaps.items[i].reason, reason);
}

static void a_full_span_has_no_gaps(void **state)
{
    struct snapshot_times times = {0};
    struct coverage coverage = {0};
    struct record_file file;
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 60000, 10000);
    record_read(&file);
    assert_int_equal(coverage_load(file.db, &file.walltime, 15000, 60000, &coverage, &times, &err),
                     0);
    assert_int_equal(coverage.done, 4);
    assert_int_equal(coverage.planned, 4);
    assert_int_equal(coverage.gaps.n, 0);
    assert_int_equal(times.n, 4);
    assert_int_equal(times.items[0], 20000);
    assert_int_equal(times.items[3], 50000);
    vec_finish(&times);
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void before_and_behind_the_record_are_gaps(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 99000, 10000);
    snapshots(&file, 100000, 120000, 10000);
    record_end(&file, 121000);
    record_read(&file);
    coverage = load(&file, 50000, 200000);
    assert_int_equal(coverage.gaps.n, 2);
    check_gap(&coverage, 0, 50000, 100000, "nothing recorded yet");
    check_gap(&coverage, 1, 120000, 200000, "recorder not running");
    coverage_finish(&coverage);
    coverage = load(&file, 10000, 20000);
    check_gap(&coverage, 0, 10000, 20000, "nothing recorded yet");
    coverage_finish(&coverage);
    coverage = load(&file, 300000, 400000);
    check_gap(&coverage, 0, 300000, 400000, "recorder not running");
    assert_int_equal(coverage.planned, 0);
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void the_reason_tells_the_kind_of_stop(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    store_close(file.store); /* without a closing note */
    file.store = NULL;
    assert_int_equal(store_open(&(struct store_options){.path = file.path}, &file.store, NULL), 0);
    record_begin(&file, 'a', 99000, 10000);
    snapshots(&file, 100000, 110000, 10000);
    record_end(&file, 111000);
    record_begin(&file, 'b', 199000, 10000);
    snapshots(&file, 200000, 210000, 10000);
    record_read(&file);
    coverage = load(&file, 10000, 210001);
    assert_int_equal(coverage.gaps.n, 2);
    check_gap(&coverage, 0, 20000, 100000, "recorder died");
    check_gap(&coverage, 1, 110000, 200000, "recorder not running (host rebooted)");
    assert_int_equal(coverage.done, 6);
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void what_was_lost_is_counted_by_its_share(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    record_loss(&file, LOSS_TICKS_MISSED, 30000, 70000, 4);
    record_write(&file);
    snapshots(&file, 80000, 90000, 10000);
    record_interrupted(&file, 100000);
    record_loss(&file, LOSS_DUMP_FAILED, 100000, 100000, 1);
    record_write(&file);
    snapshots(&file, 110000, 110000, 10000);
    record_loss(&file, LOSS_QUEUE_FULL, 120000, 150000, 4);
    record_write(&file);
    snapshots(&file, 160000, 160000, 10000);
    record_read(&file);

    coverage = load(&file, 10000, 160001);
    assert_int_equal(coverage.done, 6);
    assert_int_equal(coverage.interrupted, 1);
    assert_int_equal(coverage.missed, 8);
    assert_int_equal(coverage.planned, 15);
    assert_int_equal(coverage.gaps.n, 3);
    check_gap(&coverage, 0, 20000, 80000, "4 ticks missed");
    check_gap(&coverage, 1, 90000, 110000, "dump failed");
    check_gap(&coverage, 2, 110000, 160000, "disk could not keep up");
    coverage_finish(&coverage);

    coverage = load(&file, 10000, 50000); /* half of 4 ticks */
    assert_int_equal(coverage.missed, 2);
    check_gap(&coverage, 0, 20000, 50000, "4 ticks missed");
    coverage_finish(&coverage);
    record_file_finish(&file);
}

/* A file that is read while its recorder runs: the next snapshot is late only after 1.5 intervals
 * and 5 s. */
static void a_running_recorder_has_until_its_next_snapshot(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    assert_int_equal(db_open(file.path, &file.db, NULL), 0);
    coverage = load(&file, 10000, 40000);
    assert_int_equal(coverage.gaps.n, 0);
    coverage_finish(&coverage);
    coverage = load(&file, 10000, 40001);
    assert_int_equal(coverage.gaps.n, 1);
    check_gap(&coverage, 0, 20000, 40001, "no snapshots");
    coverage_finish(&coverage);
    record_end(&file, 20500);
    store_close(file.store);
    file.store = NULL;
    coverage = load(&file, 10000, 40000);
    check_gap(&coverage, 0, 20000, 40000, "recorder not running");
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void gaps_are_told_in_wall_time(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    record_epoch(&file, 50000, 3600000);
    record_write(&file);
    snapshots(&file, 100000, 110000, 10000);
    record_read(&file);
    coverage = load(&file, 10000, 110000);
    assert_int_equal(coverage.gaps.n, 1);
    check_gap(&coverage, 0, 20000, 3700000, "no snapshots");
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void a_clock_set_forward_leaves_a_gap(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 30000, 10000);
    record_epoch(&file, 35000, 60000);
    record_write(&file);
    snapshots(&file, 40000, 50000, 10000);
    record_read(&file);
    coverage = load(&file, 10000, 50001);
    assert_int_equal(coverage.done, 5);
    assert_int_equal(coverage.gaps.n, 1);
    check_gap(&coverage, 0, 30000, 100000, "clock set forward");
    coverage_finish(&coverage);
    record_file_finish(&file);
}

static void status_is_that_of_the_latest_run(void **state)
{
    static const uint8_t listen[] = {STATE_LISTEN};
    struct status status = {0};
    struct record_file file;
    struct err err = {0};
    struct life life = record_life(1, "0.0.0.0:80 0.0.0.0:0", ROLE_SERVER, listen, 1, 100000);

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    record_end(&file, 21000);
    record_begin(&file, 'a', 99000, 5000);
    record_snapshot(&file, 100000, true);
    assert_int_equal(batch_add_life(file.batch, &file.batch->opened, &life), 0);
    life.number = 2;
    life.ended_ms = 101000;
    assert_int_equal(batch_add_life(file.batch, &file.batch->closed, &life), 0);
    file.batch->snapshot.sockets = 1;
    file.batch->cost.cpu_ms = 20;
    record_write(&file);
    record_end(&file, 101000);
    record_read(&file);
    assert_int_equal(status_ask(file.db, &file.walltime, 120000, &status, &err), 0);
    assert_int_equal(status.recorder_pid, 0);
    assert_int_equal(status.recordings, 2);
    assert_int_equal(status.started_ms, 99000);
    assert_int_equal(status.ended_ms, 101000);
    assert_int_equal(status.interval_ms, 5000);
    assert_string_equal(status.detail, "on");
    assert_int_equal(status.first_snapshot_ms, 10000);
    assert_int_equal(status.last_snapshot_ms, 100000);
    assert_int_equal(status.last_sockets, 1);
    assert_int_equal(status.open_lives, 1);
    assert_int_equal(status.closed_lives, 1);
    assert_true(status.closed_exact);
    assert_true(status.cpu_share < 0); /* 2 s: what starting costs is no share of a core */
    assert_true(status.file_bytes > 0);
    assert_int_equal(status.coverage_from_ms, 10000);
    assert_int_equal(status.coverage_until_ms, 120000);
    assert_int_equal(status.coverage.done, 3);
    status_finish(&status);
    record_file_finish(&file);
}

static void the_share_of_a_core_is_told_of_runs_that_lasted(void **state)
{
    static const struct {
        int64_t interval_ms, ended_ms;
        double share; /* below 0: too short */
    } runs[] = {{5000, 18999, -1}, {5000, 19000, 0.01}, {30000, 38999, -1}, {30000, 39000, 0.0033}};

    (void)state;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        struct status status = {0};
        struct record_file file;
        struct err err = {0};

        record_file_init(&file);
        record_begin(&file, 'a', 9000, runs[i].interval_ms);
        record_snapshot(&file, 10000, true);
        file.batch->cost.cpu_ms = 100;
        record_write(&file);
        record_end(&file, runs[i].ended_ms);
        record_read(&file);
        assert_int_equal(status_ask(file.db, &file.walltime, 120000, &status, &err), 0);
        assert_true(runs[i].share < 0 ? status.cpu_share < 0
                                      : status.cpu_share > runs[i].share * 0.99 &&
                                            status.cpu_share < runs[i].share * 1.02);
        status_finish(&status);
        record_file_finish(&file);
    }
}

static void status_of_an_empty_file_knows_nothing(void **state)
{
    struct status status = {0};
    struct record_file file;
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_read(&file);
    assert_int_equal(status_ask(file.db, &file.walltime, 120000, &status, &err), 0);
    assert_int_equal(status.recordings, 0);
    assert_int_equal(status.started_ms, TIME_UNKNOWN);
    assert_int_equal(status.last_snapshot_ms, TIME_UNKNOWN);
    assert_int_equal(status.coverage.planned, 0);
    status_finish(&status);
    record_file_finish(&file);
}

static void lost_events_are_counted_where_they_touch_the_span_and_make_no_gap(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 50000, 10000);
    record_snapshot(&file, 60000, false);
    record_loss(&file, LOSS_EVENTS, 12000, 13000, 0);
    record_loss(&file, LOSS_EVENTS, 31000, 33000, 0);
    record_loss(&file, LOSS_EVENTS, 45000, 45000, 0);
    record_write(&file);
    record_read(&file);
    coverage = load(&file, 10000, 60001);
    assert_int_equal(coverage.events_lost, 3);
    assert_int_equal(coverage.planned, 6);
    assert_int_equal(coverage.done, 6);
    assert_int_equal(coverage.gaps.n, 0);
    assert_int_equal(coverage.deaf.n, 3);
    assert_int_equal(coverage.deaf.items[1].from_ms, 31000);
    assert_int_equal(coverage.deaf.items[1].until_ms, 33000);
    coverage_finish(&coverage);
    coverage = load(&file, 20000, 31500);
    assert_int_equal(coverage.events_lost, 1);
    coverage_finish(&coverage);
    coverage = load(&file, 34000, 44000);
    assert_int_equal(coverage.events_lost, 0);
    coverage_finish(&coverage);
    record_file_finish(&file);
}

/* Closer together than a gap, and yet nobody heard what the kernel told in between. */
static void a_recorder_that_was_away_shortly_lost_events(void **state)
{
    struct coverage coverage;
    struct record_file file;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    snapshots(&file, 10000, 20000, 10000);
    store_close(file.store); /* without a closing note: the next run finds that out */
    file.store = NULL;
    assert_int_equal(store_open(&(struct store_options){.path = file.path}, &file.store, NULL), 0);
    record_begin(&file, 'a', 24000, 10000);
    snapshots(&file, 25000, 55000, 10000);
    record_snapshot(&file, 65000, false);
    /* a death that is told as lost events, too, is told once */
    record_loss(&file, LOSS_RECORDER_DIED, 30000, 31000, 0);
    record_loss(&file, LOSS_EVENTS, 29000, 31000, 0);
    record_loss(&file, LOSS_RECORDER_DIED, 40000, 41000, 0);
    record_loss(&file, LOSS_EVENTS, 40000, 40999, 0);
    record_write(&file);
    record_read(&file);
    coverage = load(&file, 10000, 25000);
    assert_int_equal(coverage.gaps.n, 0);
    assert_int_equal(coverage.events_lost, 1);
    assert_int_equal(coverage.deaf.n, 1);
    assert_int_equal(coverage.deaf.items[0].from_ms, 20000);
    assert_int_equal(coverage.deaf.items[0].until_ms, 24000);
    assert_non_null(strstr(coverage.deaf.items[0].reason, "without a closing note"));
    coverage_finish(&coverage);
    coverage = load(&file, 26000, 65000);
    assert_int_equal(coverage.events_lost, 3);
    coverage_finish(&coverage);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_span_has_no_gaps),
        cmocka_unit_test(before_and_behind_the_record_are_gaps),
        cmocka_unit_test(the_reason_tells_the_kind_of_stop),
        cmocka_unit_test(what_was_lost_is_counted_by_its_share),
        cmocka_unit_test(a_running_recorder_has_until_its_next_snapshot),
        cmocka_unit_test(gaps_are_told_in_wall_time),
        cmocka_unit_test(a_clock_set_forward_leaves_a_gap),
        cmocka_unit_test(status_is_that_of_the_latest_run),
        cmocka_unit_test(the_share_of_a_core_is_told_of_runs_that_lasted),
        cmocka_unit_test(status_of_an_empty_file_knows_nothing),
        cmocka_unit_test(lost_events_are_counted_where_they_touch_the_span_and_make_no_gap),
        cmocka_unit_test(a_recorder_that_was_away_shortly_lost_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
