/* SPDX-License-Identifier: MIT */
/* What is told of hours, and how it comes of what closed: what SQLite finds in `closed` is the oracle. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "connhist/store/hours.h"
#include "connhist/store/maintain.h"
#include "connhist/store/upkeep.h"

#define HOUR HOURS_LENGTH_MS
#define T0   (INT64_C(20415) * 24 * HOUR) /* the begin of a day */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void upkeep_all(struct store *store)
{
    struct err err = {0};
    int r;

    do
        r = store_upkeep(store, T0, &err);
    while (r > 0);
    assert_ok(r);
}

static void snapshot_at(struct store *store, int64_t at_ms)
{
    write_batch(store, make_batch(at_ms));
}

/* n connections to 198.51.100.PEER that closed from at_ms on. */
static void close_some(struct store *store, int64_t at_ms, int n, unsigned peer, uint16_t port)
{
    struct batch *batch = make_batch(at_ms + HOUR / 2);
    char text[32];

    snprintf(text, sizeof(text), "198.51.100.%u", peer);
    for (int i = 0; i < n; i++) {
        struct life life = make_life((uint64_t)at_ms + (uint64_t)i, at_ms - (1 << i % 12));

        set_addresses(&life, i % 2 ? "2001:db8::7" : "192.0.2.7", i % 2 ? "2001:db8::5" : text);
        life.local_port = (uint16_t)(40000 + i);
        life.remote_port = port;
        life.service.port = port;
        life.ended_ms = at_ms + i;
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
}

/* Rows of `closed` whose stretch says that they are not in it. */
static int64_t count_denied(const struct place *place)
{
    struct err err = {0};
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    struct stmt *rows = NULL, *sets = NULL;
    int64_t denied = 0;

    assert_ok(db_open(place->path, &db, &err));
    assert_ok(db_prepare(db,
                         "SELECT key >> 16 & (1 << 42) - 1, coalesce(c.remote_port, s.port) & "
                         "65535, c.local_port & 65535, c.remote FROM closed AS c JOIN services AS "
                         "s ON s.id = c.service",
                         &rows, &err));
    assert_ok(db_prepare(db,
                         "SELECT numbers FROM hours WHERE key > ?1 << 48 | ?2 AND key <= ?1 << 48 "
                         "| ?2 + 24 * 3600000 AND (key & (1 << 48) - 1) - length * 3600000 <= ?2",
                         &sets, &err));
    while (stmt_step(rows, &err) > 0) {
        bool ipv4 = stmt_type(rows, 3) == DB_INTEGER;
        size_t n;
        uint64_t numbers[] = {(uint64_t)stmt_i64(rows, 1), (uint64_t)stmt_i64(rows, 2),
                              ipv4 ? (uint32_t)stmt_i64(rows, 3)
                                   : hours_ipv6(stmt_blob(rows, 3, &n))};
        int kinds[] = {HOURS_PORTS, HOURS_PORTS, ipv4 ? HOURS_IPV4 : HOURS_IPV6};

        for (int i = 0; i < 3; i++) {
            struct number_range range = {numbers[i], numbers[i]};

            stmt_reset(sets);
            stmt_bind_i64(sets, 1, kinds[i]);
            stmt_bind_i64(sets, 2, stmt_i64(rows, 0));
            while (stmt_step(sets, &err) > 0) {
                const void *bytes = stmt_blob(sets, 0, &n);

                denied += numbers_meet(bytes, n, &range, 1) != 1;
            }
        }
    }
    stmt_free(rows);
    stmt_free(sets);
    return denied;
}

#define STRETCHES                                                                           \
    "SELECT coalesce(group_concat(((key & (1 << 48) - 1) / 3600000 - 20415 * 24 - length) " \
    "|| '+' || length, ' '), '') FROM (SELECT * FROM hours WHERE key >> 48 = 1 ORDER BY key)"

static void hours_that_are_over_are_told(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    close_some(store, T0 + HOUR / 3, 700, 1, 443);
    upkeep_all(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM hours"), 0); /* not over */
    close_some(store, T0 + HOUR + 5, 20, 2, 22); /* too few: taken together with what follows */
    close_some(store, T0 + 4 * HOUR + 5, 600, 3, 25);
    snapshot_at(store, T0 + 5 * HOUR);
    upkeep_all(store);
    assert_answer(place, "0+1", STRETCHES); /* the last one not for long enough */
    snapshot_at(store, T0 + 6 * HOUR);
    upkeep_all(store);
    assert_answer(place, "0+1 1+4", STRETCHES);
    assert_int_equal(ask_number(place, "SELECT count(DISTINCT key >> 48) FROM hours"), 4);
    assert_int_equal(count_denied(place), 0);
    snapshot_at(store, T0 + 40 * HOUR);
    upkeep_all(store);
    assert_answer(place, "0+1 1+4 5+24", STRETCHES);
    store_close(store);
}

/* More addresses than are kept one by one, which then lose bits while others come. */
static void a_busy_hour_is_told_within_a_bound(void **state)
{
    enum { N = 30000 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + HOUR);
    uint64_t seed = 5;

    for (unsigned i = 0; i < N; i++) {
        struct life life = make_life(i + 1, T0);
        uint64_t random = next_random(&seed);

        life.local_port = (uint16_t)(random >> 40);
        if (i % 2)
            set_addresses(&life, "2001:db8::7", "2001:db8::5");
        memcpy(life.remote.bytes + (i % 2 ? 4 : 0), &random, 4);
        life.ended_ms = T0 + 1 + i * 100;
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
    snapshot_at(store, T0 + 3 * HOUR);
    upkeep_all(store);
    assert_answer(place, "0+1", STRETCHES);
    assert_int_equal(count_denied(place), 0);
    assert_true(ask_number(place, "SELECT max(length(numbers)) FROM hours WHERE key >> 48 > 1") <=
                4006);
    assert_true(ask_number(place, "SELECT sum(length(numbers)) FROM hours") < N);
    store_close(store);
}

/* A life that ended hours ago, as when a namespace was lost sight of. */
static void what_comes_late_drops_what_was_told_of_its_hour(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    for (int hour = 0; hour < 6; hour++)
        close_some(store, T0 + hour * HOUR + 5, 600, (unsigned)hour, 443);
    snapshot_at(store, T0 + 8 * HOUR);
    upkeep_all(store);
    assert_answer(place, "0+1 1+1 2+1 3+1 4+1 5+1", STRETCHES);
    close_some(store, T0 + 3 * HOUR + 77, 3, 99, 8443);
    assert_answer(place, "0+1 1+1 2+1 4+1 5+1", STRETCHES);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM hours"), 20);
    assert_int_equal(count_denied(place), 0);
    store_close(store);
    store = open_store(place);
    begin_recording(store, BOOT_A, T0 + 9 * HOUR);
    close_some(store, T0 + HOUR - 1, 1, 98, 8444); /* the last ms of one, and in a new process */
    close_some(store, T0 + 5 * HOUR, 1, 98, 8444); /* the first of one */
    assert_answer(place, "1+1 2+1 4+1", STRETCHES);
    assert_int_equal(count_denied(place), 0);
    store_close(store);
}

/* One that comes between the steps in which its hour is read is in what is told of it. */
static void what_comes_while_an_hour_is_read_is_told(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};
    int steps = 0, r = 1;

    close_some(store, T0 + 5, 4000, 1, 443);
    snapshot_at(store, T0 + 3 * HOUR);
    for (int late = 0; r > 0; steps++) {
        r = store_upkeep(store, T0, &err);
        if (r > 0 && late++ < 6)
            close_some(store, T0 + 10 + late, 1, 77, (uint16_t)(9000 + late));
    }
    assert_ok(r);
    assert_true(steps > 6); /* some of them came between */
    assert_answer(place, "0+1",
                  "SELECT '0+1' FROM hours WHERE key = 1 << 48 | 20415 * 86400000 + "
                  "3600000");
    assert_int_equal(count_denied(place), 0);
    store_close(store);
}

/* A step stops in the midst of an hour, and the program ends without a word. */
static void a_run_that_ends_between_goes_on_where_it_was(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};

    for (int hour = 0; hour < 8; hour++)
        close_some(store, T0 + hour * HOUR + 5, 1500, (unsigned)hour, 443);
    snapshot_at(store, T0 + 10 * HOUR);
    for (int run = 0; run < 200; run++) {
        for (int i = 0; i < run / 4; i++)
            assert_ok(store_upkeep(store, T0, &err));
        store_disconnect(store); /* as after kill -9: nothing is tidied */
        store_close(store);
        store = open_store(place);
        assert_int_equal(ask_number(place, "SELECT count(*) % 4 FROM hours"), 0);
    }
    upkeep_all(store);
    assert_answer(place, "0+1 1+1 2+1 3+1 4+1 5+1 6+1 7+1", STRETCHES);
    assert_int_equal(count_denied(place), 0);
    store_close(store);
}

/* What is told goes with what it tells of, and counts for nothing that was removed. */
static void hours_go_with_their_sockets(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct store_retention retention = {.age_ms = {[TIER_DETAIL + 1] = 5 * HOUR}};

    for (int hour = 0; hour < 8; hour++)
        close_some(store, T0 + hour * HOUR + 5, 600, (unsigned)hour, 443);
    snapshot_at(store, T0 + 10 * HOUR);
    upkeep_all(store);
    store_set_retention(store, &retention);
    for (int r = 1; r > 0;) {
        struct err err = {0};

        r = store_upkeep(store, T0 + 10 * HOUR, &err);
        assert_ok(r);
    }
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 3 * 600);
    assert_answer(place, "5+1 6+1 7+1", STRETCHES);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM hours"), 12);
    assert_int_equal(ask_number(place, "SELECT sum(count) FROM prunings WHERE tier = -1"), 5 * 600);
    store_close(store);
}

static void keep_line(void *arg, const char *line)
{
    snprintf(arg, 512, "%s", line);
}

/* One line for all stretches that searches would wrongly pass over. */
static void a_check_finds_what_searches_would_miss(void **state)
{
    static const char *const damages[] = {
        "UPDATE closed SET local_port = 7 WHERE key = (SELECT max(key) FROM closed)",
        "UPDATE closed SET remote = 7 WHERE key = (SELECT min(key) FROM closed)",
        "UPDATE closed SET remote = zeroblob(16) WHERE key = (SELECT min(key) FROM closed)",
        "UPDATE hours SET numbers = x'0000ff' WHERE key = (SELECT max(key) FROM hours)",
        "UPDATE hours SET length = 25 WHERE key = (SELECT min(key) FROM hours)",
    };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    char line[512] = "";
    struct maintenance work = {.tell = keep_line, .arg = line};
    int64_t findings = -1;
    struct err err = {0};

    for (int hour = 0; hour < 3; hour++)
        close_some(store, T0 + hour * HOUR + 5, 600, (unsigned)hour, 443);
    snapshot_at(store, T0 + 5 * HOUR);
    upkeep_all(store);
    store_close(store);
    tell(place, "UPDATE snapshots SET status = 1"); /* there are no counts */
    assert_ok(maintain_check(place->path, &work, &findings, &err));
    assert_string_equal(line, "");
    assert_int_equal(findings, 0);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        tell(place, "CREATE TABLE was AS SELECT * FROM closed");
        tell(place, "CREATE TABLE told AS SELECT * FROM hours");
        tell(place, damages[i]);
        assert_ok(maintain_check(place->path, &work, &findings, &err));
        assert_string_equal(line + strcspn(line, ":"),
                            strstr(line, ": 1 stretches do not tell of all that closed in them"));
        assert_int_equal(findings, 1);
        line[0] = '\0';
        tell(place, "DELETE FROM closed; INSERT INTO closed SELECT * FROM was; DROP TABLE was;"
                    "DELETE FROM hours; INSERT INTO hours SELECT * FROM told; DROP TABLE told");
    }
    assert_ok(maintain_check(place->path, &work, &findings, &err));
    assert_int_equal(findings, 0);
}

/* Bytes that this process read from files so far; -1: the kernel does not tell. */
static int64_t bytes_read(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    int64_t bytes = -1;
    char line[64];

    if (!file)
        return -1;
    if (fgets(line, sizeof(line), file) && strncmp(line, "rchar: ", 7) == 0)
        bytes = strtoll(line + 7, NULL, 10);
    fclose(file);
    return bytes;
}

/* What opening a file with so many hours of sockets, a first batch, and the first step of upkeep behind it
 * read. */
static int64_t start_on(const struct place *place, int hours)
{
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};
    int64_t before;

    for (int hour = 0; hour < hours; hour++)
        close_some(store, T0 + hour * HOUR + 5, 600, (unsigned)hour % 200, 443);
    snapshot_at(store, T0 + (hours + 2) * HOUR);
    upkeep_all(store);
    store_close(store);
    before = bytes_read();
    store = open_store(place);
    begin_recording(store, BOOT_B, T0 + (hours + 3) * HOUR);
    close_some(store, T0 + (hours + 4) * HOUR, 20, 1, 443);
    assert_ok(store_upkeep(store, T0 + (hours + 4) * HOUR, &err));
    before = bytes_read() - before;
    store_close(store);
    return before;
}

static void a_start_reads_no_more_of_a_file_with_ten_times_as_much(void **state)
{
    struct place *place = *state, small = *place;
    int64_t few, many;

    if (bytes_read() < 0)
        skip();
    snprintf(small.path, sizeof(small.path), "%s/small.db", place->folder);
    few = start_on(&small, 20);
    many = start_on(place, 200);
    if (many > few * 3 / 2 + 65536)
        fail_msg("%lld bytes were read, and %lld of a tenth", (long long)many, (long long)few);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(hours_that_are_over_are_told),
        TEST(a_busy_hour_is_told_within_a_bound),
        TEST(what_comes_late_drops_what_was_told_of_its_hour),
        TEST(what_comes_while_an_hour_is_read_is_told),
        TEST(a_run_that_ends_between_goes_on_where_it_was),
        TEST(hours_go_with_their_sockets),
        TEST(a_check_finds_what_searches_would_miss),
        TEST(a_start_reads_no_more_of_a_file_with_ten_times_as_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
