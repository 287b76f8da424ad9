/* SPDX-License-Identifier: MIT */
/* Made-up processes that hold made-up sockets. Words are never empty: "-" stands for "".
 *
 * - process PID START_MS UID COMM EXE UNIT CONTAINER CGROUP: it runs, or goes by these names now
 * - ended PID
 * - holds PID INODE, lets PID INODE: who holds a socket first is its owner
 * - hidden PID, seen PID: whether its descriptors can be read
 * - late: the looks of the next snapshot come to no end
 * - cgroup ID PATH UNIT CONTAINER: what a cgroup is */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/owner.h"

struct made_process {
    struct owner owner; /* strings are owned */
    bool hidden;
};

struct made_hold {
    uint32_t pid;
    uint32_t inode;
};

struct made_cgroup {
    uint64_t id;
    struct owner owner; /* strings are owned */
};

struct processes {
    struct {
        VEC_FIELDS(struct made_process);
    } items;
    struct {
        VEC_FIELDS(struct made_hold);
    } holds;
    struct {
        VEC_FIELDS(struct made_cgroup);
    } cgroups;
    struct {
        VEC_FIELDS(struct owner);
    } others;       /* of the last look */
    uint64_t asked; /* wants so far */
    bool late;      /* looks come to no end */
};

/* Whether the line was one of these commands; ends the program if it is wrong. */
bool processes_obey(struct processes *processes, const char *line);

void processes_look(struct processes *processes, struct owner_want *wants, size_t n);
int processes_check(const struct processes *processes, const struct owner *owner);
void processes_finish(struct processes *processes);
