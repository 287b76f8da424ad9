/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/report/trend.h"
#include "record_file.h"

static const uint8_t established[] = {STATE_ESTABLISHED};
static const uint8_t time_wait[] = {STATE_ESTABLISHED, 0x90, 0x4e,
                                    STATE_TIME_WAIT}; /* after 10 s */

static void add(struct record_file *file, uint64_t number, const uint8_t *states, size_t n,
                uint32_t owner, uint8_t source)
{
    struct life life =
        record_life(number, "192.0.2.1:80 10.0.0.1:4711", ROLE_SERVER, states, n, 10000);

    life.owner = owner;
    life.owner_source = source;
    assert_int_equal(batch_add_life(file->batch, &file->batch->opened, &life), 0);
}

static struct owner owner_of(uint32_t pid, const char *comm, const char *exe)
{
    return (struct owner){.start_ms = pid * 10,
                          .pid = pid,
                          .uid = UID_UNKNOWN,
                          .comm = comm,
                          .exe = exe,
                          .unit = "",
                          .container = "",
                          .cgroup = "/"};
}

/* Snapshots each 10 s from 10 s to 40 s; two sockets of alpha's in two processes, one of the
 * kernel's, one of nobody known, one of a program known without its process. tallied: how many the
 * tallies count; what is more than six was not kept. */
static void make_file(struct record_file *file, uint32_t tallied)
{
    const struct owner owners[] = {owner_of(100, "alpha", "/bin/alpha"),
                                   owner_of(101, "alpha", "/bin/alpha"),
                                   owner_of(102, "alpha", "/tmp/alpha"), owner_of(0, "beta", "")};

    record_file_init(file);
    record_begin(file, 'a', 9000, 10000);
    record_snapshot(file, 10000, true);
    file->batch->snapshot.unkept = tallied - 6;
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(batch_add_owner(file->batch, i + 1, &owners[i]), 0);
    add(file, 1, time_wait, sizeof(time_wait), 1, OWNER_BY_INODE);
    add(file, 2, established, 1, 2, OWNER_BY_INODE);
    add(file, 3, established, 1, 3, OWNER_BY_INODE);
    add(file, 4, established, 1, 4, OWNER_BY_LISTENER);
    add(file, 5, established, 1, 0, OWNER_BY_NOTHING);
    add(file, 6, established, 1, 0, OWNER_IS_KERNEL);
    record_tally(file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_ESTABLISHED, tallied);
    record_write(file);
    record_snapshot(file, 20000, false);
    file->batch->snapshot.unkept = tallied - 6;
    record_tally(file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_ESTABLISHED, tallied - 1);
    record_tally(file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_TIME_WAIT, 1);
    record_write(file);
    for (int64_t at_ms = 30000; at_ms <= 40000; at_ms += 10000) {
        record_snapshot(file, at_ms, false);
        file->batch->snapshot.unkept = tallied - 6;
        record_write(file);
    }
    record_read(file);
}

static struct trend ask(struct record_file *file, unsigned by, const struct filter *filter)
{
    struct trend_question question = {
        .since_ms = 10000, .until_ms = 45000, .step_ms = 10000, .by = by, .filter = *filter};
    struct trend trend = {0};
    struct err err = {0};

    if (trend_ask(file->db, &file->walltime, &question, &trend, &err) < 0)
        fail_msg("%s", err.text);
    return trend;
}

static const struct trend_series *find(const struct trend *trend, const char *process,
                                       const char *exe, uint32_t pid)
{
    for (size_t i = 0; i < trend->series.n; i++) {
        const struct trend_series *series = &trend->series.items[i];

        if ((series->process ? process && strcmp(series->process, process) == 0 : !process) &&
            (series->exe ? exe && strcmp(series->exe, exe) == 0 : !exe) && series->pid == pid)
            return series;
    }
    fail_msg("no series of %s", process ? process : "nobody");
    return NULL;
}

static void a_program_is_a_name_and_a_path(void **state)
{
    struct record_file file;
    struct filter any = {0};
    struct trend trend;

    (void)state;
    make_file(&file, 6);
    trend = ask(&file, TREND_BY_PROCESS, &any);
    assert_int_equal(trend.series.n, 5);
    assert_int_equal(find(&trend, "alpha", "/bin/alpha", 0)->now, 2);
    assert_int_equal(find(&trend, "alpha", "/bin/alpha", 0)->oldest_ms, 30000);
    assert_int_equal(find(&trend, "alpha", "/tmp/alpha", 102)->now, 1);
    assert_int_equal(find(&trend, "beta", NULL, 0)->now, 1);
    assert_int_equal(find(&trend, "(kernel)", NULL, 0)->now, 1);
    assert_true(find(&trend, "(kernel)", NULL, 0)->kernel);
    assert_false(find(&trend, "beta", NULL, 0)->kernel);
    assert_false(find(&trend, NULL, NULL, 0)->kernel);
    assert_int_equal(find(&trend, NULL, NULL, 0)->now, 1);
    assert_int_equal(trend.unkept, 0);
    trend_finish(&trend);
    trend = ask(&file, TREND_BY_PID, &any);
    assert_int_equal(trend.series.n, 6);
    assert_int_equal(find(&trend, "alpha", "/bin/alpha", 101)->now, 1);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void the_oldest_is_that_of_the_state_asked_for(void **state)
{
    struct record_file file;
    struct filter filter = {.states = 1 << STATE_TIME_WAIT};
    struct trend trend;

    (void)state;
    make_file(&file, 6);
    trend = ask(&file, TREND_BY_PROCESS, &filter);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(find(&trend, "alpha", "/bin/alpha", 100)->oldest_ms, 20000);
    trend_finish(&trend);
    /* no age is told where the tallies are counted */
    trend = ask(&file, TREND_BY_NETNS, &filter);
    assert_int_equal(trend.series.n, 1);
    assert_int_equal(trend.series.items[0].oldest_ms, -1);
    assert_string_equal(trend.series.items[0].netns, "");
    trend_finish(&trend);
    record_file_finish(&file);
}

static void what_was_counted_but_not_kept_is_told(void **state)
{
    struct record_file file;
    struct filter filter = {.process = "alpha"};
    struct trend trend;

    (void)state;
    make_file(&file, 16);
    trend = ask(&file, TREND_BY_STATE, &filter);
    assert_int_equal(trend.unkept, 10);
    assert_int_equal(trend.series.n, 2);
    trend_finish(&trend);
    filter.states = 1 << STATE_TIME_WAIT;
    trend = ask(&file, TREND_BY_STATE, &filter);
    assert_int_equal(trend.unkept, 0);
    trend_finish(&trend);
    record_file_finish(&file);
}

static void namespaces_are_told_apart_in_tallies_and_lives(void **state)
{
    const struct netns_ref blue = {.id = 1, .inode = 4026532000, .name = "blue"};
    struct record_file file;
    struct filter any = {0};
    struct trend trend;

    (void)state;
    record_file_init(&file);
    record_begin(&file, 'a', 9000, 10000);
    record_snapshot(&file, 10000, true);
    assert_int_equal(vec_push(&file.batch->netns, blue), 0);
    record_tally(&file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_ESTABLISHED, 1);
    record_tally(&file, PROTOCOL_TCP, ROLE_SERVER, 80, STATE_ESTABLISHED, 1);
    file.batch->tallies.items[1].service.netns = 1;
    for (uint32_t netns = 0; netns < 2; netns++) {
        struct life life = record_life(netns + 1, "192.0.2.1:80 10.0.0.1:4711", ROLE_SERVER,
                                       established, 1, 10000);

        life.service.netns = netns;
        assert_int_equal(batch_add_life(file.batch, &file.batch->opened, &life), 0);
    }
    record_write(&file);
    record_read(&file);
    for (unsigned i = 0; i < 2; i++) { /* from tallies, from lives */
        trend = ask(&file, TREND_BY_NETNS | (i ? TREND_BY_PROCESS : 0), &any);
        assert_int_equal(trend.series.n, 2);
        assert_string_equal(trend.series.items[0].netns, "");
        assert_string_equal(trend.series.items[1].netns, "blue");
        assert_int_equal(trend.series.items[0].now, 1);
        assert_int_equal(trend.series.items[1].now, 1);
        trend_finish(&trend);
    }
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_a_name_and_a_path),
        cmocka_unit_test(the_oldest_is_that_of_the_state_asked_for),
        cmocka_unit_test(what_was_counted_but_not_kept_is_told),
        cmocka_unit_test(namespaces_are_told_apart_in_tallies_and_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
