/* SPDX-License-Identifier: MIT */
/* The way down to a size that was made smaller: in steps between snapshots, none of which lacks anything. */
#include "support.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/store/upkeep.h"

#define MIB   (INT64_C(1) << 20)
#define T0    (INT64_C(490000) * 3600000)
#define FLOOD 2500
#define STEPS 10 /* between two snapshots */

/* A snapshot with so many connections that ended before it, and one count. */
static void write_tick(struct store *store, int64_t tick, int64_t closed)
{
    int64_t at_ms = T0 + tick * 10000;
    struct batch *batch = make_batch(at_ms);
    struct tally_change tally = {
        .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT},
        .count = (uint32_t)(tick * 31 % 101),
        .state = STATE_ESTABLISHED};

    batch->snapshot.anchor = tick == 0;
    assert_int_equal(vec_push(&batch->tallies, tally), 0);
    for (int64_t n = 0; n < closed; n++) {
        struct life life = make_life((uint64_t)(tick * FLOOD + n), at_ms - 9000 + n);

        life.ended_ms = at_ms - 5000 + n % 4000;
        life.remote.bytes[2] = (uint8_t)(n >> 8);
        life.remote.bytes[3] = (uint8_t)n;
        life.untold = true;
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
}

static void assert_whole(const struct place *place, int64_t ticks)
{
    char sql[256];

    assert_int_equal(ask_number(place, "SELECT count(*) FROM tallies"), ticks);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM tallies WHERE count <> (at_ms - %lld) / 10000 * 31 %% 101",
             (long long)T0);
    assert_int_equal(ask_number(place, sql), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM losses WHERE kind NOT IN (5, 6)"), 0);
    assert_answer(place, "ok", "PRAGMA integrity_check");
}

/* What was removed and what there is are all that was written, the oldest being gone. */
static void assert_accounted(const struct place *place, int64_t written)
{
    assert_int_equal(
        ask_number(place,
                   "SELECT coalesce(sum(count), 0) + (SELECT count(*) FROM closed) FROM prunings "
                   "WHERE tier = -1"),
        written);
    assert_int_equal(ask_number(place,
                                "SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) < "
                                "(SELECT from_ms FROM tiers WHERE tier = -1)"),
                     0);
}

static void a_smaller_size_is_reached_in_few_snapshots_and_none_waits_for_it(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = {.max_bytes = 64 * MIB, .wal_bytes = 4 * MIB};
    int64_t tick, before, reached = 0;
    struct err err = {0};

    store_set_retention(store, &wanted);
    for (tick = 0; tick < 160; tick++)
        write_tick(store, tick, FLOOD);
    before = ask_number(place, "PRAGMA page_count");
    assert_true(before > 14 * MIB / 4096);
    wanted.max_bytes = 9 * MIB;
    store_set_retention(store, &wanted);
    for (; tick < 260 && !reached; tick++) {
        int r = 1;

        write_tick(store, tick, 20); /* what comes meanwhile is written with all that it tells */
        for (int step = 0; step < STEPS && r > 0; step++) {
            int64_t rows = step ? 0 : ask_number(place, "SELECT count(*) FROM closed");

            r = store_upkeep(store, T0 + tick * 10000, &err);
            assert_ok(r);
            if (step == 0) /* it is small */
                assert_true(rows - ask_number(place, "SELECT count(*) FROM closed") <= 5000);
        }
        reached = r == 0 ? tick : 0;
    }
    /* 250,000 rows by 2,400 a step, some thousand pages by 256 */
    assert_in_range(reached, 161, 220);
    write_tick(store, tick++, 20);
    while (store_upkeep(store, T0 + tick * 10000, &err) > 0) {
    }
    assert_true(size_now(place) <= wanted.max_bytes);
    assert_whole(place, tick);
    assert_accounted(place, 160 * FLOOD + (tick - 160) * 20);
    store_close(store);
}

static void what_is_cut_short_on_the_way_down_is_whole_and_goes_on(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = {.max_bytes = 64 * MIB, .wal_bytes = 4 * MIB};
    struct err err = {0};
    int64_t tick;

    store_set_retention(store, &wanted);
    for (tick = 0; tick < 160; tick++)
        write_tick(store, tick, FLOOD);
    wanted.max_bytes = 9 * MIB;
    for (int run = 0; run < 4; run++) {
        store_set_retention(store, &wanted);
        for (int step = 0; step < 15; step++)
            assert_ok(store_upkeep(store, T0 + tick * 10000, &err));
        store_disconnect(store); /* as a crash would */
        store_close(store);
        assert_whole(place, 160);
        store = open_recording(place, BOOT_A, T0 + tick * 10000);
    }
    store_set_retention(store, &wanted);
    while (store_upkeep(store, T0 + tick * 10000, &err) > 0) {
    }
    write_tick(store, tick++, 20);
    while (store_upkeep(store, T0 + tick * 10000, &err) > 0) {
    }
    assert_true(size_now(place) <= wanted.max_bytes);
    assert_whole(place, tick);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_smaller_size_is_reached_in_few_snapshots_and_none_waits_for_it, place_setup,
            place_teardown),
        cmocka_unit_test_setup_teardown(what_is_cut_short_on_the_way_down_is_whole_and_goes_on,
                                        place_setup, place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
