/* SPDX-License-Identifier: MIT */
/* What connections that are open carried, as list tells it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

/* The only row of the span up to until_ms, with that. */
static struct socket_row listed_as(struct record_file *file, int64_t until_ms, bool closed)
{
    struct list_question question = {.until_ms = until_ms + 1, .open_only = !closed};
    struct rows rows = {0};
    struct err err = {0};
    struct socket_row row;

    if (sockets_list(file->db, &file->walltime, &question, keep, &rows, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(rows.n, 1);
    row = rows.items[0];
    vec_finish(&rows);
    return row;
}

static struct socket_row listed(struct record_file *file, int64_t until_ms)
{
    return listed_as(file, until_ms, false);
}

static void begin(struct record_file *file)
{
    record_file_init(file);
    record_begin(file, 'a', 9000, 10000);
}

/* A snapshot that samples; with facts of life 1, if active_ms is not 0. */
static void sample_at(struct record_file *file, int64_t at_ms, uint64_t sent, int64_t active_ms)
{
    const struct sampled_facts facts = {.life = 1,
                                        .last_sent_ms = active_ms,
                                        .last_received_ms = active_ms - 1000,
                                        .facts = {.known = true,
                                                  .sent_bytes = sent,
                                                  .received_bytes = 7,
                                                  .segs_out = 5,
                                                  .segs_in = 6,
                                                  .retrans = 2,
                                                  .rtt_us = 321}};

    record_snapshot(file, at_ms, false);
    file->batch->snapshot.sampled = true;
    if (active_ms)
        assert_int_equal(vec_push(&file->batch->sampled, facts), 0);
}

static void open_life(struct record_file *file, const uint8_t *states, size_t n)
{
    struct life life = record_life(1, "10.0.0.1:80 10.0.0.2:4711", ROLE_SERVER, states, n, 10000);

    assert_int_equal(batch_add_life(file->batch, &file->batch->opened, &life), 0);
}

static const uint8_t established[] = {STATE_ESTABLISHED};

static void facts_hold_up_to_the_last_sampling(void **state)
{
    struct record_file file;
    struct socket_row row;

    (void)state;
    begin(&file);
    sample_at(&file, 10000, 100, 9800);
    open_life(&file, established, 1);
    record_write(&file);
    sample_at(&file, 20000, 0, 0);
    record_write(&file);
    record_snapshot(&file, 30000, false);
    record_write(&file);
    record_read(&file);
    row = listed(&file, 40000);
    assert_true(row.has_facts && !row.rx_uncertain);
    assert_int_equal(row.tx_bytes, 100);
    assert_int_equal(row.rx_bytes, 7);
    assert_int_equal(row.tx_segs, 5);
    assert_int_equal(row.rx_segs, 6);
    assert_int_equal(row.retrans, 2);
    assert_int_equal(row.rtt_us, 321);
    assert_int_equal(row.sampled_ms, 20000);
    assert_int_equal(row.idle_ms, 10200);
    row = listed(&file, 15000);
    assert_int_equal(row.sampled_ms, 10000);
    assert_int_equal(row.idle_ms, 200);
    record_file_finish(&file);
}

/* The kernel did not tell of the end: what was sampled is a lower bound, until that comes late. */
static void what_was_sampled_outlives_its_socket(void **state)
{
    struct late_facts late = {.life = 1, .facts = {.known = true, .sent_bytes = 150}};
    struct life life =
        record_life(1, "10.0.0.1:80 10.0.0.2:4711", ROLE_SERVER, established, 1, 10000);
    struct record_file file;
    struct socket_row row;

    (void)state;
    for (int is_late = 0; is_late <= 1; is_late++) {
        begin(&file);
        sample_at(&file, 10000, 100, 9800);
        open_life(&file, established, 1);
        record_write(&file);
        record_snapshot(&file, 20000, false);
        life.ended_ms = 20000;
        life.late_facts = true;
        assert_int_equal(batch_add_life(file.batch, &file.batch->closed, &life), 0);
        record_write(&file);
        if (is_late) {
            record_snapshot(&file, 30000, false);
            assert_int_equal(vec_push(&file.batch->late, late), 0);
            record_write(&file);
        }
        record_read(&file);
        row = listed_as(&file, 40000, true);
        assert_true(row.has_facts);
        assert_int_equal(row.closed_ms, 20000);
        assert_int_equal(row.tx_bytes, is_late ? 150 : 100);
        assert_int_equal(row.rx_bytes, is_late ? 0 : 7);
        assert_int_equal(row.sampled_ms, is_late ? TIME_UNKNOWN : 10000);
        assert_int_equal(row.idle_ms, -1);
        record_file_finish(&file);
    }
}

/* The file has the last change alone. */
static void what_changed_after_the_span_is_not_told(void **state)
{
    struct record_file file;
    struct socket_row row;

    (void)state;
    begin(&file);
    sample_at(&file, 10000, 100, 9800);
    open_life(&file, established, 1);
    record_write(&file);
    sample_at(&file, 70000, 200, 69000);
    record_write(&file);
    record_read(&file);
    row = listed(&file, 30000);
    assert_false(row.has_facts);
    assert_int_equal(row.sampled_ms, TIME_UNKNOWN);
    assert_int_equal(row.idle_ms, -1);
    assert_int_equal(listed(&file, 70000).tx_bytes, 200);
    record_file_finish(&file);
}

static void an_interrupted_sampling_proves_nothing(void **state)
{
    struct record_file file;

    (void)state;
    begin(&file);
    sample_at(&file, 10000, 100, 9800);
    open_life(&file, established, 1);
    record_write(&file);
    sample_at(&file, 20000, 0, 0);
    file.batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    record_write(&file);
    record_read(&file);
    assert_int_equal(listed(&file, 30000).sampled_ms, 10000);
    record_file_finish(&file);
}

static void in_states_that_tell_nothing_more_the_last_change_stands(void **state)
{
    static const uint8_t last[] = {STATE_FIN_WAIT2, STATE_TIME_WAIT};

    (void)state;
    for (size_t i = 0; i < sizeof(last); i++) {
        const uint8_t states[] = {STATE_ESTABLISHED, 0, last[i]};
        struct record_file file;
        struct socket_row row;

        begin(&file);
        sample_at(&file, 10000, 100, 9800);
        open_life(&file, states, sizeof(states));
        record_write(&file);
        sample_at(&file, 20000, 0, 0);
        record_write(&file);
        record_read(&file);
        row = listed(&file, 30000);
        assert_int_equal(row.state, last[i]);
        assert_int_equal(row.tx_bytes, 100);
        assert_int_equal(row.sampled_ms, 10000);
        assert_int_equal(row.idle_ms, 200);
        record_file_finish(&file);
    }
}

static void what_was_not_sampled_is_not_known(void **state)
{
    struct record_file file;
    struct socket_row row;

    (void)state;
    begin(&file);
    sample_at(&file, 10000, 0, 0);
    open_life(&file, established, 1);
    record_write(&file);
    record_read(&file);
    row = listed(&file, 30000);
    assert_false(row.has_facts);
    assert_int_equal(row.sampled_ms, TIME_UNKNOWN);
    assert_int_equal(row.idle_ms, -1);
    record_file_finish(&file);
}

/* The wall clock was set between the last payload and the sampling: idle is boot time. */
static void idle_time_does_not_follow_the_wall_clock(void **state)
{
    struct record_file file;
    struct socket_row row;

    (void)state;
    begin(&file);
    sample_at(&file, 10000, 100, 9800);
    open_life(&file, established, 1);
    record_write(&file);
    sample_at(&file, 20000, 0, 0);
    record_epoch(&file, 15000, 3600000);
    record_write(&file);
    record_read(&file);
    row = listed(&file, 40000 + 3600000);
    assert_int_equal(row.sampled_ms, 20000 + 3600000);
    assert_int_equal(row.idle_ms, 10200);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_hold_up_to_the_last_sampling),
        cmocka_unit_test(what_was_sampled_outlives_its_socket),
        cmocka_unit_test(what_changed_after_the_span_is_not_told),
        cmocka_unit_test(an_interrupted_sampling_proves_nothing),
        cmocka_unit_test(in_states_that_tell_nothing_more_the_last_change_stands),
        cmocka_unit_test(what_was_not_sampled_is_not_known),
        cmocka_unit_test(idle_time_does_not_follow_the_wall_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
