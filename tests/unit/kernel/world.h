/* SPDX-License-Identifier: MIT */
/* A made-up /proc with a finder that looks into it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/kernel/owners.h"
#include "fake_proc.h"

#define LOOKS_MAX 500 /* after so many a look that gets on has an answer */

struct world {
    struct fake_proc proc;
    struct owner_finder *finder;
    struct owner_looked looked; /* of the last look */
};

/* Setup and teardown of a test. */
int make_world(void **state);
int end_world(void **state);

/* One look; without a bound in time, since the machine may stall. */
void look(struct world *world, struct owner_want *wants, size_t n, uint32_t descriptors);

/* Looks until it is answered. */
void look_out(struct world *world, struct owner_want *want, uint32_t descriptors);

struct owner_want want_of(uint32_t inode);

/* Process pid with n descriptors: files, and the last the socket (unless 0). */
void make_process(struct world *world, uint32_t pid, unsigned n, uint32_t inode);

/* 40 processes; 12 has the sockets 500 and 501 (descriptor 20) and a cgroup of its own, whose id it gives. */
uint64_t make_crowd(struct world *world);
