/* SPDX-License-Identifier: MIT */
/* Rows of `closed` go into the file several at a time, with what is the same as in the rows before left
 * bound. Read back with SQLite alone. */
#include "support.h"

#include <stdio.h>
#include <sys/socket.h>

#define T0 INT64_C(1763800000000)

enum { BATCHES = 3, PER_BATCH = 53, SAME_MS = 40, OTHER_MS = 1200 };

/* Every kind of column is there and lacking, in turns of different lengths. */
static struct life life_of(unsigned i)
{
    struct life life = make_life(i + 1, T0 + i);
    char remote[64];

    life.ended_ms = T0 + 1000 + (i * 37 % PER_BATCH) * 10;
    life.planned_ms = TIME_UNKNOWN;
    life.untold = true;
    life.local_port = (uint16_t)(30000 + i);
    life.scope_ifindex = i % 7 == 0 ? i + 1 : 0;
    life.closed_by = (uint8_t)(i % 5);
    if (i % 4 == 1) {
        life.family = AF_INET6;
        snprintf(remote, sizeof(remote), "fd00::%x", i + 1);
        set_addresses(&life, "fd00::ffff", remote);
    } else {
        snprintf(remote, sizeof(remote), "10.1.%u.%u", i / 100, i % 100);
        set_addresses(&life, "10.0.0.1", remote);
    }
    if (i % 3)
        life.facts = (struct life_facts){.known = true,
                                         .sent_bytes = i % 2 ? 100 : i,
                                         .received_bytes = (uint64_t)i << 33,
                                         .segs_out = i,
                                         .segs_in = 7,
                                         .retrans = i % 6 == 2,
                                         .rtt_us = 50 + i};
    return life;
}

/* What the row of life_of(i) is to be. */
static void expect(unsigned i, char *buf, size_t n)
{
    static const char *const closed_by[] = {"-", "1", "2", "3", "4"};
    char scope[16] = "-", facts[128] = "- - - - - -";

    if (i % 7 == 0)
        snprintf(scope, sizeof(scope), "%u", i + 1);
    if (i % 3)
        snprintf(facts, sizeof(facts), "%u %llu %u 7 %d %u", i % 2 ? 100 : i,
                 (unsigned long long)i << 33, i, i % 6 == 2, 50 + i);
    snprintf(buf, n, "%s %s %s %lld", scope, closed_by[i % 5], facts,
             (long long)(1000 + (i * 37 % PER_BATCH) * 10 - i));
}

static void rows_written_together_tell_each_its_own(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    char sql[512], expected[256], remote[64];

    for (unsigned b = 0; b < BATCHES; b++) {
        struct batch *batch = make_batch(T0 + 2000 * (b + 1));

        for (unsigned i = b * PER_BATCH; i < (b + 1) * PER_BATCH; i++) {
            struct life life = life_of(i);

            add_life(batch, &batch->closed, &life);
        }
        write_batch(store, batch);
    }
    store_close(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), BATCHES * PER_BATCH);
    for (unsigned i = 0; i < BATCHES * PER_BATCH; i++) {
        snprintf(
            sql, sizeof(sql),
            "SELECT concat.text FROM (SELECT local_port & 65535 AS port, coalesce(scope, '-') || "
            "' ' || coalesce(closed_by, '-') || ' ' || coalesce(sent_bytes, '-') || ' ' || "
            "coalesce(received_bytes, '-') || ' ' || coalesce(segs_out, '-') || ' ' || "
            "coalesce(segs_in, '-') || ' ' || coalesce(retrans, '-') || ' ' || "
            "coalesce(rtt_us, '-') || ' ' || duration_ms AS text FROM closed) AS concat "
            "WHERE port = %u",
            30000 + i);
        expect(i, expected, sizeof(expected));
        assert_answer(place, expected, sql);
        if (i % 4 == 1)
            snprintf(remote, sizeof(remote), "fd00::%x", i + 1);
        else
            snprintf(remote, sizeof(remote), "10.1.%u.%u", i / 100, i % 100);
        snprintf(sql, sizeof(sql), "SELECT remote_address FROM sockets WHERE local_port = %u",
                 30000 + i);
        assert_answer(place, remote, sql);
    }
}

static void add_at(struct batch *batch, uint64_t number, int64_t ended_ms)
{
    struct life life = make_life(number, ended_ms - 5);

    life.ended_ms = ended_ms;
    life.planned_ms = TIME_UNKNOWN;
    life.untold = true;
    add_life(batch, &batch->closed, &life);
}

/* More milliseconds than there is memory for lie between, so that serials are looked for in the file. */
static void rows_of_one_millisecond_in_several_batches_all_have_a_key(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    uint64_t number = 1;

    for (int b = 0; b < BATCHES; b++) {
        struct batch *batch = make_batch(T0 + 2000 * (b + 1));

        for (int i = 0; i < OTHER_MS; i++)
            add_at(batch, number++, T0 + i);
        for (int i = 0; i < SAME_MS; i++)
            add_at(batch, number++, T0 + 500);
        write_batch(store, batch);
    }
    store_close(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"),
                     BATCHES * (OTHER_MS + SAME_MS));
    assert_int_equal(ask_number(place,
                                "SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) "
                                "- late_ms = 1763800000500"),
                     BATCHES * (SAME_MS + 1));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed WHERE late_ms <> 0"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_written_together_tell_each_its_own),
        TEST(rows_of_one_millisecond_in_several_batches_all_have_a_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
