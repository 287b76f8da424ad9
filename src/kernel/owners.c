/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/owners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/model/life.h"
#include "owners_private.h"

#define DESCRIPTORS_MIN 64  /* a look must get on */
#define KEPT_SHARE      4   /* a fourth of the work is kept for choosing among holders */
#define UNLISTED_MAX    256 /* processes known but not listed, beyond twice the last listing */

int owner_finder_new(int proc_fd, const struct clock *clock, struct owner_finder **ret)
{
    struct owner_finder *finder = calloc(1, sizeof(*finder));
    int r;

    if (!finder)
        return -ENOMEM;
    finder->clock = *clock;
    finder->tree.mount_fd = -1;
    finder->proc_fd = fcntl(proc_fd, F_DUPFD_CLOEXEC, 0);
    finder->scratch = malloc(sizeof(*finder->scratch));
    if (finder->proc_fd < 0)
        r = -errno;
    else
        r = finder->scratch ? cgroup_tree_init(&finder->tree, finder->proc_fd) : -ENOMEM;
    if (r < 0) {
        owner_finder_free(finder);
        return r;
    }
    /* Every /proc has its first process, unless it is hidden. */
    finder->hides = faccessat(finder->proc_fd, "1/stat", F_OK, 0) < 0;
    *ret = finder;
    return 0;
}

void owner_finder_free(struct owner_finder *finder)
{
    if (!finder)
        return;
    facts_clear(finder);
    vec_finish(&finder->answers);
    vec_finish(&finder->cgroups);
    pendings_finish(&finder->pendings);
    process_forget_all(finder);
    cgroup_tree_finish(&finder->tree);
    free(finder->gone);
    free(finder->scratch);
    cleanup_close(&finder->proc_fd);
    free(finder);
}

/* What the unfinished part of the house knows. */
struct coverage {
    struct {
        VEC_FIELDS(uint32_t);
    } denied;       /* uids of processes that could not be read, each once, in order */
    uint64_t since; /* everyone was passed over, beginning at this look or later; 0: not everyone */
};

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int read_coverage(const struct owner_finder *finder, uint64_t listing_before,
                         struct coverage *coverage)
{
    size_t n = 0;

    if (finder->listing == listing_before)
        return 0;
    coverage->since = finder->look;
    for (size_t i = 0; i < finder->processes.n; i++) {
        const struct process *process = finder->processes.items[i];

        if (process->scanned < coverage->since)
            coverage->since = process->scanned;
        if (process->denied && vec_push(&coverage->denied, process->uid) < 0)
            return -ENOMEM;
    }
    if (coverage->denied.n)
        qsort(coverage->denied.items, coverage->denied.n, sizeof(uint32_t), by_number);
    for (size_t i = 0; i < coverage->denied.n; i++)
        if (n == 0 || coverage->denied.items[n - 1] != coverage->denied.items[i])
            coverage->denied.items[n++] = coverage->denied.items[i];
    coverage->denied.n = n;
    return 0;
}

static bool is_denied(const struct coverage *coverage, uint32_t uid)
{
    return coverage->denied.n &&
           bsearch(&uid, coverage->denied.items, coverage->denied.n, sizeof(uint32_t), by_number);
}

/* A process of root may hold anything, a socket of root may be held by anyone. */
static bool may_be_denied(const struct owner_finder *finder, const struct coverage *coverage,
                          uint32_t uid)
{
    if (finder->hides || is_denied(coverage, 0) || is_denied(coverage, UID_UNKNOWN))
        return true;
    return uid == 0 || uid == UID_UNKNOWN ? coverage->denied.n > 0 : is_denied(coverage, uid);
}

static int answer_by_cgroup(struct owner_finder *finder, struct owner_want *want)
{
    return facts_of_cgroup(finder, want->cgroup, want->uid, &want->owner);
}

static int answer_by_inode(struct owner_finder *finder, const struct coverage *coverage,
                           struct owner_want *want, struct pending *pending)
{
    bool covered = coverage->since && pending->first_asked <= coverage->since;

    if (pending->holders.n)
        return holders_settle(finder, pending, want, covered);
    if (!covered)
        return 0;
    want->answer = may_be_denied(finder, coverage, want->uid) ? OWNER_DENIED : OWNER_ABSENT;
    return answer_by_cgroup(finder, want);
}

static int answer(struct owner_finder *finder, const struct coverage *coverage,
                  struct owner_want *want)
{
    struct pending *pending;
    int r;

    if (!want->inode) {
        r = answer_by_cgroup(finder, want);
        want->answer = want->owner ? OWNER_FOUND : OWNER_ABSENT;
        return r;
    }
    pending = pending_find(&finder->pendings, want->inode);
    r = answer_by_inode(finder, coverage, want, pending);
    pending->answered = want->answer != OWNER_LATER;
    return r;
}

static void count(struct owner_looked *looked, uint8_t answer)
{
    looked->later += answer == OWNER_LATER;
    looked->found += answer == OWNER_FOUND;
    looked->absent += answer == OWNER_ABSENT;
    looked->denied += answer == OWNER_DENIED;
}

static void begin(struct owner_finder *finder, const struct owner_budget *budget)
{
    struct owner_budget given = budget ? *budget : OWNER_BUDGET_DEFAULT;

    facts_clear(finder);
    cgroup_tree_begin(&finder->tree);
    finder->look++;
    finder->looked = (struct owner_looked){0};
    finder->budget = given.descriptors < DESCRIPTORS_MIN ? DESCRIPTORS_MIN : given.descriptors;
    finder->left = finder->budget - finder->budget / KEPT_SHARE;
    finder->late = false;
    finder->kept_ns = (int64_t)given.ms * NS_PER_MS / KEPT_SHARE;
    finder->deadline_ns =
        clock_boottime_ns(&finder->clock) + (int64_t)given.ms * NS_PER_MS - finder->kept_ns;
}

/* Where the likely ones answer everything, /proc is not listed for long. */
static int forget_ended(struct owner_finder *finder)
{
    return finder->processes.n > 2 * finder->listed + UNLISTED_MAX ? process_list(finder) : 0;
}

static int answer_all(struct owner_finder *finder, const struct coverage *coverage,
                      struct owner_want *wants, size_t n)
{
    int r = 0;

    /* What was kept for it. */
    finder->left += finder->budget / KEPT_SHARE;
    finder->deadline_ns += finder->kept_ns;
    finder->late = false;
    for (size_t i = 0; i < n && r >= 0; i++)
        r = answer(finder, coverage, &wants[i]);
    return r < 0 ? r : 0;
}

static int look(struct owner_finder *finder, struct owner_want *wants, size_t n)
{
    struct coverage coverage = {0};
    uint64_t listing;
    int r = forget_ended(finder);

    listing = finder->listing;
    if (r == 0)
        r = pendings_renew(finder, wants, n);
    if (r == 0)
        r = order_look_through(finder, wants, n);
    if (r == 0)
        r = read_coverage(finder, listing, &coverage);
    if (r == 0)
        r = answer_all(finder, &coverage, wants, n);
    vec_finish(&coverage.denied);
    return r;
}

int owner_finder_look(struct owner_finder *finder, struct owner_want *wants, size_t n,
                      const struct owner_budget *budget, struct owner_looked *ret)
{
    int r;

    begin(finder, budget);
    for (size_t i = 0; i < n; i++) {
        wants[i].answer = OWNER_LATER;
        wants[i].owner = wants[i].others = NULL;
        wants[i].n_others = 0;
    }
    if (!n)
        pendings_finish(&finder->pendings);
    r = n ? look(finder, wants, n) : 0;
    for (size_t i = 0; i < n; i++)
        count(&finder->looked, wants[i].answer);
    *ret = finder->looked;
    return r;
}
