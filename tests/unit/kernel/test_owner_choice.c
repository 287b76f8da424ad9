/* SPDX-License-Identifier: MIT */
/* Who is the owner among several, whom nobody may look at, and that every answer is true. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/model/life.h"
#include "world.h"

/* Several holders: 10 - 20 - 31..39, all in one cgroup; 20 and the children hold 500. */

static uint64_t make_prefork(struct world *world)
{
    char members[256] = "10\n20\n";
    uint64_t id;

    for (uint32_t pid = 31; pid < 40; pid++) {
        make_process(world, pid, 4, 500);
        fake_process(&world->proc,
                     &(struct fake_process){
                         .pid = pid, .ppid = 20, .ticks = 70 - pid, .cgroup = "0::/w.service\n"});
        fake_open(&world->proc, pid, 50, 600 + pid);
        snprintf(members + strlen(members), sizeof(members) - strlen(members), "%u\n", pid);
    }
    make_process(world, 10, 4, 0);
    make_process(world, 20, 4, 500);
    fake_process(&world->proc, &(struct fake_process){
                                   .pid = 10, .ppid = 1, .ticks = 9, .cgroup = "0::/w.service\n"});
    fake_process(
        &world->proc,
        &(struct fake_process){.pid = 20, .ppid = 10, .ticks = 99, .cgroup = "0::/w.service\n"});
    id = fake_cgroup(&world->proc, "/w.service", members);
    return id;
}

static void the_topmost_ancestor_that_holds_it_is_the_owner(void **state)
{
    struct world *world = *state;

    make_prefork(world);
    for (uint32_t hint = 30; hint < 40; hint++) {
        struct owner_want want = want_of(500), own = want_of(600 + hint);

        want.hint = own.hint = hint;
        look(world, &want, 1, 20000);
        assert_int_equal(want.owner->pid, 20);
        assert_int_equal(want.n_others, 0);
        look(world, &own, 1, 20000);
        assert_int_equal(own.answer, hint == 30 ? OWNER_ABSENT : OWNER_FOUND);
        if (hint > 30)
            assert_int_equal(own.owner->pid, hint);
    }
}

static void all_holders_are_told_in_the_same_order(void **state)
{
    struct world *world = *state;
    uint64_t cgroup = make_prefork(world);

    for (uint32_t hint = 30; hint < 40; hint++) {
        struct owner_want want = want_of(500);

        want.hint = hint;
        want.cgroup = hint % 2 ? cgroup : 0;
        want.all_holders = true;
        look_out(world, &want, hint % 3 ? 64 : 20000);
        assert_int_equal(want.owner->pid, 20);
        assert_int_equal(want.n_others, 9);
        for (uint32_t i = 0; i < 9; i++)
            assert_int_equal(want.others[i].pid, 39 - i);
    }
}

static void without_the_parent_the_oldest_child_is_the_owner(void **state)
{
    struct world *world = *state;

    make_prefork(world);
    fake_close(&world->proc, 20, 3);
    for (uint32_t hint = 31; hint < 40; hint++) {
        struct owner_want want = want_of(500);

        want.hint = hint;
        want.all_holders = true;
        look_out(world, &want, 20000);
        assert_int_equal(want.owner->pid, 39);
        assert_int_equal(want.n_others, 8);
    }
}

static void the_number_of_others_is_bounded(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);
    char members[2048] = "";

    for (uint32_t pid = 100; pid < 300; pid++) {
        make_process(world, pid, 2, 500);
        fake_process(&world->proc,
                     &(struct fake_process){
                         .pid = pid, .ppid = 1, .ticks = pid, .cgroup = "0::/w.service\n"});
        snprintf(members + strlen(members), sizeof(members) - strlen(members), "%u\n", pid);
    }
    fake_cgroup(&world->proc, "/w.service", members);
    want.all_holders = true;
    look_out(world, &want, 20000);
    assert_int_equal(want.owner->pid, 100);
    assert_int_equal(want.n_others, 64);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(want.others[i].pid, 101 + i);
}

static void a_process_that_is_asked_for_is_among_the_others_told(void **state)
{
    struct world *world = *state;

    for (uint32_t pid = 100; pid < 300; pid++)
        make_process(world, pid, 2, 500);
    for (uint32_t hint = 100; hint < 300; hint++) {
        struct owner_want want = want_of(500);
        bool told = hint == 100;

        want.hint = hint;
        want.all_holders = want.everywhere = true;
        look_out(world, &want, 20000);
        assert_int_equal(want.owner->pid, 100);
        assert_int_equal(want.n_others, 64);
        for (uint32_t i = 0; i < 64; i++) {
            told |= want.others[i].pid == hint;
            assert_true(want.others[i].pid == hint || want.others[i].pid == 101 + i);
        }
        assert_true(told);
    }
}

/* Strangers to one another: neither a cgroup nor a parent leads from one to the other. */
static void everywhere_finds_strangers_that_hold_it_too(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    make_crowd(world);
    make_process(world, 400, 5, 500);
    make_process(world, 401, 5, 500);
    want.all_holders = want.everywhere = true;
    look_out(world, &want, 20000);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 12);
    assert_int_equal(want.n_others, 2);
    assert_int_equal(want.others[0].pid + want.others[1].pid, 801);
}

static void a_manager_is_the_owner_only_if_nobody_else_has_it(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500), alone = want_of(501);

    make_crowd(world);
    fake_open(&world->proc, 1, 3, 500);
    fake_open(&world->proc, 1, 4, 501);
    want.hint = alone.hint = 1;
    fake_close(&world->proc, 12, 20);
    want.all_holders = alone.all_holders = true;
    look_out(world, &want, 20000);
    assert_int_equal(want.owner->pid, 12);
    assert_int_equal(want.n_others, 1);
    assert_int_equal(want.others[0].pid, 1);
    look_out(world, &alone, 20000);
    assert_int_equal(alone.answer, OWNER_FOUND);
    assert_int_equal(alone.owner->pid, 1);
    assert_int_equal(alone.n_others, 0);
}

static void a_socket_whose_holder_ended_meanwhile_is_looked_for_anew(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);

    /* So many ancestors' descriptors that the choice takes several looks. */
    make_process(world, 12, 1000, 0);
    make_process(world, 13, 2, 500);
    fake_process(&world->proc, &(struct fake_process){.pid = 13, .ppid = 12, .ticks = 13});
    want.hint = 13;
    look(world, &want, 1, 64);
    assert_int_equal(want.answer, OWNER_LATER);
    fake_end(&world->proc, 13);
    make_process(world, 14, 2, 500);
    look_out(world, &want, 64);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 14);
}

/* Privileges: what root can't be denied is tried as somebody else. */

static void who_can_not_be_read_may_have_it(void **state)
{
    static const struct {
        uint32_t process, socket;
        enum owner_answer answer;
    } rows[] = {
        {1000, 1000, OWNER_DENIED}, {1000, UID_UNKNOWN, OWNER_DENIED}, {1000, 0, OWNER_DENIED},
        {0, 1000, OWNER_DENIED},    {1000, 1001, OWNER_ABSENT},
    };
    struct world *world = *state;
    char path[128];

    if (geteuid() != 0)
        skip();
    make_process(world, 12, 2, 500);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct owner_want want = want_of(500);

        snprintf(path, sizeof(path), "%s/proc/12", world->proc.path);
        assert_int_equal(chown(path, rows[i].process, 0), 0);
        snprintf(path, sizeof(path), "%s/proc/12/fd", world->proc.path);
        assert_int_equal(chmod(path, 0500), 0);
        assert_int_equal(chmod(world->proc.path, 0755), 0);
        want.uid = rows[i].socket;
        assert_int_equal(seteuid(65534), 0);
        look(world, &want, 1, 20000);
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(want.answer, rows[i].answer);
    }
}

static void where_proc_hides_processes_nothing_is_called_absent(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(500);
    struct clock clock = clock_system();

    fake_end(&world->proc, 1);
    owner_finder_free(world->finder);
    world->finder = NULL;
    assert_int_equal(owner_finder_new(world->proc.fd, &clock, &world->finder), 0);
    look(world, &want, 1, 20000);
    assert_int_equal(want.answer, OWNER_DENIED);
}

/* Whatever happens: who is found holds it, and what is absent nobody held all the while. */

#define ANY_PIDS        12
#define ANY_INODES      20
#define ANY_DESCRIPTORS 40

struct any {
    uint32_t inode[ANY_PIDS][ANY_DESCRIPTORS]; /* 0: closed */
    unsigned held[ANY_INODES];                 /* by so many */
};

static void change(struct world *world, struct any *any)
{
    unsigned p = (unsigned)random() % ANY_PIDS, d = (unsigned)random() % ANY_DESCRIPTORS;
    unsigned inode = (unsigned)random() % ANY_INODES;

    if (any->inode[p][d]) {
        any->held[any->inode[p][d] - 1]--;
        any->inode[p][d] = 0;
        fake_close(&world->proc, p + 2, d);
    } else {
        any->held[inode]++;
        any->inode[p][d] = inode + 1;
        fake_open(&world->proc, p + 2, d, inode + 1);
    }
}

static bool has(const struct any *any, uint32_t pid, uint32_t inode)
{
    for (unsigned d = 0; d < ANY_DESCRIPTORS; d++)
        if (any->inode[pid - 2][d] == inode)
            return true;
    return false;
}

static void an_answer_is_true_whatever_the_budget(void **state)
{
    struct world *world = *state;
    struct any any = {0};

    srandom(7);
    for (uint32_t p = 0; p < ANY_PIDS; p++)
        make_process(world, p + 2, 0, 0);
    for (int round = 0; round < 150; round++) {
        struct owner_want wants[ANY_INODES];
        unsigned left = ANY_INODES, looks = 0;

        for (int i = 0; i < 12; i++)
            change(world, &any);
        for (uint32_t i = 0; i < ANY_INODES; i++) {
            wants[i] = want_of(i + 1);
            wants[i].hint = (uint32_t)random() % (ANY_PIDS + 3);
            wants[i].all_holders = random() % 2;
        }
        while (left && ++looks < LOOKS_MAX) {
            unsigned n = left;

            look(world, wants, n, 64 + (uint32_t)random() % 100);
            left = 0;
            for (unsigned i = 0; i < n; i++) {
                if (wants[i].answer == OWNER_FOUND)
                    assert_true(has(&any, wants[i].owner->pid, wants[i].inode));
                else if (wants[i].answer == OWNER_ABSENT)
                    assert_int_equal(any.held[wants[i].inode - 1], 0);
                else
                    wants[left++] = wants[i];
            }
        }
        assert_int_equal(left, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_topmost_ancestor_that_holds_it_is_the_owner),
        TEST(all_holders_are_told_in_the_same_order),
        TEST(a_process_that_is_asked_for_is_among_the_others_told),
        TEST(everywhere_finds_strangers_that_hold_it_too),
        TEST(without_the_parent_the_oldest_child_is_the_owner),
        TEST(the_number_of_others_is_bounded),
        TEST(a_manager_is_the_owner_only_if_nobody_else_has_it),
        TEST(a_socket_whose_holder_ended_meanwhile_is_looked_for_anew),
        TEST(who_can_not_be_read_may_have_it),
        TEST(where_proc_hides_processes_nothing_is_called_absent),
        TEST(an_answer_is_true_whatever_the_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
