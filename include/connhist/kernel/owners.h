/* SPDX-License-Identifier: MIT */
/* Finds the processes that hold sockets, by their links in /proc/PID/fd, with bounded work. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/model/owner.h"

struct owner_finder;

/* The work of one look. What is not done is gone on with at the next. */
struct owner_budget {
    uint32_t descriptors; /* links read; visiting a process counts for 8 of them */
    uint32_t ms;          /* time that goes by */
};

#define OWNER_BUDGET_DEFAULT ((struct owner_budget){.descriptors = 20000, .ms = 200})

/* What became of one look. */
struct owner_looked {
    uint32_t processes;   /* visited */
    uint32_t descriptors; /* links read */
    uint32_t found;       /* wants with this answer */
    uint32_t absent;      /* the same */
    uint32_t denied;      /* the same */
    uint32_t later;       /* the same */
};

/* proc_fd: the root of procfs (a copy is made); clock: for budget.ms. The processes and cgroups are those
 * that this /proc and the cgroup2 mount of its self/mountinfo show. -ENOMEM, -EMFILE. */
int owner_finder_new(int proc_fd, const struct clock *clock, struct owner_finder **ret);
void owner_finder_free(struct owner_finder *finder);

DEFINE_CLEANUP(struct owner_finder *, owner_finder_free)

/* Tells that sockets are gone, or that their programs closed them: new ones may have the numbers of their
 * descriptors. What is not told costs time, and nothing else. */
void owner_finder_gone(struct owner_finder *finder, const uint32_t *inodes, size_t n);

/* Answers what can be answered with this much work, and sets answer, owner, n_others and others of each
 * want. Ask again for those that got OWNER_LATER, and for them together with new ones: what this look does
 * not ask for is forgotten. No wants cost nothing.
 *
 * Looked at are, of large processes that owned before, the descriptors that were free, became free since
 * or held what is asked for, and the highest; the hint; those of the socket's cgroup that owned before; the
 * others of that cgroup; those that owned before and are not large, the latest first; then everyone: the small
 * ones first, which cost least for what may be found, and the highest pid first among the new, since a
 * socket that no known process has is mostly that of a new one; then the large that owned before; then those
 * not looked at for the longest. A fourth of the budget is kept for choosing among holders, half of it at
 * most goes to the likely ones, and a fourth to one process as long as others wait; a process with more
 * descriptors is gone on with where it was left, at the next look.
 *
 * OWNER_ABSENT is said when every process, those that came meanwhile too, was passed over from
 * beginning to end since the want was first asked. OWNER_DENIED instead, when one that could not be read
 * may have it: its uid or the socket's is 0, or both are the same or the socket's is not known. So where
 * /proc hides the processes of others (hidepid). Kernel threads and zombies have no sockets.
 *
 * The owner among several holders: the oldest (start, then pid), or its topmost ancestor of the same
 * cgroup that holds the socket, too. Without all_holders only those are looked at of whom it is
 * likely: other holders, strangers to one another, can be found first. With it, all processes of the
 * holder's cgroup and all its descendants are looked at (1,024 at most), so that the same
 * processes give the same answer, or with `everywhere` all there are; 64 others at most are told, the
 * oldest, and the hint. A manager that keeps a
 * listener for its units (in a cgroup "init.scope") is the owner only if nobody else has it, for which all
 * processes are looked at.
 *
 * The facts about a process are read once in each look that it is an answer of. Returns 0 or a negative
 * errno (memory, descriptors, no /proc): the wants not answered yet are then OWNER_LATER.
 * budget: NULL for the default. */
int owner_finder_look(struct owner_finder *finder, struct owner_want *wants, size_t n,
                      const struct owner_budget *budget, struct owner_looked *ret);
