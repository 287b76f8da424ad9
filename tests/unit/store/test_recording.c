/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>

#define T0 INT64_C(1763800000000)

static struct store_past read_past(struct store *store, const char *boot)
{
    struct store_past past;
    struct err err = {0};

    assert_ok(store_read_past(store, boot, &past, &err));
    return past;
}

static void snapshot_with_life(struct store *store, int64_t at_ms, uint64_t number)
{
    struct batch *batch = make_batch(at_ms);
    struct life life = make_life(number, at_ms);

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
}

static void interrupted_snapshot(struct store *store, int64_t at_ms)
{
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    write_batch(store, batch);
}

static void a_new_file_knows_nothing(void **state)
{
    struct store *store = open_store(*state);
    struct store_past past = read_past(store, BOOT_A);

    assert_false(past.same_boot);
    assert_false(past.has_snapshot);
    assert_int_equal(past.last_ms, 0);
    assert_int_equal(past.last_complete_ms, TIME_UNKNOWN);
    assert_int_equal(past.offset_ms, 0);
    assert_int_equal(past.next_life, 1);
    store_close(store);
}

static void a_later_run_in_the_same_boot_finds_open_lives_and_times(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct epoch epoch = {T0, -250};
    struct batch *batch = make_batch(T0 + 10);
    struct store_past past;
    struct err err = {0};

    assert_int_equal(vec_push(&batch->epochs, epoch), 0);
    write_batch(store, batch);
    snapshot_with_life(store, T0 + 1000, 41);
    interrupted_snapshot(store, T0 + 2000);
    assert_ok(store_end_recording(store, T0 + 2500, &err));
    store_close(store);

    store = open_store(place);
    past = read_past(store, BOOT_A);
    assert_true(past.same_boot);
    assert_true(past.has_snapshot);
    assert_int_equal(past.boot_base_ms, T0 - 5000);
    assert_int_equal(past.last_ms, T0 + 2500);
    assert_int_equal(past.last_snapshot_ms, T0 + 2000);
    assert_int_equal(past.last_complete_ms, T0 + 1000);
    assert_int_equal(past.offset_ms, -250);
    assert_int_equal(past.next_life, 42);
    assert_false(read_past(store, BOOT_B).same_boot);
    begin_recording(store, BOOT_A, T0 + 9000);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 1);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM losses"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM boots"), 1);
    store_close(store);
}

static void lives_of_another_boot_end_right_behind_its_last_snapshot(void **state)
{
    static const uint8_t listen[] = {STATE_LISTEN};
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 500);
    struct life listener = make_life(2, T0 + 500);
    struct err err = {0};

    snapshot_with_life(store, T0 + 100, 1);
    listener.history = listen;
    listener.state = STATE_LISTEN;
    add_life(batch, &batch->opened, &listener);
    write_batch(store, batch);
    snapshot_with_life(store, T0 + 1000, 3);
    assert_ok(store_end_recording(store, T0 + 1500, &err));
    store_close(store);

    store = open_recording(place, BOOT_B, T0 + 60000);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 0);
    assert_answer(place, "1763800001001 1763800001001 1763800001001",
                  "SELECT group_concat(ended_ms, ' ') FROM lives");
    assert_answer(place, "901 501 1",
                  "SELECT group_concat(duration_ms, ' ') FROM (SELECT * FROM closed "
                  "ORDER BY duration_ms DESC)");
    assert_answer(place, "2", "SELECT group_concat(life) FROM closed");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM losses"), 0);
    assert_true(read_past(store, BOOT_B).same_boot);
    assert_false(read_past(store, BOOT_A).same_boot);
    store_close(store);
}

static void a_run_without_closing_note_is_a_loss(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    snapshot_with_life(store, T0 + 1000, 1);
    store_close(store);
    store = open_store(place);
    begin_recording(store, BOOT_A, T0 + 9000);
    assert_answer(place, "1763800001000 1763800009000 5",
                  "SELECT printf('%d %d %d', from_ms, until_ms, kind) FROM losses");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 1);
    store_close(store);

    store = open_recording(place, BOOT_B, T0 + 20000); /* the one before took no snapshot */
    assert_answer(place, "1763800009000 1763800020000 5",
                  "SELECT printf('%d %d %d', from_ms, until_ms, kind) FROM losses "
                  "ORDER BY id DESC");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM losses"), 2);
    store_close(store);
}

static void a_recording_that_goes_on_with_other_settings_loses_nothing(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct recording other = {.boot_id = BOOT_A,
                              .started_ms = T0 + 5000,
                              .interval_ms = 250,
                              .detail = "off",
                              .version = "test"};
    struct service_name names[] = {{9000, 17, "a"}, {9001, 6, "b"}};
    struct err err = {0};

    snapshot_with_life(store, T0 + 1000, 1);
    assert_ok(store_begin_recording(store, &other, names, 2, &err));
    snapshot_with_life(store, T0 + 6000, 2);
    assert_answer(place, "1763800005000", "SELECT ended_ms FROM recordings WHERE id = 1");
    assert_answer(place, "250 off",
                  "SELECT interval_ms || ' ' || detail FROM recordings "
                  "WHERE id = 2 AND ended_ms IS NULL");
    assert_answer(place, "a b", "SELECT group_concat(name, ' ') FROM service_names");
    assert_answer(place, "1 2", "SELECT group_concat(recording, ' ') FROM snapshots");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM losses"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 2);
    store_close(store);
}

static void nothing_is_written_without_a_recording(void **state)
{
    struct store *store = open_store(*state);
    struct batch *batch = make_batch(T0);
    struct err err = {0};

    batch_seal(batch);
    assert_true(store_write(store, batch, &err) < 0);
    batch_free(batch);
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_file_knows_nothing),
        TEST(a_later_run_in_the_same_boot_finds_open_lives_and_times),
        TEST(lives_of_another_boot_end_right_behind_its_last_snapshot),
        TEST(a_run_without_closing_note_is_a_loss),
        TEST(a_recording_that_goes_on_with_other_settings_loses_nothing),
        TEST(nothing_is_written_without_a_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
