/* SPDX-License-Identifier: MIT */
/* Where the finder looks, how long, and whom it forgets, in a made-up /proc. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/model/life.h"
#include "world.h"

#define KTHREAD 0x00200000 /* PF_KTHREAD */

static void an_owner_is_told_with_all_that_is_known(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    make_process(world, 12, 3, 500);
    fake_process(&world->proc,
                 &(struct fake_process){.pid = 12,
                                        .uid = 33,
                                        .ticks = 123,
                                        .comm = "a) S 1 (b",
                                        .exe = "/usr/sbin/nginx",
                                        .cgroup = "0::/system.slice/nginx.service\n"});
    look_out(world, &want, 20000);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 12);
    assert_int_equal(want.owner->uid, 33);
    assert_int_equal(want.owner->start_ms, 123 * 1000 / sysconf(_SC_CLK_TCK));
    assert_string_equal(want.owner->comm, "a) S 1 (b");
    assert_string_equal(want.owner->exe, "/usr/sbin/nginx");
    assert_string_equal(want.owner->unit, "nginx.service");
    assert_string_equal(want.owner->container, "");
    assert_string_equal(want.owner->cgroup, "/system.slice/nginx.service");
    assert_int_equal(want.n_others, 0);
}

static void nothing_wanted_is_nothing_done(void **state)
{
    struct world *world = *state;

    make_process(world, 12, 3, 500);
    look(world, NULL, 0, 20000);
    assert_int_equal(world->looked.processes, 0);
    assert_int_equal(world->looked.descriptors, 0);
}

/* The likely ones. */

static void the_hint_is_looked_at_first(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    make_crowd(world);
    want.hint = 12;
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(world->looked.processes, 1);
}

static void a_wrong_hint_does_no_harm(void **state)
{
    struct world *world = *state;
    struct owner_want wants[] = {want_of(500), want_of(501)};

    make_crowd(world);
    wants[0].hint = 9999;
    wants[1].hint = 30;
    look(world, wants, 2, 20000);
    assert_int_equal(wants[0].owner->pid, 12);
    assert_int_equal(wants[1].owner->pid, 12);
}

static void the_processes_of_the_cgroup_are_looked_at_first(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    want.cgroup = make_crowd(world);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 12);
    assert_int_equal(world->looked.processes, 1);
}

static void who_owned_before_is_looked_at_first(void **state)
{
    struct world *world = *state;
    struct owner_want first = want_of(500), second = want_of(501);

    make_crowd(world);
    look(world, &first, 1, 20000);
    assert_int_equal(first.owner->pid, 12);
    look(world, &second, 1, 20000);
    assert_int_equal(second.owner->pid, 12);
    assert_int_equal(world->looked.processes, 1);
}

static void a_socket_of_nobody_is_absent_when_all_were_looked_at(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(777);

    want.cgroup = make_crowd(world);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_ABSENT);
    assert_int_equal(world->looked.processes, 41);
    assert_non_null(want.owner);
    assert_int_equal(want.owner->pid, 0);
    assert_string_equal(want.owner->unit, "a.service");
}

static void a_cgroup_alone_tells_unit_and_no_process(void **state)
{
    struct world *world = *state;
    struct owner_want wants[] = {want_of(0), want_of(0), want_of(0)};

    fake_cgroup(&world->proc, "/system.slice", "");
    wants[0].cgroup = fake_cgroup(&world->proc, "/system.slice/b.service", "");
    wants[1].cgroup = 999999999;
    look(world, wants, 3, 20000);
    assert_int_equal(wants[0].answer, OWNER_FOUND);
    assert_int_equal(wants[0].owner->pid, 0);
    assert_int_equal(wants[0].owner->uid, UID_UNKNOWN);
    assert_string_equal(wants[0].owner->unit, "b.service");
    assert_string_equal(wants[0].owner->cgroup, "/system.slice/b.service");
    assert_string_equal(wants[0].owner->comm, "");
    for (int i = 1; i < 3; i++) {
        assert_int_equal(wants[i].answer, OWNER_ABSENT);
        assert_null(wants[i].owner);
    }
    assert_int_equal(world->looked.processes, 0);
}

/* Bounds. */

static void a_look_is_bounded_and_the_next_goes_on(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);
    unsigned looks = 0, descriptors = 0;

    make_process(world, 12, 1000, 500);
    do {
        look(world, &want, 1, 100);
        descriptors += world->looked.descriptors;
    } while (want.answer == OWNER_LATER && ++looks < LOOKS_MAX);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 12);
    assert_true(descriptors <= 1000);
}

static void a_large_likely_process_does_not_hold_up_the_others(void **state)
{
    struct world *world = *state;
    struct owner_want wants[] = {want_of(777), want_of(500)};
    int i = 0;

    make_process(world, 12, 2000, 0);
    make_process(world, 13, 5, 500);
    do {
        wants[0].inode++; /* always another one that the hint has not */
        wants[0].hint = 12;
        look(world, wants, 2, 200);
    } while (wants[1].answer == OWNER_LATER && ++i < 8);
    assert_int_equal(wants[1].answer, OWNER_FOUND);
    assert_int_equal(wants[1].owner->pid, 13);
}

static void no_place_that_was_passed_already_is_taken_for_looked_at(void **state)
{
    struct world *world = *state;

    make_process(world, 12, 400, 0);
    for (unsigned round = 0; round < 12; round++) {
        struct owner_want wants[] = {want_of(1000 + round), want_of(2000 + round)};
        int i = 0;

        for (unsigned looks = 0; looks <= round; looks++)
            look(world, wants, 1, 64);
        fake_open(&world->proc, 12, 1000 + round, 2000 + round);
        do {
            look(world, wants, 2, 64);
        } while (wants[1].answer == OWNER_LATER && ++i < LOOKS_MAX);
        assert_int_equal(wants[1].answer, OWNER_FOUND);
    }
}

static void what_was_answered_is_asked_anew(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    make_process(world, 12, 3, 0);
    make_process(world, 13, 3, 0);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_ABSENT);
    fake_open(&world->proc, 12, 9, 500);
    look(world, &want, 1, 20000);
    assert_int_equal(want.owner->pid, 12);
    fake_close(&world->proc, 12, 9);
    fake_open(&world->proc, 13, 9, 500);
    look(world, &want, 1, 20000);
    assert_int_equal(want.owner->pid, 13);
}

static void a_socket_wanted_twice_is_answered_twice(void **state)
{
    struct world *world = *state;
    struct owner_want wants[] = {want_of(500), want_of(500)};

    make_process(world, 12, 3, 500);
    look(world, wants, 2, 20000);
    assert_int_equal(wants[0].owner->pid, 12);
    assert_int_equal(wants[1].owner->pid, 12);
}

/* Processes that come and go. */

static void a_pid_that_is_used_again_is_another_process(void **state)
{
    struct world *world = *state;
    struct owner_want first = want_of(500), second = want_of(501);
    int64_t start_ms;

    make_process(world, 12, 3, 500);
    look(world, &first, 1, 20000);
    start_ms = first.owner->start_ms;
    fake_end(&world->proc, 12);
    make_process(world, 12, 1, 501);
    fake_process(&world->proc, &(struct fake_process){
                                   .pid = 12, .ppid = 1, .ticks = 9000, .comm = "other", .uid = 5});
    look(world, &second, 1, 20000);
    assert_int_equal(second.answer, OWNER_FOUND);
    assert_int_equal(second.owner->pid, 12);
    assert_true(second.owner->start_ms > start_ms);
    assert_string_equal(second.owner->comm, "other");
    assert_int_equal(second.owner->uid, 5);
    look(world, &first, 1, 20000);
    assert_int_equal(first.answer, OWNER_ABSENT);
}

static void processes_that_are_gone_are_forgotten(void **state)
{
    struct world *world = *state;
    struct owner_want want;

    for (uint32_t pid = 2; pid < 700; pid++) {
        make_process(world, pid, 1, pid + 5000);
        want = want_of(pid + 5000);
        want.hint = pid;
        look(world, &want, 1, 20000);
        assert_int_equal(want.owner->pid, pid);
        fake_end(&world->proc, pid);
    }
    want = want_of(5002);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_ABSENT);
    assert_true(world->looked.processes < 600); /* as long as some are known, they owned before */
}

static void a_name_that_changed_is_read_anew(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    make_process(world, 12, 3, 500);
    look(world, &want, 1, 20000);
    assert_string_equal(want.owner->comm, "test");
    fake_process(&world->proc, &(struct fake_process){
                                   .pid = 12, .ppid = 1, .ticks = 12, .comm = "renamed", .uid = 9});
    look(world, &want, 1, 20000);
    assert_string_equal(want.owner->comm, "renamed");
    assert_int_equal(want.owner->uid, 9);
}

static void kernel_threads_and_zombies_have_nothing(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    fake_process(&world->proc, &(struct fake_process){.pid = 2, .flags = KTHREAD});
    fake_process(&world->proc, &(struct fake_process){.pid = 3, .ppid = 1, .state = 'Z'});
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_ABSENT);
    assert_int_equal(world->looked.processes, 3);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_ABSENT);
    assert_int_equal(world->looked.processes, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_owner_is_told_with_all_that_is_known),
        TEST(nothing_wanted_is_nothing_done),
        TEST(the_hint_is_looked_at_first),
        TEST(a_wrong_hint_does_no_harm),
        TEST(the_processes_of_the_cgroup_are_looked_at_first),
        TEST(who_owned_before_is_looked_at_first),
        TEST(a_socket_of_nobody_is_absent_when_all_were_looked_at),
        TEST(a_cgroup_alone_tells_unit_and_no_process),
        TEST(a_look_is_bounded_and_the_next_goes_on),
        TEST(a_large_likely_process_does_not_hold_up_the_others),
        TEST(no_place_that_was_passed_already_is_taken_for_looked_at),
        TEST(what_was_answered_is_asked_anew),
        TEST(a_socket_wanted_twice_is_answered_twice),
        TEST(a_pid_that_is_used_again_is_another_process),
        TEST(processes_that_are_gone_are_forgotten),
        TEST(a_name_that_changed_is_read_anew),
        TEST(kernel_threads_and_zombies_have_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
