/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/model/history.h"
#include "connhist/report/sockets.h"
#include "connhist/report/trend.h"
#include "record_file.h"

struct rows {
    VEC_FIELDS(struct socket_row);
};

static int keep(void *arg, const struct socket_row *row)
{
    struct rows *rows = arg;

    return vec_push(rows, *row);
}

static struct rows at(struct record_file *file, int64_t at_ms, const struct filter *filter)
{
    struct snapshot_choice choice;
    struct rows rows = {0};
    struct err err = {0};

    assert_int_equal(sockets_choose(file->db, &file->walltime, at_ms, &choice, &err), 0);
    assert_true(choice.found);
    if (sockets_at(file->db, &file->walltime, &choice, filter, keep, &rows, &err) < 0)
        fail_msg("%s", err.text);
    return rows;
}

static struct rows list(struct record_file *file, const struct list_question *question)
{
    struct rows rows = {0};
    struct err err = {0};

    if (sockets_list(file->db, &file->walltime, question, keep, &rows, &err) < 0)
        fail_msg("%s", err.text);
    return rows;
}

static void add(struct record_file *file, struct life life, int64_t ended_ms)
{
    life.ended_ms = ended_ms;
    assert_int_equal(
        batch_add_life(file->batch,
                       ended_ms == TIME_UNKNOWN ? &file->batch->opened : &file->batch->closed,
                       &life),
        0);
}

static const uint8_t listen_states[] = {STATE_LISTEN};
static const uint8_t established[] = {STATE_ESTABLISHED};
/* 10 s ESTABLISHED, 20 s CLOSE_WAIT, then TIME_WAIT (which no socket does, but it shows the times)
 */
static const uint8_t many[] = {STATE_ESTABLISHED, 0x90, 0x4e, STATE_CLOSE_WAIT, 0xa0, 0x9c, 0x01,
                               STATE_TIME_WAIT};

/* Snapshots each 10 s from 10 s to 60 s, the one of 40 s interrupted. */
static void make_file(struct record_file *file)
{
    struct life life;

    record_file_init(file);
    record_begin(file, 'a', 9000, 10000);
    record_snapshot(file, 10000, true);
    record_write(file);
    record_snapshot(file, 20000, false);
    life = record_life(1, "[::]:80 [::]:0", ROLE_SERVER, listen_states, 1, 5000);
    life.uid = 33;
    add(file, life, TIME_UNKNOWN);
    assert_int_equal(vec_push(&file->batch->queues, ((struct queue_change){1, 3, 128})), 0);
    record_write(file);
    record_snapshot(file, 30000, false);
    assert_int_equal(vec_push(&file->batch->queues, ((struct queue_change){1, 7, 128})), 0);
    life =
        record_life(2, "[::ffff:10.0.0.1]:80 [::ffff:10.0.0.2]:40000", ROLE_SERVER, many, 8, 20000);
    life.opened_known = true;
    add(file, life, 55000);
    add(file, record_life(3, "10.0.0.1:50000 10.0.0.3:443", ROLE_CLIENT, established, 1, 30000),
        TIME_UNKNOWN);
    record_write(file);
    record_interrupted(file, 40000);
    record_write(file);
    record_snapshot(file, 50000, false);
    record_write(file);
    record_snapshot(file, 60000, false);
    record_write(file);
    record_read(file);
}

static void the_snapshot_before_an_instant_stands_for_it(void **state)
{
    struct snapshot_choice choice;
    struct record_file file;
    struct err err = {0};

    (void)state;
    make_file(&file);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 9999, &choice, &err), 0);
    assert_false(choice.found);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 44000, &choice, &err), 0);
    assert_true(choice.found);
    assert_int_equal(choice.snapshot_ms, 30000);
    assert_int_equal(choice.distance_ms, 14000);
    assert_false(choice.in_gap || choice.ambiguous);
    assert_string_equal(choice.detail, "on");
    assert_int_equal(sockets_choose(file.db, &file.walltime, 49000, &choice, &err), 0);
    assert_true(choice.in_gap);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 60000, &choice, &err), 0);
    assert_int_equal(choice.record_ms, 60000);
    assert_int_equal(choice.distance_ms, 0);
    record_file_finish(&file);
}

static void the_table_of_an_instant_has_what_was_alive_then(void **state)
{
    struct filter any = {0};
    struct record_file file;
    struct rows rows;

    (void)state;
    make_file(&file);
    rows = at(&file, 10000, &any);
    assert_int_equal(rows.n, 1); /* the listener's first instant lies before the first snapshot */
    assert_int_equal(rows.items[0].recv_queue, -1);
    assert_int_equal(rows.items[0].opened_after_ms, TIME_UNKNOWN);
    vec_finish(&rows);

    rows = at(&file, 35000, &any);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.items[0].state, STATE_LISTEN);
    assert_int_equal(rows.items[0].recv_queue, 7);
    assert_int_equal(rows.items[0].send_queue, 128);
    assert_int_equal(rows.items[0].uid, 33);
    assert_int_equal(rows.items[0].family, AF_INET6);
    assert_true(address_is_any(AF_INET6, &rows.items[0].remote));
    assert_int_equal(rows.items[0].opened_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[0].first_seen_ms, 5000);

    assert_int_equal(rows.items[1].state, STATE_CLOSE_WAIT);
    assert_int_equal(rows.items[1].local_port, 80);
    assert_int_equal(rows.items[1].remote_port, 40000);
    assert_true(address_is_mapped(AF_INET6, &rows.items[1].remote));
    assert_int_equal(rows.items[1].close_wait_ms, 30000);
    assert_int_equal(rows.items[1].time_wait_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[1].state_since_ms, 30000);
    assert_int_equal(rows.items[1].opened_ms, 20000);
    assert_int_equal(rows.items[1].opened_after_ms, 10000);
    assert_int_equal(rows.items[1].closed_ms, 55000);
    assert_int_equal(rows.items[1].uid, -1);
    assert_int_equal(rows.items[1].recv_queue, -1);

    assert_int_equal(rows.items[2].local_port, 50000);
    assert_int_equal(rows.items[2].role, ROLE_CLIENT);
    assert_int_equal(rows.items[2].closed_ms, TIME_UNKNOWN);
    vec_finish(&rows);

    rows = at(&file, 60000, &any);
    assert_int_equal(rows.n, 2);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void a_port_matches_at_either_end(void **state)
{
    struct filter filter = {0};
    struct record_file file;
    struct err err = {0};
    struct rows rows;

    (void)state;
    make_file(&file);
    assert_int_equal(filter_add_ports(&filter, "443,40000", NULL, &err), 0);
    rows = at(&file, 50000, &filter);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.items[0].state, STATE_TIME_WAIT);
    vec_finish(&rows);
    filter = (struct filter){.no_listeners = true, .family = AF_INET6};
    rows = at(&file, 50000, &filter);
    assert_int_equal(rows.n, 1);
    vec_finish(&rows);
    filter = (struct filter){.role = ROLE_CLIENT};
    rows = at(&file, 50000, &filter);
    assert_int_equal(rows.n, 1);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void a_list_has_all_that_lived_in_its_span(void **state)
{
    struct list_question question = {.since_ms = 50000, .until_ms = 60000};
    struct record_file file;
    struct rows rows;

    (void)state;
    make_file(&file);
    rows = list(&file, &question);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.items[0].first_seen_ms, 5000);
    assert_int_equal(rows.items[1].first_seen_ms, 20000);
    assert_int_equal(rows.items[1].state, STATE_TIME_WAIT);
    assert_int_equal(rows.items[1].time_wait_ms, 50000);
    assert_int_equal(rows.items[2].first_seen_ms, 30000);
    vec_finish(&rows);

    question.open_only = true;
    rows = list(&file, &question);
    assert_int_equal(rows.n, 2);
    vec_finish(&rows);

    question = (struct list_question){.since_ms = 55000, .until_ms = 60000};
    rows = list(&file, &question); /* gone at 55 s */
    assert_int_equal(rows.n, 2);
    vec_finish(&rows);

    question = (struct list_question){.since_ms = 10000, .until_ms = 30000};
    question.filter.states = 1 << STATE_CLOSE_WAIT;
    rows = list(&file, &question); /* it began at 30 s */
    assert_int_equal(rows.n, 0);
    question.until_ms = 30001;
    rows = list(&file, &question);
    assert_int_equal(rows.n, 1);
    vec_finish(&rows);
    question = (struct list_question){.since_ms = 50000, .until_ms = 51000};
    question.filter.states = 1 << STATE_CLOSE_WAIT;
    rows = list(&file, &question); /* it ended at 50 s */
    assert_int_equal(rows.n, 0);
    question.since_ms = 49999;
    rows = list(&file, &question);
    assert_int_equal(rows.n, 1);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void an_opening_is_not_bound_by_another_boot(void **state)
{
    struct list_question question = {.until_ms = 200000};
    struct record_file file;
    struct rows rows;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    add(&file, record_life(1, "10.0.0.1:1 10.0.0.2:2", ROLE_SERVER, established, 1, 10000), 10001);
    record_write(&file);
    record_begin(&file, 'a', 19000, 10000); /* another run of the same boot */
    record_snapshot(&file, 20000, true);
    add(&file, record_life(2, "10.0.0.1:1 10.0.0.2:3", ROLE_SERVER, established, 1, 20000), 20001);
    record_write(&file);
    record_begin(&file, 'b', 99000, 10000);
    record_snapshot(&file, 100000, true);
    add(&file, record_life(3, "10.0.0.1:1 10.0.0.2:4", ROLE_SERVER, established, 1, 98000), 100001);
    add(&file, record_life(4, "10.0.0.1:1 10.0.0.2:5", ROLE_SERVER, established, 1, 100000),
        100001);
    record_write(&file);
    record_snapshot(&file, 110000, false);
    add(&file, record_life(5, "10.0.0.1:1 10.0.0.2:6", ROLE_SERVER, established, 1, 105000),
        110001);
    record_write(&file);
    record_read(&file);
    rows = list(&file, &question);
    assert_int_equal(rows.n, 5);
    assert_int_equal(rows.items[0].opened_after_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[1].opened_after_ms, 10000);
    assert_int_equal(rows.items[2].opened_after_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[3].opened_after_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[4].opened_after_ms, 100000);
    vec_finish(&rows);
    record_file_finish(&file);
}

static int stop(void *arg, const struct socket_row *row)
{
    (void)row;
    (*(int *)arg)++;
    return -ECANCELED;
}

static void a_row_function_may_end_the_query(void **state)
{
    struct list_question question = {.until_ms = 60000};
    struct snapshot_choice choice;
    struct record_file file;
    struct err err = {0};
    int calls = 0;

    (void)state;
    make_file(&file);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 50000, &choice, &err), 0);
    assert_int_equal(
        sockets_at(file.db, &file.walltime, &choice, &question.filter, stop, &calls, &err),
        -ECANCELED);
    assert_int_equal(sockets_list(file.db, &file.walltime, &question, stop, &calls, &err),
                     -ECANCELED);
    assert_int_equal(calls, 2);
    record_file_finish(&file);
}

#define SNAPSHOTS 40
#define LIVES     600

/* A made-up life, and its state at each snapshot; 0: not there. */
struct made {
    struct life life;
    uint8_t history[64];
    uint8_t at[SNAPSHOTS];
};

static void make_life(struct made *made, uint64_t number)
{
    int64_t now_ms = 500 + rand() % (SNAPSHOTS * 1000),
            until_ms = now_ms + 1 + rand() % (1 << rand() % 16);
    uint8_t state = (uint8_t)(1 + rand() % 11);
    size_t n = 0, changes = (size_t)rand() % 6;
    char ends[128];

    snprintf(ends, sizeof(ends),
             rand() % 2 ? "10.0.0.%d:%d 10.1.0.%d:%d" : "[2001:db8::%d]:%d [::ffff:10.1.0.%d]:%d",
             1 + rand() % 3, rand() % 2 ? 80 : 1 + rand() % 60000, 1 + rand() % 4,
             1 + rand() % 60000);
    made->history[n++] = state;
    memset(made->at, 0, sizeof(made->at));
    for (int64_t since_ms = now_ms;; changes--) {
        int64_t next_ms = now_ms + 1 + rand() % 4000;

        if (changes == 0 || next_ms >= until_ms)
            next_ms = until_ms;
        for (int i = 0; i < SNAPSHOTS; i++)
            if ((i + 1) * 1000 >= now_ms && (i + 1) * 1000 < next_ms)
                made->at[i] = state;
        if (next_ms == until_ms) {
            made->life = record_life(number, ends, rand() % 2 ? ROLE_SERVER : ROLE_CLIENT,
                                     made->history, n, since_ms);
            break;
        }
        n += history_put_number(made->history + n, (uint64_t)(next_ms - now_ms));
        state = (uint8_t)(1 + rand() % 11);
        made->history[n++] = state;
        now_ms = next_ms;
    }
    made->life.uid = rand() % 3 ? (uint32_t)rand() % 4 : UID_UNKNOWN;
    made->life.ended_ms = until_ms > SNAPSHOTS * 1000 ? TIME_UNKNOWN : until_ms;
}

static int find(const struct made *made, const bool *used, size_t snapshot,
                const struct socket_row *row)
{
    for (int i = 0; i < LIVES; i++) {
        const struct life *life = &made[i].life;

        if (!used[i] && made[i].at[snapshot] == row->state && life->family == row->family &&
            memcmp(&life->local, &row->local, 16) == 0 &&
            memcmp(&life->remote, &row->remote, 16) == 0 && life->local_port == row->local_port &&
            life->remote_port == row->remote_port &&
            row->uid == (life->uid == UID_UNKNOWN ? -1 : (int64_t)life->uid))
            return i;
    }
    return -1;
}

static void check_table(struct record_file *file, const struct made *made, size_t snapshot)
{
    struct filter any = {0};
    struct rows rows = at(file, (int64_t)(snapshot + 1) * 1000, &any);
    bool used[LIVES] = {false};
    size_t alive = 0;

    for (size_t i = 0; i < LIVES; i++)
        alive += made[i].at[snapshot] != 0;
    assert_int_equal(rows.n, alive);
    for (size_t i = 0; i < rows.n; i++) {
        int which = find(made, used, snapshot, &rows.items[i]);

        assert_int_not_equal(which, -1);
        used[which] = true;
    }
    vec_finish(&rows);
}

/* The last byte of the IPv4 address in a peer's text stands for it. */
static void check_peers(const struct trend *trend, const struct made *made)
{
    for (size_t s = 0; s < trend->series.n; s++) {
        const struct trend_series *series = &trend->series.items[s];

        assert_int_equal(series->points.n, SNAPSHOTS);
        for (size_t i = 0; i < SNAPSHOTS; i++) {
            int64_t count = 0;

            for (size_t life = 0; life < LIVES; life++) {
                char peer[ADDRESS_TEXT_MAX];

                address_format(made[life].life.family, &made[life].life.remote, peer);
                count +=
                    made[life].at[i] == series->state &&
                    strcmp(strrchr(peer, ':') ? strrchr(peer, ':') + 1 : peer, series->peer) == 0;
            }
            assert_int_equal(series->points.items[i].last, count);
        }
    }
}

static void random_lives_equal_what_came_in(void **state)
{
    static struct made made[LIVES];
    struct trend_question question = {.since_ms = 1000,
                                      .until_ms = SNAPSHOTS * 1000 + 1000,
                                      .step_ms = 1000,
                                      .by = TREND_BY_PEER | TREND_BY_STATE};
    struct record_file file;
    struct trend trend;
    struct err err = {0};

    (void)state;
    srand(20261122);
    record_file_init(&file);
    record_begin(&file, 'a', 500, 1000);
    for (int64_t i = 1; i < SNAPSHOTS; i++) {
        record_snapshot(&file, i * 1000, i == 1);
        record_write(&file);
    }
    record_snapshot(&file, SNAPSHOTS * 1000, false);
    for (size_t i = 0; i < LIVES; i++) {
        make_life(&made[i], i + 1);
        /* what begins behind the last snapshot is not known to it */
        if (made[i].life.since_ms <= SNAPSHOTS * 1000)
            add(&file, made[i].life, made[i].life.ended_ms);
    }
    record_write(&file);
    record_read(&file);
    for (size_t i = 0; i < SNAPSHOTS; i++)
        check_table(&file, made, i);
    assert_int_equal(trend_ask(file.db, &file.walltime, &question, &trend, &err), 0);
    assert_true(trend.series.n >= 4);
    check_peers(&trend, made);
    trend_finish(&trend);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_snapshot_before_an_instant_stands_for_it),
        cmocka_unit_test(the_table_of_an_instant_has_what_was_alive_then),
        cmocka_unit_test(a_port_matches_at_either_end),
        cmocka_unit_test(a_list_has_all_that_lived_in_its_span),
        cmocka_unit_test(an_opening_is_not_bound_by_another_boot),
        cmocka_unit_test(a_row_function_may_end_the_query),
        cmocka_unit_test(random_lives_equal_what_came_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
