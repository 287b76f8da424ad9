/* SPDX-License-Identifier: MIT */
/* In which order the processes are looked at, and how much of the budget each may use. */
#include <errno.h>
#include <stdlib.h>

#include "owners_private.h"

#define TAIL_MIN  256 /* descriptors of a process whose latest are looked at by themselves */
#define TAILS_MAX 64
#define LARGE_MIN 1024 /* descriptors of an owner before which the small ones are looked at */
#define SMALL_MAX 4096 /* descriptors of a process that is looked at before the large ones */

/* Processes in the order in which they are to be looked at; borrowed. */
struct queue_of {
    VEC_FIELDS(struct process *);
};

/* Of the budget, what the likely ones may use, and what one process may while others wait. */

static uint32_t for_likely(const struct owner_finder *finder)
{
    uint32_t kept = finder->budget / 4;

    return finder->left > kept ? finder->left - kept : 0;
}

static uint32_t for_one(const struct owner_finder *finder)
{
    return finder->budget / 4;
}

/* The likely ones. */

/* Looks at a likely process, unless it has answered for what was first asked for at `since`. */
static int try_likely(struct owner_finder *finder, struct process *process, uint64_t since)
{
    uint32_t most = for_likely(finder);
    int r;

    if (!process)
        return -ENOMEM;
    if (process->scanned >= since || !finder->unsolved)
        return 0;
    r = process_scan(finder, process, most < for_one(finder) ? most : for_one(finder));
    return r < 0 ? r : 0;
}

static int try_hints(struct owner_finder *finder, const struct owner_want *wants, size_t n)
{
    const struct pending *pending;
    int r = 0;

    for (size_t i = 0; i < n && r == 0 && finder->unsolved; i++) {
        pending = wants[i].inode && wants[i].hint ? pending_find(&finder->pendings, wants[i].inode)
                                                  : NULL;
        if (pending && pending_is_unsolved(pending))
            r = try_likely(finder, process_get(finder, wants[i].hint), pending->first_asked);
    }
    return r;
}

static int later_owned_first(const void *a, const void *b)
{
    const struct process *x = *(struct process *const *)a, *y = *(struct process *const *)b;

    if (x->owned != y->owned)
        return x->owned < y->owned ? 1 : -1;
    return (x->pid < y->pid) - (x->pid > y->pid);
}

static int list_owners(struct owner_finder *finder, struct queue_of *ret)
{
    for (size_t i = 0; i < finder->processes.n; i++)
        if (finder->processes.items[i]->owned && vec_push(ret, finder->processes.items[i]) < 0)
            return -ENOMEM;
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(*ret->items), later_owned_first);
    return 0;
}

/* Servers with many connections mostly have their new ones there, and it costs next to nothing. */
static int try_tails(struct owner_finder *finder, const struct queue_of *owners)
{
    unsigned tries = 0;
    int r = 0;

    for (size_t i = 0; i < owners->n && r == 0 && finder->unsolved && tries < TAILS_MAX &&
                       finder->left > finder->budget / 2;
         i++)
        if (owners->items[i]->tail && owners->items[i]->size >= TAIL_MIN) {
            r = process_scan_known(finder, owners->items[i], for_one(finder));
            if (r == 0 && finder->unsolved)
                r = process_scan_tail(finder, owners->items[i], for_one(finder));
            tries++;
        }
    return r;
}

/* cgroup: 0: of any; large: with more descriptors than this they are left out. */
static int try_owners(struct owner_finder *finder, const struct queue_of *owners, uint64_t cgroup,
                      uint64_t since, uint32_t large)
{
    int r = 0;

    for (size_t i = 0; i < owners->n && r == 0; i++)
        if ((!cgroup || owners->items[i]->cgroup == cgroup) && owners->items[i]->size <= large)
            r = try_likely(finder, owners->items[i], since);
    return r;
}

static int try_members(struct owner_finder *finder, uint64_t cgroup, uint64_t since)
{
    const char *path = cgroup_tree_path(&finder->tree, cgroup);
    struct pids pids = {0};
    int r = path ? cgroup_tree_processes(&finder->tree, path, MEMBERS_MAX, &pids) : 0;

    if (r == -ENOENT)
        r = 0;
    for (size_t i = pids.n; i > 0 && r == 0; i--)
        r = try_likely(finder, process_get(finder, pids.items[i - 1]), since);
    vec_finish(&pids);
    return r;
}

/* A cgroup, and the look since which its processes are to have been passed over. */
struct cgroup_since {
    uint64_t cgroup, since;
};

struct cgroups {
    VEC_FIELDS(struct cgroup_since);
};

static int by_cgroup_newest_first(const void *a, const void *b)
{
    const struct cgroup_since *x = a, *y = b;

    if (x->cgroup != y->cgroup)
        return x->cgroup < y->cgroup ? -1 : 1;
    return (x->since < y->since) - (x->since > y->since);
}

/* The cgroups of what is unsolved; of each the newest first. */
static int list_cgroups(struct owner_finder *finder, const struct owner_want *wants, size_t n,
                        struct cgroups *ret)
{
    const struct pending *pending;

    for (size_t i = 0; i < n; i++) {
        if (!wants[i].inode || wants[i].cgroup <= CGROUP_ROOT_ID)
            continue;
        pending = pending_find(&finder->pendings, wants[i].inode);
        if (pending_is_unsolved(pending) &&
            vec_push(ret, ((struct cgroup_since){wants[i].cgroup, pending->first_asked})) < 0)
            return -ENOMEM;
    }
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(*ret->items), by_cgroup_newest_first);
    return 0;
}

static int try_cgroups(struct owner_finder *finder, const struct queue_of *owners,
                       const struct owner_want *wants, size_t n)
{
    struct cgroups cgroups = {0};
    uint64_t last = 0;
    int r = list_cgroups(finder, wants, n, &cgroups);

    for (size_t i = 0; i < cgroups.n && r == 0 && finder->unsolved; i++) {
        const struct cgroup_since *at = &cgroups.items[i];

        if (at->cgroup == last)
            continue;
        last = at->cgroup;
        r = try_owners(finder, owners, at->cgroup, at->since, UINT32_MAX);
        if (r == 0 && finder->unsolved)
            r = try_members(finder, at->cgroup, at->since);
    }
    vec_finish(&cgroups);
    return r;
}

/* Everyone. */

/* The look since which every process must have been passed over for all that is unsolved. */
static uint64_t newest_unsolved(const struct owner_finder *finder)
{
    uint64_t newest = 0;

    for (size_t i = 0; i < finder->pendings.n; i++)
        if (pending_is_unsolved(&finder->pendings.items[i]) &&
            finder->pendings.items[i].first_asked > newest)
            newest = finder->pendings.items[i].first_asked;
    return newest;
}

static int longest_ago_first(const void *a, const void *b)
{
    const struct process *x = *(struct process *const *)a, *y = *(struct process *const *)b;

    if (x->scanned != y->scanned)
        return x->scanned < y->scanned ? -1 : 1;
    return (x->pid < y->pid) - (x->pid > y->pid);
}

static int list_everyone(struct owner_finder *finder, struct queue_of *ret)
{
    uint64_t since = newest_unsolved(finder);
    int r = process_list(finder);

    for (size_t i = 0; i < finder->processes.n && r == 0; i++)
        if (finder->processes.items[i]->scanned < since)
            r = vec_push(ret, finder->processes.items[i]);
    return r;
}

static int pass_over(struct owner_finder *finder, const struct queue_of *queue, uint32_t most_each)
{
    uint64_t since = newest_unsolved(finder);
    int r = 0;

    for (size_t i = 0; i < queue->n && r >= 0 && finder->unsolved && !work_is_over(finder); i++)
        if (queue->items[i]->scanned < since)
            r = process_scan(finder, queue->items[i], most_each);
    return r < 0 ? r : 0;
}

static int smallest_first(const void *a, const void *b)
{
    const struct process *x = *(struct process *const *)a, *y = *(struct process *const *)b;

    if (x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return (x->pid < y->pid) - (x->pid > y->pid);
}

/* The small ones with half of what is left, since they cost least for what may be found. */
static int pass_over_small(struct owner_finder *finder, const struct queue_of *queue)
{
    uint64_t since = newest_unsolved(finder);
    uint32_t kept = finder->left / 2;
    int r = 0;

    for (size_t i = 0;
         i < queue->n && r >= 0 && finder->unsolved && finder->left > kept && !finder->late; i++)
        if (queue->items[i]->scanned < since && queue->items[i]->size <= SMALL_MAX)
            r = process_scan_small(finder, queue->items[i], SMALL_MAX);
    return r < 0 ? r : 0;
}

/* Their new sockets were where new ones mostly are, or are none of theirs. */
static int pass_over_large_owners(struct owner_finder *finder)
{
    struct queue_of owners = {0};
    int r = list_owners(finder, &owners);

    if (r == 0)
        r = try_owners(finder, &owners, 0, newest_unsolved(finder), UINT32_MAX);
    vec_finish(&owners);
    return r;
}

static int pass_over_all(struct owner_finder *finder, const struct queue_of *queue)
{
    int r;

    if (queue->n)
        qsort(queue->items, queue->n, sizeof(*queue->items), smallest_first);
    r = pass_over_small(finder, queue);
    if (r == 0 && finder->unsolved)
        r = pass_over_large_owners(finder);
    if (r < 0 || !finder->unsolved)
        return r;
    if (queue->n)
        qsort(queue->items, queue->n, sizeof(*queue->items), longest_ago_first);
    r = pass_over(finder, queue, for_one(finder));
    return r < 0 ? r : pass_over(finder, queue, UINT32_MAX);
}

/* A second time for those that came meanwhile. */
static int try_everyone(struct owner_finder *finder)
{
    struct queue_of queue = {0};
    int r = 0;

    for (int i = 0; i < 2 && r == 0 && finder->unsolved && !work_is_over(finder); i++) {
        vec_clear(&queue);
        r = list_everyone(finder, &queue);
        if (r == 0)
            r = pass_over_all(finder, &queue);
    }
    vec_finish(&queue);
    return r;
}

int order_look_through(struct owner_finder *finder, const struct owner_want *wants, size_t n)
{
    struct queue_of owners = {0};
    int r = finder->unsolved ? list_owners(finder, &owners) : 0;

    if (finder->unsolved)
        table_sweep(finder);
    if (r == 0)
        r = try_tails(finder, &owners);
    if (r == 0)
        r = try_hints(finder, wants, n);
    if (r == 0)
        r = try_cgroups(finder, &owners, wants, n);
    if (r == 0)
        r = try_owners(finder, &owners, 0, newest_unsolved(finder), LARGE_MIN);
    if (r == 0)
        r = try_everyone(finder);
    vec_finish(&owners);
    return r;
}
