/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0 INT64_C(1763800000000) /* 2025-11-22T08:26:40Z */

/* Addresses with many zero bytes and the heads that inet_ntop(3) treats apart. */
static void make_address(uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    for (int i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(random() % 3 ? 0 : random() % 2 ? random() : random() % 16);
    if (random() % 4 == 0)
        for (int i = 0; i < 8; i++)
            if (random() % 2)
                bytes[2 * i] = bytes[2 * i + 1] = 0;
    if (random() % 8 == 0)
        memcpy(bytes, mapped, 12);
    if (random() % 8 == 0)
        memset(bytes, 0, 12);
}

static void addresses_read_as_inet_ntop_writes_them(void **state)
{
    struct place *place = *state;
    sqlite3_stmt *add, *get;
    sqlite3 *db;

    store_close(open_store(place));
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO addresses (id, bytes) VALUES (1, ?1)", -1, &add,
                       NULL);
    sqlite3_prepare_v2(db, "SELECT text FROM addresses WHERE id = 1", -1, &get, NULL);
    srandom(11);
    for (int i = 0; i < 20000; i++) {
        char expected[INET6_ADDRSTRLEN];
        int n = i % 4 ? 16 : 4;
        uint8_t bytes[16];

        make_address(bytes);
        assert_non_null(inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, expected, sizeof(expected)));
        sqlite3_bind_blob(add, 1, bytes, n, SQLITE_STATIC);
        assert_int_equal(sqlite3_step(add), SQLITE_DONE);
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(get, 0), expected);
        sqlite3_reset(add);
        sqlite3_reset(get);
    }
    sqlite3_finalize(add);
    sqlite3_finalize(get);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
}

/* A wall clock that is one hour behind the record's from T0 + 1000 on. */
static struct store *record_something(struct place *place)
{
    static const uint8_t listen[] = {STATE_LISTEN};
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 500);
    struct life open = make_life(1, T0 + 500), closed = make_life(2, T0 + 500),
                listener = make_life(3, T0 + 500), plain = make_life(4, T0 + 500);
    struct queue_change queue = {.life = 3, .waiting = 2, .limit = 128};
    struct epoch epoch = {T0 + 1000, -3600000};
    struct tally_change tally = {
        .service = {.port = 8000, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .count = 7,
        .state = STATE_TIME_WAIT};

    set_addresses(&open, "::ffff:192.0.2.7", "::ffff:198.51.100.1");
    set_addresses(&closed, "fe80::7", "fe80::1");
    set_addresses(&listener, "0.0.0.0", "0.0.0.0");
    closed.opened_known = false;
    closed.uid = UID_UNKNOWN;
    listener.service = tally.service;
    listener.local_port = 8000;
    listener.remote_port = 0;
    listener.state = STATE_LISTEN;
    listener.history = listen;
    add_life(batch, &batch->opened, &open);
    add_life(batch, &batch->opened, &closed);
    add_life(batch, &batch->opened, &listener);
    add_life(batch, &batch->opened, &plain);
    assert_int_equal(vec_push(&batch->queues, queue), 0);
    write_batch(store, batch);

    batch = make_batch(T0 + 2000);
    closed.ended_ms = T0 + 2000;
    closed.state = STATE_TIME_WAIT;
    add_life(batch, &batch->closed, &closed);
    assert_int_equal(vec_push(&batch->epochs, epoch), 0);
    assert_int_equal(vec_push(&batch->tallies, tally), 0);
    write_batch(store, batch);
    return store;
}

static int64_t ipv4_number(const uint8_t *bytes)
{
    uint32_t network;

    memcpy(&network, bytes, sizeof(network));
    return (int32_t)ntohl(network);
}

static void remote_addresses_read_as_inet_ntop_writes_them(void **state)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct place *place = *state;
    sqlite3_stmt *put, *get;
    sqlite3 *db;

    store_close(record_something(place));
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    sqlite3_prepare_v2(db,
                       "UPDATE closed SET remote = ?1, local = (SELECT id FROM addresses "
                       "WHERE length(bytes) = ?2)",
                       -1, &put, NULL);
    sqlite3_prepare_v2(db, "SELECT remote_address FROM sockets WHERE closed_ms IS NOT NULL", -1,
                       &get, NULL);
    srandom(12);
    for (int i = 0; i < 5000; i++) {
        char expected[INET6_ADDRSTRLEN];
        int n = i % 4 ? 16 : 4;
        uint8_t bytes[16];

        make_address(bytes);
        assert_non_null(inet_ntop(n == 4 ? AF_INET : AF_INET6, bytes, expected, sizeof(expected)));
        if (n == 4 || memcmp(bytes, mapped, sizeof(mapped)) == 0)
            sqlite3_bind_int64(put, 1, ipv4_number(n == 4 ? bytes : bytes + 12));
        else
            sqlite3_bind_blob(put, 1, bytes, n, SQLITE_STATIC);
        sqlite3_bind_int(put, 2, n);
        assert_int_equal(sqlite3_step(put), SQLITE_DONE);
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        assert_string_equal((const char *)sqlite3_column_text(get, 0), expected);
        sqlite3_reset(put);
        sqlite3_reset(get);
    }
    sqlite3_finalize(put);
    sqlite3_finalize(get);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    sqlite3_close(db);
}

static void sockets_shows_text_and_wall_clock(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place);

    assert_answer(place,
                  "|tcp|ESTABLISHED|::ffff:192.0.2.7|40000|::ffff:198.51.100.1|80|client|80|1000|"
                  "1763800000500|1763800000500|",
                  "SELECT netns || '|' || protocol || '|' || state || '|' || local_address || '|' "
                  "|| local_port || '|' || remote_address || '|' || remote_port || '|' || role || "
                  "'|' || service_port || '|' || uid || '|' || opened_ms || '|' || first_seen_ms "
                  "|| '|' || coalesce(closed_ms, '') FROM sockets WHERE local_address LIKE '::f%'");
    assert_answer(place,
                  "TIME_WAIT fe80::7 fe80::1 1763800000500 1763796402000 "
                  "2025-11-22T08:26:40.500Z 2025-11-22T07:26:42.000Z",
                  "SELECT state || ' ' || local_address || ' ' || remote_address || ' ' || "
                  "first_seen_ms || ' ' || closed_ms || ' ' || first_seen_at || ' ' || closed_at "
                  "FROM sockets WHERE uid IS NULL AND opened_ms IS NULL");
    assert_answer(place, "192.0.2.1",
                  "SELECT remote_address FROM sockets WHERE local_address = '192.0.2.7'");
    store_close(store);
}

static void listeners_shows_the_queue_as_last_known(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place);

    assert_answer(place, "tcp 0.0.0.0 8000 2 128 1763800000500",
                  "SELECT protocol || ' ' || local_address || ' ' || local_port || ' ' || "
                  "recv_queue || ' ' || send_queue || ' ' || opened_ms FROM listeners");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM listeners"), 1);
    store_close(store);
}

static void listeners_shows_those_that_stopped_listening(void **state)
{
    static const uint8_t shut[] = {STATE_LISTEN, 0x64, STATE_CLOSE};
    struct place *place = *state;
    struct store *store = record_something(place);
    struct batch *batch = make_batch(T0 + 3000);
    struct queue_change queues[] = {{.life = 5}, {.life = 6}};
    struct life open = make_life(5, T0 + 2900), closed = make_life(6, T0 + 2900);

    /* shut down and held open; shut down, then closed */
    open.history = closed.history = shut;
    open.history_bytes = closed.history_bytes = sizeof(shut);
    open.state = closed.state = STATE_CLOSE;
    open.local_port = 8005;
    closed.local_port = 8006;
    closed.ended_ms = T0 + 3000;
    assert_int_equal(batch_add_life(batch, &batch->opened, &open), 0);
    assert_int_equal(batch_add_life(batch, &batch->closed, &closed), 0);
    assert_int_equal(vec_push(&batch->queues, queues[0]), 0);
    assert_int_equal(vec_push(&batch->queues, queues[1]), 0);
    write_batch(store, batch);
    assert_answer(place, "8000 8005 8006",
                  "SELECT group_concat(local_port, ' ') FROM "
                  "(SELECT local_port FROM listeners ORDER BY local_port)");
    assert_answer(place, "1",
                  "SELECT closed_ms IS NOT NULL FROM listeners WHERE local_port = 8006");
    store_close(store);
}

static void gaps_are_measured_by_the_longer_interval(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place); /* interval 1,000, last snapshot T0 + 2000 */
    struct recording slower = {.boot_id = BOOT_A,
                               .boot_base_ms = T0 - 5000,
                               .started_ms = T0 + 2100,
                               .interval_ms = 10000,
                               .detail = "on",
                               .version = "test"};
    struct err err = {0};

    assert_int_equal(ask_number(place, "SELECT count(*) FROM gaps"), 0);
    assert_ok(store_begin_recording(store, &slower, NULL, 0, &err));
    write_batch(store, make_batch(T0 + 12000));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM gaps"), 0);
    begin_recording(store, BOOT_A, T0 + 12100);
    write_batch(store, make_batch(T0 + 24000));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM gaps"), 0);
    write_batch(store, make_batch(T0 + 26000));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM gaps"), 1);
    store_close(store);
}

static void coverage_counts_as_snapshots_and_losses_do(void **state)
{
    static const char difference[] =
        "SELECT count(*) FROM coverage AS c WHERE done <> (SELECT count(*) FROM snapshots AS s "
        "WHERE s.recording = c.recording AND s.status = 0) OR interrupted <> (SELECT count(*) FROM "
        "snapshots AS s WHERE s.recording = c.recording AND s.status <> 0)";
    struct place *place = *state;
    struct store *store = record_something(place);
    struct batch *batch = make_batch(T0 + 3000);
    struct loss losses[] = {{T0, T0 + 3000, 5, LOSS_TICKS_MISSED, ""},
                            {T0, T0 + 3000, 7, LOSS_QUEUE_FULL, ""},
                            {T0, T0 + 3000, 11, LOSS_WRITE_FAILED, ""},
                            {T0, T0 + 3000, 100, LOSS_DUMP_FAILED, ""}};
    struct err err = {0};

    begin_recording(store, BOOT_A, T0 + 2500);
    batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++)
        assert_int_equal(vec_push(&batch->losses, losses[i]), 0);
    write_batch(store, batch);
    batch = make_batch(T0 + 3000); /* of a time that is there already: nothing may be counted */
    batch_seal(batch);
    assert_true(store_write(store, batch, &err) < 0);
    batch_free(batch);
    write_batch(store, make_batch(T0 + 4000));
    assert_int_equal(ask_number(place, difference), 0);
    assert_answer(place, "2 0 0 0,1 1 23 25",
                  "SELECT group_concat(done || ' ' || interrupted || ' ' || missed || ' ' || "
                  "(planned - (recording = 1) * 2)) FROM coverage");
    store_close(store);
}

static void port_history_shows_counts_with_names(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place);

    assert_answer(
        place,
        "1763796402000 2025-11-22T07:26:42.000Z tcp 8000 registered qq server "
        "TIME_WAIT 7",
        "SELECT at_ms || ' ' || at || ' ' || protocol || ' ' || port || ' ' || port_class "
        "|| ' ' || service_name || ' ' || role || ' ' || state || ' ' || count "
        "FROM port_history");
    store_close(store);
}

static void gaps_and_coverage_are_on_the_wall_clock(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place);
    struct batch *batch = make_batch(T0 + 3000);
    struct loss loss = {T0 + 3000, T0 + 9000, 6, LOSS_TICKS_MISSED, ""};
    struct err err = {0};

    batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    write_batch(store, batch);
    batch = make_batch(T0 + 9000);
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    write_batch(store, batch);
    assert_ok(store_end_recording(store, T0 + 9500, &err));
    /* 1,500 ms at an interval of 1,000 is none yet; what was interrupted counts for nothing */
    assert_int_equal(ask_number(place, "SELECT count(*) FROM gaps"), 1);
    assert_answer(
        place, "1763796402000 1763796409000 2025-11-22T07:26:42.000Z 2025-11-22T07:26:49.000Z",
        "SELECT from_ms || ' ' || until_ms || ' ' || from_at || ' ' || until_at FROM gaps");
    assert_answer(place,
                  "1763800000000 1763796409500 2025-11-22T08:26:40.000Z "
                  "2025-11-22T07:26:49.500Z 10 3 1 6",
                  "SELECT started_ms || ' ' || ended_ms || ' ' || started_at || ' ' || ended_at || "
                  "' ' || planned || ' ' || done || ' ' || interrupted || ' ' || missed "
                  "FROM coverage");
    store_close(store);
}

static void every_view_and_table_can_be_read(void **state)
{
    struct place *place = *state;
    struct store *store = record_something(place);
    static const char *const names[] = {"lives",        "sockets", "listeners",
                                        "port_history", "gaps",    "coverage"};
    char sql[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(sql, sizeof(sql), "SELECT * FROM %s", names[i]);
        assert_true(ask_number(place, sql) >= 0);
    }
    store_close(store);
}

static void coverage_counts_lost_events(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct loss loss = {T0 + 200, T0 + 900, 0, LOSS_EVENTS, ""};
    struct batch *batch = make_batch(T0 + 1000);
    struct err err = {0};

    assert_int_equal(vec_push(&batch->losses, loss), 0);
    loss.until_ms++;
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    write_batch(store, batch);
    assert_ok(store_end_recording(store, T0 + 1500, &err));
    begin_recording(store, BOOT_A, T0 + 2000);
    assert_answer(place, "2:0 0:0",
                  "SELECT group_concat(events_lost || ':' || missed, ' ') FROM coverage");
    /* a death counts, but once if its time is told otherwise already */
    loss = (struct loss){T0 + 2100, T0 + 2200, 0, LOSS_RECORDER_DIED, ""};
    batch = make_batch(T0 + 3000);
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    loss.kind = LOSS_EVENTS;
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    loss = (struct loss){T0 + 2300, T0 + 2400, 0, LOSS_RECORDER_DIED, ""};
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    write_batch(store, batch);
    assert_answer(place, "2:0 2:0",
                  "SELECT group_concat(events_lost || ':' || missed, ' ') FROM coverage");
    store_close(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_read_as_inet_ntop_writes_them),
        TEST(remote_addresses_read_as_inet_ntop_writes_them),
        TEST(sockets_shows_text_and_wall_clock),
        TEST(listeners_shows_the_queue_as_last_known),
        TEST(port_history_shows_counts_with_names),
        TEST(listeners_shows_those_that_stopped_listening),
        TEST(gaps_are_measured_by_the_longer_interval),
        TEST(coverage_counts_as_snapshots_and_losses_do),
        TEST(coverage_counts_lost_events),
        TEST(gaps_and_coverage_are_on_the_wall_clock),
        TEST(every_view_and_table_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
