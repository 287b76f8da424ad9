/* SPDX-License-Identifier: MIT */
/* What the kernel told of closed sockets: facts, planned ends and their corrections, late facts. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"

#define T0 INT64_C(1763800000000)

/* argv[1], for cmocka's tests take no arguments of their own. */
static const char *first_edition;

static const struct life_facts some_facts = {.known = true,
                                             .sent_bytes = 100,
                                             .received_bytes = 1000,
                                             .segs_out = 5,
                                             .segs_in = 6,
                                             .retrans = 1,
                                             .rtt_us = 60};

struct seen {
    struct life lives[8];
    size_t n;
};

static int collect(void *arg, const struct life *life)
{
    static const uint8_t established[] = {STATE_ESTABLISHED};
    struct seen *seen = arg;

    assert_true(seen->n < 8);
    assert_int_equal(life->history_bytes, 1);
    seen->lives[seen->n] = *life;
    seen->lives[seen->n++].history = established;
    return 0;
}

static struct seen each_planned(struct store *store)
{
    const struct netns_ref own = {.id = 0, .inode = 4026531840};
    struct seen seen = {0};
    struct err err = {0};
    size_t skipped;

    assert_ok(store_each_planned(store, &own, 1, collect, &seen, &skipped, &err));
    assert_int_equal(skipped, 0);
    return seen;
}

static struct life closed_life(uint64_t number, int64_t since_ms, int64_t ended_ms)
{
    struct life life = make_life(number, since_ms);

    life.ended_ms = ended_ms;
    life.planned_ms = TIME_UNKNOWN;
    life.local_port = (uint16_t)(40000 + number);
    return life;
}

static void write_closed(struct store *store, int64_t at_ms, const struct life *lives, size_t n)
{
    struct batch *batch = make_batch(at_ms);

    for (size_t i = 0; i < n; i++)
        add_life(batch, &batch->closed, &lives[i]);
    write_batch(store, batch);
}

static void amend(struct store *store, int64_t at_ms, const struct life *life)
{
    struct batch *batch = make_batch(at_ms);

    add_life(batch, &batch->amended, life);
    write_batch(store, batch);
}

static void snapshot(struct store *store, int64_t at_ms)
{
    write_batch(store, make_batch(at_ms));
}

/* As a program of the first edition left it. */
static void make_first_edition(const struct place *place)
{
    static char sql[65536];
    size_t n;
    FILE *file;

    assert_non_null(first_edition);
    file = fopen(first_edition, "r");
    assert_non_null(file);
    n = fread(sql, 1, sizeof(sql) - 1, file);
    fclose(file);
    assert_true(n > 0 && n < sizeof(sql) - 1);
    tell(place, sql);
    tell(place, "PRAGMA user_version = 1; PRAGMA application_id = 0x636e6873; "
                "PRAGMA journal_mode = WAL;");
    tell(place,
         "INSERT INTO boots VALUES (1, '" BOOT_A "', 1763799995000);"
         "INSERT INTO recordings (boot, started_ms, interval_ms, detail, version, pid, uid) "
         "VALUES (1, 1763800000000, 1000, 'on', 'old', 1, 0);"
         "INSERT INTO netns (id, inode, name) VALUES (1, 4026531840, '');"
         "INSERT INTO services VALUES (1, 1, 6, 2, 80);"
         "INSERT INTO addresses (id, bytes) VALUES (1, x'c0000207');"
         "INSERT INTO snapshots VALUES (1763800001000, 1, 0, 1, 2, 10, 0, 0);"
         "INSERT INTO open VALUES (7, 77, 0, 1, 1, 3221225985, 40007, NULL, NULL, NULL, "
         "1763800000500, 81, x'01');"
         "INSERT INTO closed VALUES (9 << 58 | 1763800001000 << 16, 1, 1, 3221225985, 40008, NULL, "
         "NULL, NULL, 500, 0, 81, x'01', NULL);"
         "UPDATE program SET next_life = 9, last_ms = 1763800001000;");
}

static int edition_for_readers(const struct place *place)
{
    struct db *db = NULL;
    struct err err = {0};
    int edition;

    assert_ok(db_open(place->path, &db, &err));
    edition = db_edition(db);
    db_close(db);
    return edition;
}

static void a_file_of_the_first_edition_goes_on_with_its_rows(void **state)
{
    struct place *place = *state;
    struct store *store;
    struct life life = closed_life(9, T0 + 3000, T0 + 3500);

    make_first_edition(place);
    assert_int_equal(edition_for_readers(place), 1);
    store = open_store(place);
    assert_int_equal(edition_for_readers(place), file_edition());
    assert_int_equal(ask_number(place, "PRAGMA user_version"), file_edition());
    assert_answer(place, "40007||| 40008|unknown|| ",
                  "SELECT group_concat(printf('%d|%s|%s|%s ', local_port, closed_by, tx_bytes, "
                  "rtt_us), '') FROM (SELECT * FROM sockets ORDER BY local_port)");
    begin_recording(store, BOOT_A, T0 + 2000);
    life.closed_by = CLOSED_BY_LOCAL;
    life.facts = some_facts;
    write_closed(store, T0 + 4000, &life, 1);
    assert_answer(place, "40007 40008unknown 40009local",
                  "SELECT group_concat(local_port || coalesce(closed_by, ''), ' ') "
                  "FROM (SELECT * FROM sockets ORDER BY local_port)");
    assert_answer(place, "events lost", "SELECT name FROM loss_kinds WHERE kind = 6");
    assert_answer(place, "ok", "PRAGMA integrity_check");
    store_close(store);
}

static void facts_come_back_from_the_views(void **state)
{
    static const uint8_t by[] = {CLOSED_BY_UNKNOWN, CLOSED_BY_LOCAL, CLOSED_BY_REMOTE,
                                 CLOSED_BY_RESET, CLOSED_BY_TIMEOUT};
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[6];

    for (uint64_t i = 0; i < 6; i++) {
        lives[i] = closed_life(i + 1, T0, T0 + 900);
        lives[i].facts = some_facts;
        lives[i].facts.received_uncertain = i == 0;
        lives[i].facts.sent_bytes = i == 1 ? INT64_MAX : 100;
        lives[i].closed_by = i < 5 ? by[i] : CLOSED_BY_UNKNOWN;
    }
    lives[5].facts.known = false;
    write_closed(store, T0 + 1000, lives, 6);
    assert_answer(place, "unknown local remote reset timeout unknown",
                  "SELECT group_concat(closed_by, ' ') FROM (SELECT * FROM sockets "
                  "ORDER BY local_port)");
    assert_answer(place, "16 1 2 3 4 -",
                  "SELECT group_concat(coalesce(closed_by, '-'), ' ') FROM (SELECT * FROM closed "
                  "ORDER BY local_port)");
    assert_answer(place, "100 1000 1 60 1",
                  "SELECT tx_bytes || ' ' || rx_bytes || ' ' || rx_uncertain || ' ' || rtt_us || "
                  "' ' || retrans FROM sockets WHERE local_port = 40001");
    assert_answer(place, "9223372036854775807 5 6 0",
                  "SELECT tx_bytes || ' ' || segs_out || ' ' || segs_in || ' ' || rx_uncertain "
                  "FROM lives WHERE local_port = 40002");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM sockets WHERE tx_bytes IS NULL AND "
                                       "rx_bytes IS NULL AND rx_uncertain IS NULL AND rtt_us "
                                       "IS NULL AND retrans IS NULL AND local_port = 40006"),
                     1);
    assert_int_equal(ask_number(place, "SELECT count(life) FROM closed"), 0);
    store_close(store);
}

static void an_amended_end_takes_the_place_of_the_planned_one(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[2] = {closed_life(1, T0 + 100, T0 + 70000),
                            closed_life(2, T0 + 100, T0 + 70000)};

    write_closed(store, T0 + 1000, lives, 2);
    assert_int_equal(ask_number(place, "SELECT last_ms FROM program"), T0 + 1000);
    lives[0].planned_ms = T0 + 70000;
    lives[0].ended_ms = T0 + 1500;
    lives[0].closed_by = CLOSED_BY_LOCAL;
    lives[0].facts = some_facts;
    amend(store, T0 + 2000, &lives[0]);
    assert_answer(place, "40001:11:1400:1763800001500:100 40002:17:69900:1763800070000:-",
                  "SELECT group_concat(printf('%d:%d:%d:%d:', local_port, key >> 58, duration_ms, "
                  "(key >> 16 & (1 << 42) - 1)) || coalesce(sent_bytes, '-'), ' ') "
                  "FROM (SELECT * FROM closed ORDER BY local_port)");
    lives[1].planned_ms = T0 + 70000; /* of the same class: a later end */
    lives[1].ended_ms = T0 + 70900;
    amend(store, T0 + 3000, &lives[1]);
    lives[1].planned_ms = T0 + 70900;
    lives[1].ended_ms = T0 + 70900; /* only what is known of it changes */
    lives[1].closed_by = CLOSED_BY_REMOTE;
    amend(store, T0 + 4000, &lives[1]);
    assert_answer(
        place, "40001:local:1763800001500 40002:-:-",
        "SELECT group_concat(local_port || ':' || coalesce(closed_by, '-') || ':' || "
        "coalesce(closed_ms, '-'), ' ') FROM (SELECT * FROM sockets ORDER BY local_port)");
    write_batch(store, make_batch(T0 + 71000)); /* the end has come */
    assert_answer(place, "40001:local:1763800001500 40002:remote:1763800070900",
                  "SELECT group_concat(local_port || ':' || closed_by || ':' || closed_ms, ' ') "
                  "FROM (SELECT * FROM sockets ORDER BY local_port)");
    assert_int_equal(ask_number(place, "SELECT last_ms FROM program"), T0 + 71000);
    store_close(store);
}

static void an_amended_life_whose_row_is_gone_is_written_all_the_same(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life other = closed_life(1, T0 + 100, T0 + 70000),
                life = closed_life(2, T0 + 100, T0 + 900);

    write_closed(store, T0 + 1000, &other, 1);
    life.planned_ms = T0 + 70000;
    amend(store, T0 + 2000, &life);
    assert_answer(place, "70000 900",
                  "SELECT group_concat(ended_ms - 1763800000000, ' ') FROM "
                  "(SELECT * FROM lives ORDER BY local_port)");
    store_close(store);
}

static void rows_beyond_the_serials_of_a_millisecond_are_amended_too(void **state)
{
    enum { N = FILE_SERIALS + 5 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1000);
    struct life life = {0};

    for (uint64_t i = 0; i < N; i++) {
        life = closed_life(i + 1, T0, T0 + 65535); /* one later, its class is another */
        life.remote.bytes[3] = (uint8_t)(i >> 16);
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed WHERE late_ms = 1"), 5);
    life.planned_ms = life.ended_ms;
    life.ended_ms = T0 + 1500;
    amend(store, T0 + 2000, &life);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed WHERE late_ms = 1"), 4);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), N);
    store_close(store);
}

static void planned_ends_go_on_in_the_same_boot(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[3] = {closed_life(1, T0 + 100, T0 + 900),
                            closed_life(2, T0 + 100, T0 + 60500),
                            closed_life(3, T0 + 100, T0 + 1001)};
    struct batch *batch = make_batch(T0 + 1000);
    struct life again;
    struct seen seen;

    lives[1].closed_by = CLOSED_BY_LOCAL;
    lives[1].facts = some_facts;
    lives[1].facts.received_uncertain = true;
    lives[2].late_facts = true;
    for (size_t i = 0; i < 3; i++)
        add_life(batch, &batch->closed, &lives[i]);
    batch->snapshot.full = true; /* does not touch them */
    write_batch(store, batch);
    store_close(store);

    store = open_recording(place, BOOT_A, T0 + 2000);
    seen = each_planned(store);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.lives[0].number, 3); /* by class */
    assert_true(seen.lives[0].late_facts);
    assert_false(seen.lives[0].facts.known);
    assert_int_equal(seen.lives[0].planned_ms, T0 + 1001);
    again = seen.lives[1];
    assert_int_equal(again.number, 0);
    assert_int_equal(again.cookie, 0);
    assert_int_equal(again.since_ms, T0 + 100);
    assert_int_equal(again.ended_ms, T0 + 60500);
    assert_int_equal(again.planned_ms, T0 + 60500);
    assert_int_equal(again.local_port, 40002);
    assert_int_equal(again.remote_port, 80);
    assert_int_equal(again.closed_by, CLOSED_BY_LOCAL);
    assert_true(again.facts.known && again.facts.received_uncertain);
    assert_int_equal(again.facts.sent_bytes, 100);
    assert_int_equal(again.facts.received_bytes, 1000);
    assert_int_equal(again.facts.segs_out, 5);
    assert_int_equal(again.facts.segs_in, 6);
    assert_int_equal(again.facts.retrans, 1);
    assert_int_equal(again.facts.rtt_us, 60);

    again.ended_ms = T0 + 2500; /* as the ledger gives it back */
    amend(store, T0 + 3000, &again);
    assert_answer(place, "2400:17:100",
                  "SELECT duration_ms || ':' || closed_by || ':' || "
                  "sent_bytes FROM closed WHERE local_port = 40002");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 3);
    assert_int_equal(each_planned(store).n, 0);
    store_close(store);
}

static void another_boot_cuts_planned_ends_behind_the_last_snapshot(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[5] = {
        closed_life(1, T0 + 100, T0 + 900), closed_life(2, T0 + 100, T0 + 60500),
        closed_life(3, T0 + 100, T0 + 60500), closed_life(4, T0 + 100, T0 + 2001),
        closed_life(5, T0 - 3000000000, T0 + 60000)}; /* of the last class */

    lives[1].facts = some_facts;
    write_closed(store, T0 + 1000, lives, 5);
    snapshot(store, T0 + 2000);
    store_close(store);

    store = open_recording(place, BOOT_B, T0 + 90000);
    assert_answer(place, "900:800 2001:1901 2001:1901 2001:1901 2001:3000002001",
                  "SELECT group_concat(((key >> 16 & (1 << 42) - 1) - late_ms - 1763800000000) || "
                  "':' || duration_ms, ' ') FROM (SELECT * FROM closed ORDER BY local_port)");
    assert_answer(place, "10 11 11 11 31",
                  "SELECT group_concat(key >> 58, ' ') FROM (SELECT * FROM closed "
                  "ORDER BY local_port)");
    assert_int_equal(ask_number(place, "SELECT sent_bytes FROM closed WHERE local_port = 40002"),
                     100);
    snapshot(store, T0 + 91000);
    assert_int_equal(each_planned(store).n, 0);
    store_close(store);
}

static void late_facts_complete_a_closed_life(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[2] = {closed_life(1, T0, T0 + 900), closed_life(2, T0, T0 + 900)};
    struct late_facts late = {.life = 1, .closed_by = CLOSED_BY_RESET, .facts = some_facts};
    struct batch *batch;

    late.facts.received_uncertain = true;
    lives[0].late_facts = lives[1].late_facts = true;
    lives[1].closed_by = CLOSED_BY_LOCAL;
    write_closed(store, T0 + 1000, lives, 2);
    assert_answer(place, "1 2", "SELECT group_concat(life, ' ') FROM closed");
    batch = make_batch(T0 + 2000);
    assert_int_equal(vec_push(&batch->late, late), 0);
    late.life = 2;
    late.closed_by = CLOSED_BY_UNKNOWN;
    late.facts.received_uncertain = false;
    assert_int_equal(vec_push(&batch->late, late), 0);
    late.facts.sent_bytes = 200; /* the later one stands */
    assert_int_equal(vec_push(&batch->late, late), 0);
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 2);
    assert_answer(place, "reset:100:1000:1:60:1 local:200:1000:0:60:1",
                  "SELECT group_concat(closed_by || ':' || tx_bytes || ':' || rx_bytes || ':' || "
                  "rx_uncertain || ':' || rtt_us || ':' || retrans, ' ') "
                  "FROM (SELECT * FROM sockets ORDER BY local_port)");
    assert_answer(place, "5:6 5:6",
                  "SELECT group_concat(segs_out || ':' || segs_in, ' ') FROM lives");
    store_close(store);
}

static void a_life_closed_by_absence_in_a_full_snapshot_keeps_its_number(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1000);
    struct life life = make_life(5, T0 + 1000);
    struct late_facts late = {.life = 5, .closed_by = CLOSED_BY_REMOTE, .facts = some_facts};

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    batch = make_batch(T0 + 2000);
    batch->snapshot.full = true;
    assert_int_equal(vec_push(&batch->late, late), 0);
    write_batch(store, batch);
    assert_answer(place, "remote 100", "SELECT closed_by || ' ' || tx_bytes FROM sockets");
    store_close(store);
}

/* Not asserted: it hangs on SQLite's way of splitting pages. */
static void what_a_row_costs_is_told(void **state)
{
    enum { TICKS = 10, PER_TICK = 4000 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct stat before, after;
    char remote[32];

    store_close(store);
    assert_int_equal(stat(place->path, &before), 0);
    store = open_recording(place, BOOT_A, T0);
    for (int tick = 0; tick < TICKS; tick++) {
        struct batch *batch = make_batch(T0 + (tick + 1) * 2000);

        for (int i = 0; i < PER_TICK; i++) {
            int64_t at_ms = T0 + tick * 2000 + i / 2;
            struct life life = closed_life(0, at_ms, i % 2 ? at_ms + 60000 + i % 5 : at_ms + i % 5);

            life.number = (uint64_t)(tick * PER_TICK + i + 1);
            snprintf(remote, sizeof(remote), "10.0.0.%d", i % 50 + 1);
            set_addresses(&life, "10.0.1.1", remote);
            life.local_port = (uint16_t)(32768 + life.number % 28000);
            life.closed_by = i % 2 ? CLOSED_BY_LOCAL : CLOSED_BY_REMOTE;
            life.facts = some_facts;
            life.facts.retrans = 0;
            add_life(batch, &batch->closed, &life);
        }
        write_batch(store, batch);
    }
    store_close(store);
    assert_int_equal(stat(place->path, &after), 0);
    print_message("%.1f bytes for each closed connection\n",
                  (double)(after.st_size - before.st_size) / (TICKS * PER_TICK));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

static void a_full_batch_takes_back_ends_that_it_does_not_name(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct life lives[2] = {closed_life(1, T0 + 100, T0 + 60100),
                            closed_life(2, T0 + 100, T0 + 60100)};
    struct batch *batch = make_batch(T0 + 3000);

    write_closed(store, T0 + 1000, lives, 2);
    lives[1].planned_ms = T0 + 60100; /* it goes on; the other one ended in a batch that was lost */
    batch->snapshot.full = true;
    assert_int_equal(batch_add_life(batch, &batch->amended, &lives[1]), 0);
    write_batch(store, batch);
    write_batch(store, make_batch(T0 + 61000));
    assert_answer(place, "40001:1763800003000 40002:1763800060100",
                  "SELECT group_concat(local_port || ':' || closed_ms, ' ') "
                  "FROM (SELECT * FROM sockets ORDER BY local_port)");
    store_close(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_of_the_first_edition_goes_on_with_its_rows),
        TEST(facts_come_back_from_the_views),
        TEST(an_amended_end_takes_the_place_of_the_planned_one),
        TEST(a_full_batch_takes_back_ends_that_it_does_not_name),
        TEST(an_amended_life_whose_row_is_gone_is_written_all_the_same),
        TEST(rows_beyond_the_serials_of_a_millisecond_are_amended_too),
        TEST(planned_ends_go_on_in_the_same_boot),
        TEST(another_boot_cuts_planned_ends_behind_the_last_snapshot),
        TEST(late_facts_complete_a_closed_life),
        TEST(a_life_closed_by_absence_in_a_full_snapshot_keeps_its_number),
        TEST(what_a_row_costs_is_told),
    };

    first_edition = argc > 1 ? argv[1] : NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
