/* SPDX-License-Identifier: MIT */
/* What the descriptors of large owners were when they were seen last. The kernel gives a new descriptor the
 * lowest number that is free: so new sockets are mostly where there was none, or one that is gone. All of
 * this says where to look first, and nothing more. */
#include <errno.h>

#include "connhist/kernel/owners.h"
#include "owners_private.h"

#define DESCRIPTORS_KEPT (1024 * 1024) /* of a process: 4 MiB */
#define TABLE_MIN        256           /* a smaller process is as soon passed over as a whole */
#define GONE_BITS        65536
#define GONE_MAX         (GONE_BITS / 8) /* more would take too many for gone */

static uint32_t bit_of(uint32_t inode)
{
    return (uint32_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 48);
}

void table_note(struct process *process, uint32_t number, uint32_t what)
{
    if (number >= DESCRIPTORS_KEPT ||
        (number >= process->table.n &&
         vec_reserve(&process->table, number + 1 - process->table.n) < 0))
        return;
    while (process->table.n <= number)
        process->table.items[process->table.n++] = DESCRIPTOR_FREE;
    process->table.items[number] = what;
}

void table_settle(struct process *process, bool holds_wanted)
{
    if ((!process->owned && !holds_wanted) || process->size < TABLE_MIN)
        vec_finish(&process->table);
}

static void sweep(const uint64_t *gone, struct process *process)
{
    for (size_t i = 0; i < process->table.n; i++) {
        uint32_t what = process->table.items[i], bit = bit_of(what);

        if (what != DESCRIPTOR_OTHER && gone[bit / 64] >> bit % 64 & 1)
            process->table.items[i] = DESCRIPTOR_FREE;
    }
}

void table_sweep(struct owner_finder *finder)
{
    if (!finder->n_gone)
        return;
    for (size_t i = 0; i < finder->processes.n; i++)
        sweep(finder->gone, finder->processes.items[i]);
    for (size_t i = 0; i < GONE_BITS / 64; i++)
        finder->gone[i] = 0;
    finder->n_gone = 0;
}

void owner_finder_gone(struct owner_finder *finder, const uint32_t *inodes, size_t n)
{
    if (!finder->gone)
        finder->gone = calloc(GONE_BITS / 64, sizeof(*finder->gone));
    for (size_t i = 0; finder->gone && i < n; i++) {
        uint32_t bit = bit_of(inodes[i]);

        finder->gone[bit / 64] |= UINT64_C(1) << bit % 64;
        if (++finder->n_gone >= GONE_MAX)
            table_sweep(finder);
    }
}
