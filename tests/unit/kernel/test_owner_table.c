/* SPDX-License-Identifier: MIT */
/* Where in a large process new sockets are looked for first. */
#include "connhist/model/owner.h"
#include "unit.h"
#include "world.h"

#define SERVER      12
#define DESCRIPTORS 400
#define FIRST       1000 /* inode of descriptor 0 */
#define BUDGET      20000
#define FEW         100 /* more than what is free, less than all */

/* A server with many sockets, which is known as an owner; beside it a small stranger. */
static void make_server(struct world *world)
{
    struct owner_want want = want_of(FIRST);

    make_process(world, 30, 3, 0);
    make_process(world, SERVER, 0, 0);
    for (unsigned i = 0; i < DESCRIPTORS; i++)
        fake_open(&world->proc, SERVER, i, FIRST + i);
    look_out(world, &want, BUDGET);
    assert_int_equal(want.owner->pid, SERVER);
    /* as an owner it is passed over as a whole, once */
    want = want_of(999999);
    look_out(world, &want, BUDGET);
    assert_int_equal(want.answer, OWNER_ABSENT);
}

static void replace(struct world *world, unsigned descriptor, uint32_t inode)
{
    fake_close(&world->proc, SERVER, descriptor);
    fake_open(&world->proc, SERVER, descriptor, inode);
}

static void assert_found(struct world *world, uint32_t inode, uint32_t descriptors)
{
    struct owner_want want = want_of(inode);

    look_out(world, &want, BUDGET);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, SERVER);
    assert_in_range(world->looked.descriptors, 0, descriptors);
}

static void what_took_the_place_of_a_gone_socket_is_found_there(void **state)
{
    static const uint32_t gone[] = {FIRST + 200, FIRST + 300};
    struct world *world = *state;

    make_server(world);
    replace(world, 200, 5000);
    replace(world, 300, 5001);
    owner_finder_gone(world->finder, gone, 2);
    assert_found(world, 5001, FEW);
    assert_found(world, 5000, FEW);
}

static void what_nobody_told_is_found_all_the_same(void **state)
{
    struct world *world = *state;

    make_server(world);
    replace(world, 200, 5000);
    assert_found(world, 5000, 2 * DESCRIPTORS);
}

static void a_socket_told_gone_that_is_still_there_is_found(void **state)
{
    static const uint32_t gone[] = {FIRST + 200};
    struct world *world = *state;

    make_server(world);
    owner_finder_gone(world->finder, gone, 1);
    assert_found(world, FIRST + 200, FEW);
}

static void a_known_socket_is_found_where_it_was(void **state)
{
    struct world *world = *state;

    make_server(world);
    assert_found(world, FIRST + 321, FEW);
}

static void a_known_socket_that_moved_is_not_taken_for_there(void **state)
{
    struct world *world = *state;
    struct owner_want want = want_of(FIRST + 321);

    make_server(world);
    replace(world, 321, 0);
    look_out(world, &want, BUDGET);
    assert_int_equal(want.answer, OWNER_ABSENT);
    fake_open(&world->proc, 30, 50, FIRST + 321);
    look_out(world, &want, BUDGET);
    assert_int_equal(want.answer, OWNER_FOUND);
    assert_int_equal(want.owner->pid, 30);
}

static void more_gone_than_can_be_kept_does_no_harm(void **state)
{
    struct world *world = *state;

    make_server(world);
    for (uint32_t i = 0; i < 20000; i++)
        owner_finder_gone(world->finder, &(uint32_t){70000 + i}, 1);
    replace(world, 7, 5000);
    owner_finder_gone(world->finder, &(uint32_t){FIRST + 7}, 1);
    assert_found(world, 5000, 2 * DESCRIPTORS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_took_the_place_of_a_gone_socket_is_found_there,
                                        make_world, end_world),
        cmocka_unit_test_setup_teardown(what_nobody_told_is_found_all_the_same, make_world,
                                        end_world),
        cmocka_unit_test_setup_teardown(a_socket_told_gone_that_is_still_there_is_found, make_world,
                                        end_world),
        cmocka_unit_test_setup_teardown(a_known_socket_is_found_where_it_was, make_world,
                                        end_world),
        cmocka_unit_test_setup_teardown(a_known_socket_that_moved_is_not_taken_for_there,
                                        make_world, end_world),
        cmocka_unit_test_setup_teardown(more_gone_than_can_be_kept_does_no_harm, make_world,
                                        end_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
