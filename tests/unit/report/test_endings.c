/* SPDX-License-Identifier: MIT */
/* How connections ended, and those whose end is only planned. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "connhist/model/history.h"
#include "connhist/report/sockets.h"
#include "record_file.h"

struct rows {
    VEC_FIELDS(struct socket_row);
};

static int keep(void *arg, const struct socket_row *row)
{
    struct rows *rows = arg;

    return vec_push(rows, *row);
}

static struct rows list(struct record_file *file, const struct list_question *question)
{
    struct rows rows = {0};
    struct err err = {0};

    if (sockets_list(file->db, &file->walltime, question, keep, &rows, &err) < 0)
        fail_msg("%s", err.text);
    return rows;
}

static const uint8_t established[] = {STATE_ESTABLISHED};
/* 8 s ESTABLISHED, then TIME_WAIT */
static const uint8_t waits[] = {STATE_ESTABLISHED, 0xc0, 0x3e, STATE_TIME_WAIT};

static struct life a_life(uint64_t number, int64_t since_ms, int64_t ended_ms)
{
    char ends[64];
    struct life life;

    snprintf(ends, sizeof(ends), "10.0.0.1:80 10.0.0.2:%d", (int)number);
    life = record_life(number, ends, ROLE_SERVER, established, 1, since_ms);
    life.ended_ms = ended_ms;
    life.opened_known = true;
    return life;
}

static void close_life(struct record_file *file, const struct life *life)
{
    assert_int_equal(batch_add_life(file->batch, &file->batch->closed, life), 0);
}

/* Snapshots at 10, 20 and 30 s. */
static void make_file(struct record_file *file)
{
    struct late_facts late = {
        .life = 3,
        .closed_by = CLOSED_BY_RESET,
        .facts = {.known = true, .received_uncertain = true, .received_bytes = 9, .rtt_us = 50},
    };
    struct life life;

    record_file_init(file);
    record_begin(file, 'a', 9000, 10000);
    record_snapshot(file, 10000, true);
    record_write(file);
    record_snapshot(file, 20000, false);
    life = a_life(1, 12000, 15000);
    life.closed_by = CLOSED_BY_LOCAL;
    life.facts = (struct life_facts){.known = true,
                                     .sent_bytes = INT64_C(5000000000),
                                     .received_bytes = 7,
                                     .segs_out = 4000000000,
                                     .segs_in = 3,
                                     .retrans = 2,
                                     .rtt_us = 321};
    close_life(file, &life);
    life = a_life(2, 13000, 16000); /* no snapshot saw it */
    life.opened_known = false;
    life.closed_by = CLOSED_BY_REMOTE;
    life.facts = (struct life_facts){.known = true};
    close_life(file, &life);
    life = a_life(3, 14000, 20000);
    life.late_facts = true;
    close_life(file, &life);
    life = a_life(4, 15000, 80000); /* TIME_WAIT from 23 s, its end lies ahead */
    life.history = waits;
    life.history_bytes = sizeof(waits);
    life.state = STATE_TIME_WAIT;
    life.closed_by = CLOSED_BY_LOCAL;
    close_life(file, &life);
    record_write(file);
    record_snapshot(file, 30000, false);
    assert_int_equal(vec_push(&file->batch->late, late), 0);
    record_write(file);
}

static void an_ended_connection_tells_who_closed_it_and_what_it_carried(void **state)
{
    struct list_question question = {.until_ms = 30000};
    struct record_file file;
    struct socket_row *row;
    struct rows rows;

    (void)state;
    make_file(&file);
    record_read(&file);
    rows = list(&file, &question);
    assert_int_equal(rows.n, 4);
    row = &rows.items[0];
    assert_int_equal(row->closed_by, CLOSED_BY_LOCAL);
    assert_true(row->has_facts && !row->rx_uncertain);
    assert_int_equal(row->tx_bytes, INT64_C(5000000000));
    assert_int_equal(row->rx_bytes, 7);
    assert_int_equal(row->tx_segs, 4000000000);
    assert_int_equal(row->rx_segs, 3);
    assert_int_equal(row->retrans, 2);
    assert_int_equal(row->rtt_us, 321);
    assert_int_equal(row->duration_ms, 3000);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void what_no_snapshot_saw_has_no_opening_but_bounds_of_it(void **state)
{
    struct list_question question = {.until_ms = 30000, .closed_by = 1 << CLOSED_BY_REMOTE};
    struct record_file file;
    struct rows rows;

    (void)state;
    make_file(&file);
    record_read(&file);
    rows = list(&file, &question);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.items[0].opened_ms, TIME_UNKNOWN);
    assert_int_equal(rows.items[0].opened_after_ms, 10000);
    assert_int_equal(rows.items[0].first_seen_ms, 13000);
    assert_int_equal(rows.items[0].duration_ms, -1);
    assert_true(rows.items[0].has_facts);
    assert_int_equal(rows.items[0].rtt_us, 0);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void what_was_told_late_stands_in_the_row(void **state)
{
    struct list_question question = {.until_ms = 30000, .closed_by = 1 << CLOSED_BY_RESET};
    struct record_file file;
    struct rows rows;

    (void)state;
    make_file(&file);
    record_read(&file);
    rows = list(&file, &question);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.items[0].remote_port, 3);
    assert_true(rows.items[0].has_facts && rows.items[0].rx_uncertain);
    assert_int_equal(rows.items[0].rx_bytes, 9);
    assert_int_equal(rows.items[0].rtt_us, 50);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void expect_open(struct record_file *file, const struct list_question *question, size_t n)
{
    struct rows rows = list(file, question);

    assert_int_equal(rows.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rows.items[i].remote_port, 4);
        assert_int_equal(rows.items[i].state, STATE_TIME_WAIT);
        assert_int_equal(rows.items[i].closed_ms, TIME_UNKNOWN);
        assert_int_equal(rows.items[i].closed_by, CLOSED_BY_LOCAL);
        assert_int_equal(rows.items[i].duration_ms, 8000);
    }
    vec_finish(&rows);
}

static void a_planned_end_has_not_come_before_a_snapshot_behind_it(void **state)
{
    struct list_question open = {.until_ms = 90000, .open_only = true};
    struct list_question local = {.until_ms = 90000, .closed_by = 1 << CLOSED_BY_LOCAL};
    struct snapshot_choice choice;
    struct filter any = {0};
    struct record_file file;
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    make_file(&file);
    record_read(&file);
    expect_open(&file, &open, 1);
    open.until_ms = 15000; /* it was not there yet */
    expect_open(&file, &open, 0);
    open.until_ms = 15001;
    expect_open(&file, &open, 1);
    rows = list(&file, &local); /* one that is gone, and the TIME_WAIT */
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.items[1].remote_port, 4);
    vec_finish(&rows);
    assert_int_equal(sockets_choose(file.db, &file.walltime, 25000, &choice, &err), 0);
    assert_int_equal(sockets_at(file.db, &file.walltime, &choice, &any, keep, &rows, &err), 0);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.items[0].state, STATE_ESTABLISHED);
    assert_int_equal(rows.items[0].closed_ms, TIME_UNKNOWN);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void a_planned_end_has_come_at_the_snapshot_behind_it(void **state)
{
    struct list_question open = {.until_ms = 90000, .open_only = true};
    struct list_question local = {.until_ms = 90000, .closed_by = 1 << CLOSED_BY_LOCAL};
    struct record_file file;
    struct rows rows;

    (void)state;
    make_file(&file);
    record_snapshot(&file, 80000, false);
    record_write(&file);
    record_read(&file);
    expect_open(&file, &open, 0);
    rows = list(&file, &local);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.items[1].closed_ms, 80000);
    assert_int_equal(rows.items[1].duration_ms, 8000);
    vec_finish(&rows);
    record_file_finish(&file);
}

static void another_run_leaves_no_planned_end_open(void **state)
{
    struct list_question open = {.until_ms = 90000, .open_only = true};
    struct record_file file;

    (void)state;
    make_file(&file);
    record_begin(&file, 'a', 35000, 10000);
    record_read(&file);
    expect_open(&file, &open, 0);
    record_file_finish(&file);
}

/* More than are read in one transaction. */
#define MANY 2500

struct mover {
    struct record_file *file;
    uint32_t seen; /* rows */
    uint8_t times[MANY + 1];
};

static struct life a_wait(uint64_t number, int64_t ended_ms)
{
    struct life life = a_life(number, 15000, ended_ms);

    life.history = waits;
    life.history_bytes = sizeof(waits);
    life.state = STATE_TIME_WAIT;
    life.untold = true;
    return life;
}

/* With the first row each TIME_WAIT ends otherwise than was planned. */
static int move_all(void *arg, const struct socket_row *row)
{
    struct mover *mover = arg;

    mover->times[row->remote_port]++;
    if (mover->seen++ > 0)
        return 0;
    record_snapshot(mover->file, 40000, false);
    for (uint64_t number = 1; number <= MANY; number++) {
        struct life life = a_wait(number, 31000);

        life.planned_ms = 80000;
        assert_int_equal(batch_add_life(mover->file->batch, &mover->file->batch->amended, &life),
                         0);
    }
    record_write(mover->file);
    return 0;
}

static void what_moves_while_it_is_read_is_told_once(void **state)
{
    struct list_question question = {.until_ms = 90000};
    struct record_file file;
    struct mover mover = {.file = &file};
    struct err err = {0};

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 30000, true);
    for (uint64_t number = 1; number <= MANY; number++) {
        struct life life = a_wait(number, 80000);

        close_life(&file, &life);
    }
    record_write(&file);
    record_look(&file);
    if (sockets_list(file.db, &file.walltime, &question, move_all, &mover, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(mover.seen, MANY);
    for (size_t port = 1; port <= MANY; port++)
        assert_int_equal(mover.times[port], 1);
    record_file_finish(&file);
}

static void what_is_open_was_closed_by_nobody(void **state)
{
    struct list_question question = {.until_ms = 90000, .open_only = true, .closed_by = 1};
    struct record_file file;
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    make_file(&file);
    record_read(&file);
    assert_int_equal(sockets_list(file.db, &file.walltime, &question, keep, &rows, &err), -EINVAL);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_connection_tells_who_closed_it_and_what_it_carried),
        cmocka_unit_test(what_no_snapshot_saw_has_no_opening_but_bounds_of_it),
        cmocka_unit_test(what_was_told_late_stands_in_the_row),
        cmocka_unit_test(a_planned_end_has_not_come_before_a_snapshot_behind_it),
        cmocka_unit_test(a_planned_end_has_come_at_the_snapshot_behind_it),
        cmocka_unit_test(another_run_leaves_no_planned_end_open),
        cmocka_unit_test(what_moves_while_it_is_read_is_told_once),
        cmocka_unit_test(what_is_open_was_closed_by_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
