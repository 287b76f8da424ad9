/* SPDX-License-Identifier: MIT */
/* What is kept, and how much: against plain SQL by another connection and the sizes of the files. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/store/file.h"
#include "connhist/store/upkeep.h"

#define MIB       (INT64_C(1) << 20)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)
#define T0        (INT64_C(490000) * HOUR_MS) /* begins an hour */

static const struct store_retention forever = {.max_bytes = 1024 * MIB, .wal_bytes = 64 * MIB};

static void work(struct store *store, int64_t now_ms)
{
    struct err err = {0};
    int r;

    do {
        r = store_upkeep(store, now_ms, &err);
        assert_ok(r);
    } while (r > 0);
}

/* A connection to port 80 that ended, with a peer of its own. */
static void add_closed(struct batch *batch, uint64_t number, int64_t since_ms, int64_t ended_ms)
{
    struct life life = make_life(number, since_ms);

    life.ended_ms = ended_ms;
    life.remote.bytes[1] = (uint8_t)(number >> 16);
    life.remote.bytes[2] = (uint8_t)(number >> 8);
    life.remote.bytes[3] = (uint8_t)number;
    life.untold = true;
    add_life(batch, &batch->closed, &life);
}

static void add_tally(struct batch *batch, uint32_t count)
{
    struct tally_change tally = {
        .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_CLIENT},
        .count = count,
        .state = STATE_ESTABLISHED};

    assert_int_equal(vec_push(&batch->tallies, tally), 0);
}

/* One batch a minute for some hours, each with a connection that lived 5 s, and all counts each hour. */
static void record_hours(struct store *store, int hours)
{
    for (int64_t i = 0; i < hours * 60; i++) {
        int64_t at_ms = T0 + i * MINUTE_MS;
        struct batch *batch = make_batch(at_ms);

        batch->snapshot.anchor = i % 60 == 0;
        add_closed(batch, (uint64_t)i + 100, at_ms - 6000, at_ms - 1000);
        add_tally(batch, (uint32_t)(i % 7));
        write_batch(store, batch);
    }
}

static void detail_goes_by_its_age_and_counts_stay(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    int64_t end_ms = T0 + 10 * HOUR_MS, from_ms;
    char sql[200];

    record_hours(store, 10);
    wanted.age_ms[TIER_DETAIL + 1] = HOUR_MS;
    store_set_retention(store, &wanted);
    work(store, end_ms);
    from_ms = ask_number(place, "SELECT from_ms FROM tiers WHERE tier = -1");
    assert_true(from_ms > end_ms - HOUR_MS - 5 * MINUTE_MS && from_ms <= end_ms - HOUR_MS);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) < %lld",
             (long long)from_ms);
    assert_int_equal(ask_number(place, sql), 0);
    assert_in_range(ask_number(place, "SELECT count(*) FROM closed"), 59, 65);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM tallies"), 600);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM snapshots"), 600);
    assert_int_equal(
        ask_number(place, "SELECT count + (SELECT count(*) FROM closed) FROM prunings"), 600);
    assert_answer(place, "-1|1", "SELECT group_concat(tier || '|' || cause) FROM prunings");
    snprintf(sql, sizeof(sql), "SELECT until_ms = %lld FROM prunings", (long long)from_ms);
    assert_int_equal(ask_number(place, sql), 1);
    store_close(store);
}

static void what_is_open_stays_with_all_that_hangs_on_it(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    struct batch *batch = make_batch(T0);
    struct life listener = make_life(1, T0), gone = make_life(2, T0);

    listener.state = STATE_LISTEN;
    gone.ended_ms = T0 + 1000;
    gone.late_facts = true;
    add_life(batch, &batch->opened, &listener);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vec_push(&batch->queues, ((struct queue_change){1, 0, 128})), 0);
    write_batch(store, batch);
    for (int i = 1; i <= 200; i++) {
        batch = make_batch(T0 + i * MINUTE_MS);
        assert_int_equal(vec_push(&batch->queues, ((struct queue_change){1, (uint32_t)i, 128})), 0);
        if (i == 1) {
            add_life(batch, &batch->closed, &gone);
            assert_int_equal(vec_push(&batch->late, ((struct late_facts){.life = 2})), 0);
        }
        write_batch(store, batch);
    }
    tell(place, "INSERT INTO holders VALUES (1, 7), (2, 7)");
    tell(place, "INSERT INTO offloads VALUES (1, 0, 2), (2, 0, 2), (2, 1, 1)");
    wanted.age_ms[TIER_DETAIL + 1] = HOUR_MS;
    store_set_retention(store, &wanted);
    work(store, T0 + 200 * MINUTE_MS);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 1);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM late"), 0);
    assert_answer(place, "1", "SELECT group_concat(life) FROM holders");
    assert_answer(place, "1", "SELECT group_concat(life) FROM offloads");
    /* the queue at from_ms is known, and no more than that of before */
    assert_int_equal(ask_number(place, "SELECT count(*) FROM queues WHERE at_ms <= "
                                       "(SELECT from_ms FROM tiers WHERE tier = -1)"),
                     1);
    assert_in_range(ask_number(place, "SELECT count(*) FROM queues"), 60, 66);
    store_close(store);
}

static void counts_go_from_an_anchor_on_and_not_before_they_are_added_up(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    char sql[200];

    record_hours(store, 60);
    wanted.age_ms[TIER_DETAIL + 1] = wanted.age_ms[TIER_TICKS + 1] = 2 * HOUR_MS;
    wanted.age_ms[TIER_MINUTES + 1] = 30 * HOUR_MS;
    wanted.age_ms[TIER_HOURS + 1] = HOUR_MS; /* not before the minutes */
    store_set_retention(store, &wanted);
    work(store, T0 + 60 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT from_ms FROM tiers WHERE tier = 0"),
                     T0 + 58 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT min(at_ms) FROM tallies"), T0 + 58 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM tallies"), 120);
    assert_int_equal(ask_number(place, "SELECT from_ms FROM tiers WHERE tier = 1"),
                     T0 + 30 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT min(at_ms) FROM tally_rollups WHERE tier = 1"),
                     T0 + 30 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT min(at_ms) FROM cover_rollups WHERE tier = 1"),
                     T0 + 30 * HOUR_MS);
    snprintf(sql, sizeof(sql),
             "SELECT from_ms <= %lld AND from_ms %% 86400000 = 0 FROM tiers WHERE tier = 2",
             (long long)(T0 + 30 * HOUR_MS));
    assert_int_equal(ask_number(place, sql), 1);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM snapshots"),
                     ask_number(place, "SELECT count(*) FROM snapshots WHERE start_ms >= "
                                       "(SELECT min(from_ms) FROM tiers WHERE tier < 1)"));
    assert_in_range(ask_number(place, "SELECT count(*) FROM snapshots"), 120, 130);
    store_close(store);
}

static void write_epochs(struct store *store, int64_t at_ms, int64_t n)
{
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.anchor = true;
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(vec_push(&batch->epochs, ((struct epoch){at_ms - i * 1000, i})), 0);
    write_batch(store, batch);
}

static void changes_of_the_wall_clock_go_with_the_boot_that_they_are_about(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    int64_t later_ms = T0 + 5 * DAY_MS, base_ms;

    for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++)
        wanted.age_ms[tier + 1] = DAY_MS;
    record_hours(store, 30);
    write_epochs(store, T0 + 31 * HOUR_MS, 500);
    store_set_retention(store, &wanted);
    work(store, T0 + 31 * HOUR_MS);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM epochs"), 500);
    store_close(store);
    store = open_recording(place, BOOT_B, later_ms);
    base_ms = ask_number(place, "SELECT max(base_ms) FROM boots");
    assert_true(base_ms > T0 + 31 * HOUR_MS);
    store_set_retention(store, &wanted);
    for (int i = 0; i < 4; i++) {
        write_epochs(store, later_ms + i * DAY_MS + HOUR_MS, 10);
        work(store, later_ms + i * DAY_MS + HOUR_MS);
        if (i == 1) /* as long as something refers to the boot they stay */
            assert_int_equal(ask_number(place, "SELECT count(*) FROM epochs"), 520);
        if (i == 1)
            tell(place, "DELETE FROM boots WHERE boot_id = '" BOOT_A "'"); /* as a sweep does */
    }
    /* that which holds when the boot begins is needed */
    assert_int_equal(ask_number(place, "SELECT count(*) FROM epochs"), 41);
    assert_int_equal(ask_number(place, "SELECT min(from_ms) FROM epochs"), T0 + 31 * HOUR_MS);
    store_close(store);
}

/* Twice what fits, and more. */
#define FLOOD 2500

static struct batch *flood(int64_t i, bool anchor)
{
    int64_t at_ms = T0 + i * 10000;
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.anchor = anchor;
    for (int64_t n = 0; n < FLOOD; n++)
        add_closed(batch, (uint64_t)(i * FLOOD + n), at_ms - 9000 + n, at_ms - 5000 + n % 4000);
    add_tally(batch, (uint32_t)(i * 31 % 101));
    return batch;
}

static void assert_counts(const struct place *place, int64_t n)
{
    char sql[256];

    assert_int_equal(ask_number(place, "SELECT count(*) FROM tallies"), n);
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM tallies WHERE count <> (at_ms - %lld) / 10000 * 31 %% 101",
             (long long)T0);
    assert_int_equal(ask_number(place, sql), 0);
    assert_answer(place, "ok", "PRAGMA integrity_check");
}

static void a_load_that_exceeds_the_size_keeps_it_at_each_step(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    const struct store_retention wanted = {.max_bytes = 12 * MIB, .wal_bytes = 4 * MIB};
    int64_t most = 0;

    store_set_retention(store, &wanted);
    for (int64_t i = 0; i < 150; i++) {
        struct err err = {0};
        int r;

        write_batch(store, flood(i, i == 0));
        most = size_now(place) > most ? size_now(place) : most;
        for (int steps = 0; steps < 3; steps++) { /* not all that it wants */
            r = store_upkeep(store, T0 + i * 10000, &err);
            assert_ok(r);
            most = size_now(place) > most ? size_now(place) : most;
        }
    }
    assert_true(most <= wanted.max_bytes);
    assert_true(most > 8 * MIB); /* it was used */
    assert_counts(place, 150);
    assert_true(ask_number(place, "SELECT count(*) FROM closed") > 30000);
    assert_int_equal(ask_number(place, "SELECT min((key >> 16 & (1 << 42) - 1)) >= (SELECT from_ms "
                                       "FROM tiers WHERE tier = -1) - 86400000 FROM closed"),
                     1);
    assert_int_equal(
        ask_number(place, "SELECT count(*) + (SELECT sum(count) FROM prunings) FROM closed"),
        150 * FLOOD);
    assert_answer(place, "-1|2",
                  "SELECT group_concat(DISTINCT tier || '|' || cause) FROM prunings");
    store_close(store);
    assert_true(size_now(place) <= wanted.max_bytes);
}

static void a_reader_that_stays_keeps_the_log_within_its_bound(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    const struct store_retention wanted = {.max_bytes = 64 * MIB, .wal_bytes = 4 * MIB};
    struct batch *batch = NULL;
    struct err err = {0};
    sqlite3 *reader;
    int64_t i, most = 0;
    int r = 0;

    store_set_retention(store, &wanted);
    write_batch(store, flood(0, true));
    assert_int_equal(sqlite3_open(place->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM closed", NULL, NULL, NULL),
                     SQLITE_OK);
    for (i = 1; i < 100; i++) {
        batch = flood(i, false);
        batch_seal(batch);
        r = store_write(store, batch, &err);
        most = size_now(place) > most ? size_now(place) : most;
        if (r < 0)
            break;
        batch_free(batch);
        work(store, T0 + i * 10000);
    }
    assert_int_equal(r, -EXFULL);
    assert_non_null(strstr(err.text, "reading"));
    assert_in_range(i, 5, 60);
    batch_drop_detail(batch); /* its counts may still fit, or wait as well */
    r = store_write(store, batch, &err);
    assert_true(r == 0 || r == -EXFULL);
    assert_true(most <= 4 * MIB + 4 * MIB); /* the database with the first batch, and the -wal */
    sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL);
    if (r < 0)
        assert_ok(store_write(store, batch, &err));
    batch_free(batch);
    write_batch(store, flood(i + 1, false));
    assert_counts(place, i + 2);
    sqlite3_close(reader);
    store_close(store);
}

/* Connections of an owner, a service and addresses of its own each minute. */
static void record_strangers(struct store *store)
{
    for (int64_t i = 0; i < 40; i++) {
        struct batch *batch = make_batch(T0 + i * MINUTE_MS);
        struct owner owner = {.pid = 1000 + (uint32_t)i, .uid = 7, .start_ms = i};
        char comm[16];

        snprintf(comm, sizeof(comm), "worker-%d", (int)i);
        owner.comm = comm;
        owner.exe = owner.unit = owner.container = owner.cgroup = "";
        assert_int_equal(batch_add_owner(batch, 1, &owner), 0);
        for (int64_t n = 0; n < 100; n++) {
            struct life life = make_life((uint64_t)(i * 100 + n + 1), T0 + i * MINUTE_MS - 500);
            char local[32];

            snprintf(local, sizeof(local), "10.0.%d.%d", (int)i, (int)n);
            set_addresses(&life, local, "192.0.2.1");
            life.ended_ms = T0 + i * MINUTE_MS;
            life.owner = 1;
            life.untold = true;
            life.service.port = (int32_t)(1000 + i);
            add_life(batch, &batch->closed, &life);
        }
        write_batch(store, batch);
    }
}

static void assert_swept(const struct place *place)
{
    char before[64];

    snprintf(before, sizeof(before), "%lld",
             (long long)ask_number(place,
                                   "SELECT count(DISTINCT local) FROM (SELECT local FROM open "
                                   "UNION SELECT local FROM closed)"));
    assert_answer(place, before, "SELECT count(*) FROM addresses");
    assert_int_equal(ask_number(place,
                                "SELECT count(*) FROM (SELECT local FROM open UNION SELECT local "
                                "FROM closed) WHERE local NOT IN (SELECT id FROM addresses)"),
                     0);
    assert_int_equal(
        ask_number(place, "SELECT count(*) FROM (SELECT service FROM open UNION SELECT service "
                          "FROM closed) WHERE service NOT IN (SELECT id FROM services)"),
        0);
    assert_int_equal(
        ask_number(place, "SELECT count(*) FROM services WHERE id NOT IN (SELECT service FROM "
                          "open UNION SELECT service FROM closed)"),
        0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM owners"),
                     ask_number(place,
                                "SELECT count(*) FROM (SELECT owner FROM closed UNION SELECT "
                                "owner FROM open)"));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM processes"),
                     ask_number(place, "SELECT count(DISTINCT owner) FROM closed"));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM programs"),
                     ask_number(place, "SELECT count(DISTINCT owner) FROM closed"));
    assert_in_range(ask_number(place, "SELECT count(*) FROM owners"), 1, 15);
}

static void names_that_nobody_refers_to_go_and_others_stay(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    struct err err = {0};

    record_strangers(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM addresses"), 4000);
    write_batch(store, make_batch(T0 + 40 * MINUTE_MS - 1));
    wanted.age_ms[TIER_DETAIL + 1] = 10 * MINUTE_MS;
    store_set_retention(store, &wanted);
    for (int steps = 0; steps < 20; steps++) /* well into it */
        assert_ok(store_upkeep(store, T0 + 40 * MINUTE_MS, &err));
    for (int step = 0; step < 400; step++) { /* the recorder writes on, of old names and new ones */
        struct batch *batch = make_batch(T0 + 40 * MINUTE_MS + step);
        struct life life = make_life((uint64_t)(9000 + step), T0 + 40 * MINUTE_MS - 500);
        char local[32];

        snprintf(local, sizeof(local), "10.0.%d.%d", step % 7, step % 50);
        set_addresses(&life, local, "192.0.2.1");
        life.service.port = 1000 + step % 5;
        add_life(batch, &batch->opened, &life);
        write_batch(store, batch);
        assert_ok(store_upkeep(store, T0 + 40 * MINUTE_MS, &err));
    }
    work(store, T0 + 40 * MINUTE_MS);
    assert_swept(place);
    store_close(store);
}

static void what_a_crash_left_half_removed_goes_in_the_next_run(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct store_retention wanted = forever;
    struct err err = {0};
    int64_t left;

    for (int64_t i = 0; i < 20; i++)
        write_batch(store, flood(i, i == 0));
    wanted.age_ms[TIER_DETAIL + 1] = MINUTE_MS;
    store_set_retention(store, &wanted);
    for (int steps = 0; steps < 6; steps++)
        assert_int_equal(store_upkeep(store, T0 + HOUR_MS, &err), 1);
    left = ask_number(place, "SELECT count(*) FROM closed");
    assert_in_range(left, 1, 20 * FLOOD - 1);
    store_disconnect(store); /* as a crash would */
    store_close(store);
    store = open_recording(place, BOOT_A, T0 + HOUR_MS);
    store_set_retention(store, &wanted);
    work(store, T0 + HOUR_MS);
    assert_int_equal(ask_number(place,
                                "SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) < "
                                "(SELECT from_ms FROM tiers WHERE tier = -1)"),
                     0);
    assert_counts(place, 20);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(detail_goes_by_its_age_and_counts_stay, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(what_is_open_stays_with_all_that_hangs_on_it, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(
            counts_go_from_an_anchor_on_and_not_before_they_are_added_up, place_setup,
            place_teardown),
        cmocka_unit_test_setup_teardown(
            changes_of_the_wall_clock_go_with_the_boot_that_they_are_about, place_setup,
            place_teardown),
        cmocka_unit_test_setup_teardown(a_load_that_exceeds_the_size_keeps_it_at_each_step,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_stays_keeps_the_log_within_its_bound,
                                        place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(names_that_nobody_refers_to_go_and_others_stay, place_setup,
                                        place_teardown),
        cmocka_unit_test_setup_teardown(what_a_crash_left_half_removed_goes_in_the_next_run,
                                        place_setup, place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
