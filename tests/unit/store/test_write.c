/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connhist/store/file.h"

#define T0 INT64_C(1763800000000)

struct seen {
    struct life lives[64];
    uint8_t histories[64][256];
    size_t n;
};

static int collect(void *arg, const struct life *life)
{
    struct seen *seen = arg;

    assert_true(seen->n < 64);
    memcpy(seen->histories[seen->n], life->history, life->history_bytes);
    seen->lives[seen->n] = *life;
    seen->lives[seen->n].history = seen->histories[seen->n];
    seen->n++;
    return 0;
}

static void each_open(struct store *store, struct seen *seen)
{
    const struct netns_ref own = {.id = 7, .inode = 4026531840};
    struct err err = {0};
    size_t skipped;

    memset(seen, 0, sizeof(*seen));
    assert_ok(store_each_open(store, &own, 1, collect, seen, &skipped, &err));
}

static void assert_same_life(const struct life *a, const struct life *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->cookie, b->cookie);
    assert_int_equal(a->since_ms, b->since_ms);
    assert_int_equal(a->ended_ms, b->ended_ms);
    assert_memory_equal(&a->local, &b->local, 16);
    assert_memory_equal(&a->remote, &b->remote, 16);
    assert_int_equal(a->local_port, b->local_port);
    assert_int_equal(a->remote_port, b->remote_port);
    assert_int_equal(a->scope_ifindex, b->scope_ifindex);
    assert_int_equal(a->inode, b->inode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->service.port, b->service.port);
    assert_int_equal(a->service.protocol, b->service.protocol);
    assert_int_equal(a->service.role, b->service.role);
    assert_int_equal(a->family, b->family);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->role_source, b->role_source);
    assert_int_equal(a->opened_known, b->opened_known);
    assert_int_equal(a->history_bytes, b->history_bytes);
    assert_memory_equal(a->history, b->history, a->history_bytes);
}

static void lives_of_every_form_come_back_the_same(void **state)
{
    static const struct {
        const char *local, *remote;
        uint16_t local_port, remote_port;
        int32_t service;
        uint8_t role, protocol;
        uint32_t scope, uid;
    } forms[] = {
        {"192.0.2.7", "192.0.2.1", 40000, 80, 80, ROLE_CLIENT, 6, 0, 0},
        {"192.0.2.7", "255.255.255.255", 80, 40000, 80, ROLE_SERVER, 6, 3, UINT32_MAX - 1},
        {"0.0.0.0", "0.0.0.0", 22, 0, 22, ROLE_SERVER, 6, 0, UID_UNKNOWN},
        {"::", "::", 22, 0, 22, ROLE_SERVER, 6, 0, 0},
        {"::ffff:10.0.0.1", "::ffff:10.0.0.2", 443, 50000, 443, ROLE_SERVER, 6, 0, 33},
        {"::ffff:10.0.0.1", "::ffff:0.0.0.0", 443, 50001, 443, ROLE_SERVER, 6, 0, 33},
        {"2001:db8::1", "2001:db8::2", 443, 443, 443, ROLE_CLIENT, 6, 0, 33},
        {"fe80::1", "fe80::2", 443, 443, 443, ROLE_SERVER, 6, 2, 33},
        {"::1", "::1", 55555, 0, 0, ROLE_CLIENT, 17, 0, 33},
        {"127.0.0.1", "127.0.0.1", 1, 2, SERVICE_PORT_OTHER, ROLE_CLIENT, 17, 0, 33},
        {"192.0.2.7", "192.0.2.1", 65535, 2, SERVICE_PORT_OTHER, ROLE_SERVER, 6, 0, 33},
        {"::", "::ffff:1.2.3.4", 0, 65535, 65535, ROLE_CLIENT, 17, 0, 33},
    };
    const size_t n = sizeof(forms) / sizeof(forms[0]);
    struct store *store = open_recording(*state, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life lives[sizeof(forms) / sizeof(forms[0])];
    struct seen seen;

    for (size_t i = 0; i < n; i++) {
        lives[i] = make_life(i + 1, T0 + 1);
        set_addresses(&lives[i], forms[i].local, forms[i].remote);
        lives[i].local_port = forms[i].local_port;
        lives[i].remote_port = forms[i].remote_port;
        lives[i].service.port = forms[i].service;
        lives[i].service.role = forms[i].role;
        lives[i].service.protocol = forms[i].protocol;
        lives[i].scope_ifindex = forms[i].scope;
        lives[i].uid = forms[i].uid;
        lives[i].cookie = UINT64_MAX - i;
        lives[i].inode = UINT32_MAX;
        lives[i].opened_known = i % 2;
        lives[i].role_source = (uint8_t)(i % 4 + 1);
        add_life(batch, &batch->opened, &lives[i]);
    }
    write_batch(store, batch);
    each_open(store, &seen);
    assert_int_equal(seen.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_same_life(&seen.lives[i], &lives[i]);
        assert_int_equal(seen.lives[i].service.netns, 7);
    }
    store_close(store);
}

static void lives_of_other_namespaces_are_not_given(void **state)
{
    const struct netns_ref other = {.id = 0, .inode = 1};
    struct store *store = open_recording(*state, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life life = make_life(1, T0 + 1);
    struct seen seen = {0};
    struct err err = {0};
    size_t skipped;

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    assert_ok(store_each_open(store, &other, 1, collect, &seen, &skipped, &err));
    assert_int_equal(seen.n, 0);
    assert_int_equal(skipped, 1);
    store_close(store);
}

static void a_closed_life_leaves_open_for_closed(void **state)
{
    static const uint8_t listened[] = {STATE_LISTEN};
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life life = make_life(1, T0 + 1), brief = make_life(2, T0 + 500),
                both = make_life(3, T0 + 600), listener = make_life(4, T0 + 700);

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 1);

    batch = make_batch(T0 + 1000);
    life.ended_ms = T0 + 1000;
    brief.ended_ms = T0 + 500;
    both.ended_ms = T0 + 900;
    listener.ended_ms = T0 + 900;
    listener.history = listened;
    add_life(batch, &batch->closed, &life);
    add_life(batch, &batch->closed, &brief);
    add_life(batch, &batch->opened, &both);
    add_life(batch, &batch->closed, &both);
    add_life(batch, &batch->closed, &listener);
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 4);
    assert_answer(place, "4", "SELECT group_concat(life) FROM closed");
    assert_answer(place, "999:1763800001000",
                  "SELECT duration_ms || ':' || (key >> 16 & (1 << 42) - 1) FROM closed "
                  "ORDER BY duration_ms DESC LIMIT 1");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed WHERE key >> 58 = 10"), 1);
    assert_int_equal(ask_number(place, "SELECT next_life FROM program"), 5);
    assert_int_equal(ask_number(place, "SELECT last_ms FROM program"), T0 + 1000);
    store_close(store);
}

static void a_changed_life_takes_the_place_of_its_row(void **state)
{
    static const uint8_t states[] = {STATE_ESTABLISHED, 100, STATE_CLOSE_WAIT};
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life life = make_life(1, T0 + 1);
    struct seen seen;

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    batch = make_batch(T0 + 1000);
    life.state = STATE_CLOSE_WAIT;
    life.uid = UID_UNKNOWN;
    life.history = states;
    life.history_bytes = sizeof(states);
    add_life(batch, &batch->changed, &life);
    write_batch(store, batch);
    each_open(store, &seen);
    assert_int_equal(seen.n, 1);
    assert_same_life(&seen.lives[0], &life);
    store_close(store);
}

static void a_full_batch_closes_what_it_does_not_name(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct seen seen;

    for (uint64_t i = 1; i <= 20; i++) {
        struct life life = make_life(i, T0 + 1);

        add_life(batch, &batch->opened, &life);
    }
    write_batch(store, batch);
    batch = make_batch(T0 + 5000);
    batch->snapshot.full = true;
    for (uint64_t i = 20; i > 15; i--) {
        struct life life = make_life(i, T0 + 1);

        add_life(batch, &batch->opened, &life);
    }
    for (uint64_t i = 14; i <= 15; i++) {
        struct life life = make_life(i, T0 + 1);

        life.ended_ms = T0 + 2000;
        add_life(batch, &batch->closed, &life);
    }
    write_batch(store, batch);
    each_open(store, &seen);
    assert_int_equal(seen.n, 5);
    assert_int_equal(seen.lives[0].number, 16);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM lives WHERE ended_ms = 1763800005000 "
                                       "AND since_ms = 1763800000001"),
                     13);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM lives WHERE ended_ms = 1763800002000"),
                     2);
    store_close(store);
}

static void a_failed_write_leaves_nothing_and_can_be_repeated(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 1);
    struct life life = make_life(1, T0 + 1), gone = make_life(2, T0 + 1);
    struct tally_change tally = {
        .service = {.netns = 99, .port = 1, .protocol = 6, .role = 1}, .count = 5, .state = 1};
    struct err err = {0};
    sqlite3 *other;

    set_addresses(&life, "2001:db8::1", "2001:db8::2");
    gone.ended_ms = T0 + 1;
    add_life(batch, &batch->opened, &life);
    add_life(batch, &batch->closed, &gone);
    assert_int_equal(vec_push(&batch->tallies, tally), 0);
    batch_seal(batch);

    /* fails after lives, dictionaries and snapshot were written: the namespace is not in the batch
     */
    assert_int_equal(store_write(store, batch, &err), -EINVAL);
    assert_int_equal(ask_number(place, "SELECT (SELECT count(*) FROM open) + (SELECT count(*) FROM "
                                       "closed) + (SELECT count(*) FROM addresses) + (SELECT "
                                       "count(*) FROM snapshots)"),
                     0);
    batch->tallies.items[0].service.netns = 0;

    assert_int_equal(sqlite3_open(place->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_write(store, batch, &err), -EBUSY);
    assert_non_null(strstr(err.text, place->path));
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);

    assert_ok(store_write(store, batch, &err));
    batch_free(batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM sockets"), 2);
    assert_answer(place, "2001:db8::2",
                  "SELECT remote_address FROM sockets WHERE closed_ms IS NULL");
    assert_int_equal(ask_number(place, "SELECT count FROM port_history"), 5);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    store_close(store);
}

static void more_than_65536_may_close_in_one_millisecond(void **state)
{
    enum { N = 70000 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    int64_t first, last;
    char sql[256];

    for (int part = 0; part < 2; part++) { /* the second begins without what was cached */
        struct batch *batch = make_batch(T0 + 2000 + part);

        for (uint64_t i = 0; i < N / 2; i++) {
            struct life life = make_life(i + 1, T0);

            life.ended_ms = T0 + 1023; /* one later, its class is another */
            add_life(batch, &batch->closed, &life);
        }
        write_batch(store, batch);
        store_close(store);
        store = open_recording(place, BOOT_A, T0 + 3000 + part);
    }
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), N);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed WHERE late_ms = 1"), N - 65536);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM lives WHERE since_ms = 1763800000000 "
                                       "AND ended_ms = 1763800001023"),
                     N);
    file_alive_range(11, T0, T0, &first, &last);
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM closed WHERE key BETWEEN %lld AND %lld",
             (long long)first, (long long)last);
    assert_int_equal(ask_number(place, sql), N - 65536);
    store_close(store);
}

static void the_dictionaries_stay_right_beyond_what_memory_holds(void **state)
{
    enum { N = 9000 };
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    for (int round = 0; round < 2; round++) {
        struct batch *batch = make_batch(T0 + 1 + round);

        for (unsigned i = 0; i < N; i++) {
            struct life life = make_life(i + 1, T0 + 1);

            set_addresses(&life, "2001:db8::1", "2001:db8::2");
            life.local.bytes[14] = life.remote.bytes[14] = (uint8_t)(i >> 8);
            life.local.bytes[15] = life.remote.bytes[15] = (uint8_t)i;
            life.ended_ms = T0 + 1 + round;
            add_life(batch, &batch->closed, &life);
        }
        write_batch(store, batch);
    }
    assert_int_equal(ask_number(place, "SELECT count(*) FROM addresses"), N);
    assert_int_equal(ask_number(place, "SELECT count(DISTINCT local) FROM closed"), N);
    assert_int_equal(ask_number(place, "SELECT max(n) FROM (SELECT count(*) AS n FROM closed "
                                       "GROUP BY local)"),
                     2);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed JOIN addresses ON id = local "
                                       "WHERE remote = bytes"),
                     2 * N);
    store_close(store);
}

static void everything_else_of_a_batch_is_written(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = make_batch(T0 + 10);
    struct queue_change queue = {.life = 9, .waiting = 3, .limit = 128};
    struct loss loss = {T0 + 1, T0 + 9, 4, LOSS_TICKS_MISSED, "suspended"};
    struct epoch epoch = {T0, -3600000};

    batch->snapshot = (struct snapshot){.start_ms = T0 + 10,
                                        .took_us = 11,
                                        .sockets = 12,
                                        .doubles = 13,
                                        .unkept = 14,
                                        .anchor = true};
    batch->cost = (struct recorder_cost){.cpu_ms = 15,
                                         .rss_bytes = 16,
                                         .queue_peak = 17,
                                         .ticks_missed = 18,
                                         .roles_guessed = 19,
                                         .services_other = 20,
                                         .closings = 21,
                                         .unconnected = 22,
                                         .unresolved = 23,
                                         .event_buffer = 24};
    assert_int_equal(vec_push(&batch->queues, queue), 0);
    assert_int_equal(vec_push(&batch->losses, loss), 0);
    assert_int_equal(vec_push(&batch->epochs, epoch), 0);
    write_batch(store, batch);
    assert_answer(place, "1763800000010 1 0 1 12 11 13 14",
                  "SELECT printf('%d %d %d %d %d %d %d %d', start_ms, recording, status, anchor, "
                  "sockets, took_us, doubles, unkept) FROM snapshots");
    assert_answer(place, "15 16 17 19 20 21 22 23 24",
                  "SELECT printf('%d %d %d %d %d %d %d %d %d', cpu_ms, rss_bytes, "
                  "queue_peak_bytes, roles_guessed, services_other, closings, unconnected, "
                  "unresolved, event_buffer) FROM recordings");
    assert_answer(place, "9 1763800000010 3 128",
                  "SELECT printf('%d %d %d %d', life, at_ms, waiting, backlog) FROM queues");
    assert_answer(place, "1763800000001 1763800000009 4 suspended ticks missed",
                  "SELECT printf('%d %d %d %s %s', from_ms, until_ms, count, text, name) "
                  "FROM losses JOIN loss_kinds USING (kind)");
    assert_answer(place, "1763800000000 -3600000",
                  "SELECT printf('%d %d', from_ms, offset_ms) FROM epochs");
    store_close(store);
}

/* In a process with a mount of its own; 77: may not mount. */
static int fill_a_small_disk(struct place *place)
{
    struct store_options options = {.path = place->path};
    struct store *store = NULL;
    struct err err = {0};
    char filler[300];
    int fd, r = 0;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", place->folder, "tmpfs", 0, "size=1m") < 0)
        return 77;
    snprintf(filler, sizeof(filler), "%s/filler", place->folder);
    if (store_open(&options, &store, &err) < 0)
        return 1;
    begin_recording(store, BOOT_A, T0);
    fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, filler, sizeof(filler)) > 0)
        ;
    close(fd);
    for (int64_t i = 1; i < 500 && r == 0; i++) { /* what the -wal has room for is written */
        struct batch *batch = make_batch(T0 + i);
        struct life life = make_life((uint64_t)i, T0 + i);

        add_life(batch, &batch->opened, &life);
        batch_seal(batch);
        r = store_write(store, batch, &err);
        if (r < 0) {
            if (r != -ENOSPC || !strstr(err.text, place->path))
                return 2;
            unlink(filler);
            if (store_write(store, batch, &err) < 0)
                return 3;
            if (ask_number(place, "SELECT count(*) = max(life) FROM open") != 1)
                return 4;
        }
        batch_free(batch);
    }
    store_close(store);
    return r == -ENOSPC ? 0 : 5;
}

static void a_full_disk_is_told_and_writing_goes_on_when_there_is_room(void **state)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(fill_a_small_disk(*state));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lives_of_every_form_come_back_the_same),
        TEST(lives_of_other_namespaces_are_not_given),
        TEST(a_closed_life_leaves_open_for_closed),
        TEST(a_changed_life_takes_the_place_of_its_row),
        TEST(a_full_batch_closes_what_it_does_not_name),
        TEST(a_failed_write_leaves_nothing_and_can_be_repeated),
        TEST(more_than_65536_may_close_in_one_millisecond),
        TEST(the_dictionaries_stay_right_beyond_what_memory_holds),
        TEST(a_full_disk_is_told_and_writing_goes_on_when_there_is_room),
        TEST(everything_else_of_a_batch_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
