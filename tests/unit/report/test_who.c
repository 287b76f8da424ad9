/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/report/sockets.h"
#include "connhist/report/who.h"
#include "record_file.h"

static const uint8_t listens[] = {STATE_LISTEN};
static const uint8_t established[] = {STATE_ESTABLISHED};
static const uint8_t bound_then_listens[] = {STATE_CLOSE, 0x90, 0x4e, STATE_LISTEN}; /* 10 s */

static const struct owner alpha = {.start_ms = 1000,
                                   .pid = 100,
                                   .uid = 33,
                                   .comm = "alpha",
                                   .exe = "/usr/bin/alpha",
                                   .unit = "a.service",
                                   .container = "",
                                   .cgroup = "/a"};

struct rows {
    VEC_FIELDS(struct who_row);
};

static int keep(void *arg, const struct who_row *row)
{
    struct rows *rows = arg;

    return vec_push(rows, *row);
}

/* Rows without what is valid during the call alone. */
static struct rows ask(struct record_file *file, const char *port, int64_t from_ms,
                       int64_t until_ms)
{
    struct who_question question = {.from_ms = from_ms, .until_ms = until_ms};
    _cleanup_(coverage_finish) struct coverage coverage = {0};
    struct rows rows = {0};
    struct err err = {0};

    assert_int_equal(filter_add_ports(&question.filter, port, NULL, &err), 0);
    if (coverage_load(file->db, &file->walltime, from_ms, until_ms, &coverage, NULL, &err) < 0 ||
        who_ask(file->db, &file->walltime, &question, NULL, &coverage, keep, &rows, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < rows.n; i++) {
        rows.items[i].owner = NULL;
        rows.items[i].netns = NULL;
    }
    return rows;
}

static void begin(struct record_file *file)
{
    record_file_init(file);
    record_begin(file, 'a', 9000, 10000);
}

static void add(struct record_file *file, struct life life, uint32_t owner, int64_t ended_ms)
{
    struct batch *batch = file->batch;

    life.owner = owner;
    life.opened_known = true;
    life.ended_ms = ended_ms;
    assert_int_equal(
        batch_add_life(batch, ended_ms == TIME_UNKNOWN ? &batch->opened : &batch->closed, &life),
        0);
}

static struct life server(uint64_t number, const uint8_t *states, size_t n, int64_t since_ms)
{
    return record_life(number, "0.0.0.0:80 0.0.0.0:0", ROLE_SERVER, states, n, since_ms);
}

static void a_stretch_is_known_to_within_two_snapshots(void **state)
{
    struct record_file file;
    struct rows rows;

    (void)state;
    begin(&file);
    for (int64_t at_ms = 10000; at_ms <= 60000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 60000) {
            assert_int_equal(batch_add_owner(file.batch, 1, &alpha), 0);
            add(&file, server(1, listens, 1, 20000), 1, 40000);
            add(&file, server(2, listens, 1, 40000), 1, TIME_UNKNOWN);
        }
        record_write(&file);
    }
    record_read(&file);
    rows = ask(&file, "80", 10000, 60000);
    assert_int_equal(rows.n, 1); /* no snapshot lies between */
    assert_int_equal(rows.items[0].use, WHO_LISTENER);
    assert_int_equal(rows.items[0].sockets, 2);
    assert_int_equal(rows.items[0].from_ms, 20000);
    assert_int_equal(rows.items[0].from_after_ms, 10000);
    assert_true(rows.items[0].open);
    assert_int_equal(rows.items[0].last_seen_ms, 60000);
    assert_true(rows.items[0].until_ms == TIME_UNKNOWN);
    assert_int_equal(rows.items[0].uid, 33);
    vec_finish(&rows);
    rows = ask(&file, "81", 10000, 60000);
    assert_int_equal(rows.n, 0);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void a_use_that_changes_ends_a_stretch(void **state)
{
    struct record_file file;
    struct rows rows;

    (void)state;
    begin(&file);
    for (int64_t at_ms = 10000; at_ms <= 60000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 60000)
            add(&file, server(1, bound_then_listens, sizeof(bound_then_listens), 20000), 0, 50000);
        record_write(&file);
    }
    record_read(&file);
    rows = ask(&file, "80", 10000, 60000);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.items[0].use, WHO_LISTENER);
    assert_int_equal(rows.items[0].from_ms, 30000);
    assert_int_equal(rows.items[0].until_ms, 50000);
    assert_int_equal(rows.items[1].use, WHO_BOUND);
    assert_int_equal(rows.items[1].from_ms, 20000);
    assert_int_equal(rows.items[1].until_ms, 30000);
    assert_int_equal(rows.items[0].uid, -1);
    vec_finish(&rows);
    /* at an instant there is one of them */
    rows = ask(&file, "80", 20000, 20000);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.items[0].use, WHO_BOUND);
    vec_finish(&rows);
    record_file_finish(&file);
}

static int note_pid(void *arg, const struct socket_row *row)
{
    *(int64_t *)arg = row->owner ? row->owner->pid : 0;
    return 0;
}

/* The process that a table of an instant names; 0: none; -1: no socket at all. */
static int64_t named_at(struct record_file *file, int64_t at_ms, uint32_t pid)
{
    struct filter filter = {.pid = pid};
    struct snapshot_choice choice;
    struct err err = {0};
    int64_t named = -1;

    if (sockets_choose(file->db, &file->walltime, at_ms, &choice, &err) < 0 ||
        sockets_at(file->db, &file->walltime, &choice, &filter, note_pid, &named, &err) < 0)
        fail_msg("%s", err.text);
    return named;
}

/* A forked B, which alone holds the listener in the end: B was not there from the beginning. */
static void nobody_is_named_before_its_process_started(void **state)
{
    struct owner beta = alpha;
    struct record_file file;
    struct rows rows;

    (void)state;
    beta.start_ms = 35000; /* the boot began at 0 */
    beta.pid = 200;
    begin(&file);
    for (int64_t at_ms = 10000; at_ms <= 60000; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        if (at_ms == 60000) {
            assert_int_equal(batch_add_owner(file.batch, 1, &beta), 0);
            add(&file, server(1, listens, 1, 20000), 1, TIME_UNKNOWN);
        }
        record_write(&file);
    }
    record_read(&file);
    rows = ask(&file, "80", 10000, 60000);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.items[0].from_ms, 20000);
    assert_int_equal(rows.items[0].until_ms, 35000);
    assert_int_equal(rows.items[0].uid, -1);
    assert_int_equal(rows.items[0].owner_source, OWNER_BY_NOTHING);
    assert_true(rows.items[0].process_started_ms == TIME_UNKNOWN);
    assert_int_equal(rows.items[1].from_ms, 35000);
    assert_true(rows.items[1].open);
    assert_int_equal(rows.items[1].process_started_ms, 35000);
    vec_finish(&rows);
    for (int64_t at_ms = 20000; at_ms <= 60000; at_ms += 10000) {
        rows = ask(&file, "80", at_ms, at_ms);
        assert_int_equal(rows.n, 1);
        assert_int_equal(rows.items[0].uid, at_ms < 35000 ? -1 : 33);
        vec_finish(&rows);
        assert_int_equal(named_at(&file, at_ms, 0), at_ms < 35000 ? 0 : 200);
        assert_int_equal(named_at(&file, at_ms, 200), at_ms < 35000 ? -1 : 200);
    }
    record_file_finish(&file);
}

#define LAST_MS INT64_C(600000)

struct span {
    int64_t from_ms, until_ms;
};

static bool alive(const struct span *spans, size_t n, int64_t at_ms)
{
    for (size_t i = 0; i < n; i++)
        if (spans[i].from_ms <= at_ms && at_ms < spans[i].until_ms)
            return true;
    return false;
}

/* Clients at random: at each snapshot somebody is there by the rows as by the sockets, and between
 * two rows lies a snapshot that saw nobody. */
static void check_random(unsigned seed)
{
    struct record_file file;
    struct span spans[24];
    struct rows rows;
    uint64_t sockets = 0;
    size_t n = 1 + seed % 24;

    srandom(seed);
    begin(&file);
    for (int64_t at_ms = 10000; at_ms <= LAST_MS; at_ms += 10000) {
        record_snapshot(&file, at_ms, at_ms == 10000);
        for (size_t i = 0; at_ms == LAST_MS && i < n; i++) {
            struct life life = record_life(i + 1, "192.0.2.1:40000 192.0.2.9:3306", ROLE_CLIENT,
                                           established, 1, 20000 + random() % 500000);

            spans[i] = (struct span){life.since_ms, life.since_ms + 1 + random() % 40000};
            add(&file, life, 0, spans[i].until_ms);
        }
        record_write(&file);
    }
    record_read(&file);
    rows = ask(&file, "3306", 10000, LAST_MS);
    assert_true(rows.n >= 1);
    for (int64_t at_ms = 10000; at_ms <= LAST_MS; at_ms += 10000) {
        bool shown = false;

        for (size_t i = 0; i < rows.n; i++)
            shown |= rows.items[i].first_seen_ms <= at_ms && at_ms < rows.items[i].until_before_ms;
        assert_true(shown || !alive(spans, n, at_ms));
        if (shown && !alive(spans, n, at_ms))
            fail_msg("seed %u: nobody was there at %lld", seed, (long long)at_ms);
    }
    for (size_t i = 0; i < rows.n; i++) {
        int64_t next_ms = i ? (rows.items[i - 1].until_before_ms + 9999) / 10000 * 10000 : 0;

        assert_int_equal(rows.items[i].use, WHO_CLIENT);
        sockets += rows.items[i].sockets;
        if (i)
            assert_true(next_ms < rows.items[i].first_seen_ms && !alive(spans, n, next_ms));
    }
    assert_int_equal(sockets, n);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void rows_and_sockets_agree_at_every_snapshot(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++)
        check_random(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_is_known_to_within_two_snapshots),
        cmocka_unit_test(a_use_that_changes_ends_a_stretch),
        cmocka_unit_test(nobody_is_named_before_its_process_started),
        cmocka_unit_test(rows_and_sockets_agree_at_every_snapshot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
