/* SPDX-License-Identifier: MIT */
/* Complete snapshots that follow one another further apart than planned. */
#include "support.h"

#include <errno.h>
#include <string.h>

#define T0 INT64_C(1763800020000)

/* The interval of support.c's recordings is a second. */
static void snapshot(struct store *store, int64_t at_ms, enum snapshot_status status)
{
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.status = (uint8_t)status;
    write_batch(store, batch);
}

#define PAUSES                                                                            \
    "SELECT coalesce(group_concat((from_ms - 1763800020000) || '-' || "                   \
    "(until_ms - 1763800020000) || ' ' || before || '/' || after || ' ' || interrupted, " \
    "', '), '') FROM (SELECT * FROM pauses ORDER BY from_ms)"

static void one_and_a_half_intervals_are_no_pause_and_more_is(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 2500, SNAPSHOT_COMPLETE);
    assert_answer(place, "", PAUSES);
    snapshot(store, T0 + 4001, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 5000, SNAPSHOT_COMPLETE);
    assert_answer(place, "2500-4001 1/1 0", PAUSES);
    store_close(store);
}

static void snapshots_that_failed_do_not_end_a_pause_and_are_counted(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    snapshot(store, T0 + 500, SNAPSHOT_INTERRUPTED); /* before the first one that is complete */
    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 2000, SNAPSHOT_INTERRUPTED);
    snapshot(store, T0 + 3000, SNAPSHOT_INTERRUPTED);
    snapshot(store, T0 + 4000, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 5000, SNAPSHOT_COMPLETE);
    assert_answer(place, "1000-4000 1/1 2", PAUSES);
    store_close(store);
}

static void a_pause_between_runs_names_both(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 2000, SNAPSHOT_INTERRUPTED);
    store_close(store);
    store = open_recording(place, BOOT_A, T0 + 9000);
    snapshot(store, T0 + 9500, SNAPSHOT_INTERRUPTED);
    snapshot(store, T0 + 10000, SNAPSHOT_COMPLETE);
    begin_recording(store, BOOT_A, T0 + 10100); /* the configuration changed */
    snapshot(store, T0 + 11000, SNAPSHOT_COMPLETE);
    assert_answer(place, "1000-10000 1/2 2", PAUSES);
    store_close(store);
}

static void the_longer_interval_counts_where_it_was_changed(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct recording slow = {.boot_id = BOOT_A,
                             .boot_base_ms = T0,
                             .started_ms = T0 + 1500,
                             .interval_ms = 10000,
                             .detail = "on",
                             .version = "test"};
    struct err err = {0};

    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    assert_ok(store_begin_recording(store, &slow, NULL, 0, &err));
    snapshot(store, T0 + 11000, SNAPSHOT_COMPLETE);
    begin_recording(store, BOOT_A, T0 + 11500);
    snapshot(store, T0 + 26000, SNAPSHOT_COMPLETE);
    snapshot(store, T0 + 28000, SNAPSHOT_COMPLETE);
    assert_answer(place, "26000-28000 3/3 0", PAUSES);
    store_close(store);
}

static void set_clock(struct store *store, int64_t at_ms, int64_t offset_ms)
{
    struct batch *batch = make_batch(at_ms);
    struct epoch epoch = {.from_ms = at_ms - 100, .offset_ms = offset_ms};

    assert_int_equal(vec_push(&batch->epochs, epoch), 0);
    write_batch(store, batch);
}

static void a_wall_clock_that_was_set_forward_makes_a_pause_and_back_none(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    set_clock(store, T0 + 2000, -3600000);
    snapshot(store, T0 + 3000, SNAPSHOT_COMPLETE);
    assert_answer(place, "", PAUSES);
    set_clock(store, T0 + 4000, 0);
    set_clock(store, T0 + 5000, 400); /* no more than half an interval */
    assert_answer(place, "3000-4000 1/1 0", PAUSES);
    assert_answer(place, "2025-11-22T07:27:03.000Z 2025-11-22T08:27:04.000Z",
                  "SELECT from_at || ' ' || until_at FROM gaps");
    store_close(store);
}

static void a_batch_that_failed_leaves_no_trace(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 9000);
    struct rate_change rate = {.service = {.netns = 99}, .period_ms = T0 - T0 % 60000};
    struct err err = {0};

    snapshot(store, T0 + 1000, SNAPSHOT_COMPLETE);
    assert_int_equal(vec_push(&batch->rates, rate), 0); /* of a namespace that is not in it */
    batch_seal(batch);
    assert_int_equal(store_write(store, batch, &err), -EINVAL);
    assert_answer(place, "", PAUSES);
    batch_free(batch);
    snapshot(store, T0 + 10000, SNAPSHOT_COMPLETE);
    assert_answer(place, "1000-10000 1/1 0", PAUSES);
    store_close(store);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_and_a_half_intervals_are_no_pause_and_more_is),
        TEST(snapshots_that_failed_do_not_end_a_pause_and_are_counted),
        TEST(a_pause_between_runs_names_both),
        TEST(the_longer_interval_counts_where_it_was_changed),
        TEST(a_wall_clock_that_was_set_forward_makes_a_pause_and_back_none),
        TEST(a_batch_that_failed_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
