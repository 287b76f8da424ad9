/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdlib.h>

#include "connhist/model/life.h"
#include "unit.h"

int make_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct clock clock = clock_system();

    assert_non_null(world);
    fake_make(&world->proc);
    fake_cgroup(&world->proc, "/init.scope", "1\n");
    assert_int_equal(owner_finder_new(world->proc.fd, &clock, &world->finder), 0);
    *state = world;
    return 0;
}

int end_world(void **state)
{
    struct world *world = *state;

    owner_finder_free(world->finder);
    fake_remove(&world->proc);
    free(world);
    return 0;
}

void look(struct world *world, struct owner_want *wants, size_t n, uint32_t descriptors)
{
    struct owner_budget budget = {.descriptors = descriptors, .ms = 3600 * 1000};

    assert_int_equal(owner_finder_look(world->finder, wants, n, &budget, &world->looked), 0);
    assert_true(world->looked.descriptors <= descriptors);
    assert_int_equal(
        world->looked.found + world->looked.absent + world->looked.denied + world->looked.later, n);
}

void look_out(struct world *world, struct owner_want *want, uint32_t descriptors)
{
    int i = 0;

    do {
        look(world, want, 1, descriptors);
    } while (want->answer == OWNER_LATER && ++i < LOOKS_MAX);
    assert_int_not_equal(want->answer, OWNER_LATER);
}

struct owner_want want_of(uint32_t inode)
{
    return (struct owner_want){.inode = inode, .uid = UID_UNKNOWN};
}

void make_process(struct world *world, uint32_t pid, unsigned n, uint32_t inode)
{
    fake_process(&world->proc, &(struct fake_process){.pid = pid, .ppid = 1, .ticks = pid});
    for (unsigned i = 0; i < n; i++)
        fake_open(&world->proc, pid, i, i + 1 == n ? inode : 0);
}

uint64_t make_crowd(struct world *world)
{
    uint64_t cgroup = fake_cgroup(&world->proc, "/a.service", "12\n");

    for (uint32_t pid = 2; pid < 42; pid++)
        make_process(world, pid, 10, pid == 12 ? 500 : 0);
    fake_process(&world->proc,
                 &(struct fake_process){.pid = 12, .ppid = 1, .cgroup = "0::/a.service\n"});
    fake_open(&world->proc, 12, 20, 501);
    return cgroup;
}
