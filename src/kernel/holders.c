/* SPDX-License-Identifier: MIT */
/* Which of a socket's holders is its owner. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "owners_private.h"

#define GENERATIONS_MAX 64

/* Makes a process tell whether it holds what was first asked for at `since`. As process_scan(). */
static int ask(struct owner_finder *finder, uint32_t pid, uint64_t since)
{
    struct process *process = process_get(finder, pid);
    int r = 1;

    if (!process)
        return -ENOMEM;
    /* A pass that had begun before is finished first, then another is made. */
    for (int i = 0; i < 2 && r == 1 && process->scanned < since; i++)
        r = process_scan(finder, process, finder->left);
    return r < 0 ? r : process->scanned >= since;
}

/* Service managers listen for their units before these run. */
static bool is_manager(const struct facts *facts)
{
    const char *name = strrchr(facts->owner.cgroup, '/');

    return name && strcmp(name, "/init.scope") == 0;
}

/* Leaves those that still live; a pid that is another process's by now is none. */
static int drop_ended(struct owner_finder *finder, struct pending *pending)
{
    const struct facts *facts;
    size_t n = 0;
    int r;

    for (size_t i = 0; i < pending->holders.n; i++) {
        struct holder holder = pending->holders.items[i];

        r = facts_of(finder, holder.pid, &facts);
        if (r < 0)
            return r;
        if (facts && facts->owner.start_ms == holder.start_ms)
            pending->holders.items[n++] = holder;
    }
    pending->holders.n = n;
    return 0;
}

/* The oldest that is no manager, else the oldest. All of them live, so their facts are at hand. */
static int oldest(struct owner_finder *finder, const struct pending *pending,
                  const struct facts **ret)
{
    const struct facts *facts, *first = NULL;
    int r;

    for (size_t i = 0; i < pending->holders.n; i++) {
        r = facts_of(finder, pending->holders.items[i].pid, &facts);
        if (r < 0)
            return r;
        if (!first || (is_manager(first) && !is_manager(facts)))
            first = facts;
    }
    *ret = first;
    return 0;
}

static bool holds(const struct pending *pending, const struct facts *facts)
{
    for (size_t i = 0; i < pending->holders.n; i++)
        if (pending->holders.items[i].pid == facts->owner.pid &&
            pending->holders.items[i].start_ms == facts->owner.start_ms)
            return true;
    return false;
}

/* The topmost ancestor within the cgroup that holds the socket; *facts itself where none does. 1, or 0
 * where one of them can't be asked any more in this look, or a negative errno. */
static int climb(struct owner_finder *finder, const struct pending *pending,
                 const struct facts **facts)
{
    const struct facts *top = *facts, *at = *facts;
    int r = 0;

    for (int i = 0; i < GENERATIONS_MAX && at->ppid; i++) {
        const struct facts *parent = NULL;

        r = facts_of(finder, at->ppid, &parent);
        if (r < 0)
            return r;
        if (!parent || strcmp(parent->owner.cgroup, at->owner.cgroup) != 0)
            break;
        r = ask(finder, parent->owner.pid, pending->first_asked);
        if (r <= 0)
            return r;
        if (holds(pending, parent))
            top = parent;
        at = parent;
    }
    *facts = top;
    return 1;
}

/* Appends the children of one thread: "12 34 56 ". */
static int add_children(int process_fd, uint32_t thread, struct pids *ret)
{
    char name[64], text[8192], *end = NULL;
    uint64_t pid;

    snprintf(name, sizeof(name), "task/%u/children", thread);
    if (process_read_file(process_fd, name, text, sizeof(text)) < 0)
        return 0;
    for (char *word = strtok_r(text, " \n", &end); word; word = strtok_r(NULL, " \n", &end))
        if (parse_u64(word, 1, INT32_MAX, &pid) == 0 && vec_push(ret, (uint32_t)pid) < 0)
            return -ENOMEM;
    return 0;
}

/* Appends the descendants of the process at `from` of the list; those that other threads than the main
 * one made are not shown there, but most are in the cgroup. */
static int add_descendants(struct owner_finder *finder, size_t from, struct pids *ret)
{
    int r = 0;

    for (size_t i = from; i < ret->n && ret->n < MEMBERS_MAX && r == 0; i++) {
        _cleanup_close_ int fd = process_open(finder->proc_fd, ret->items[i]);

        if (fd >= 0)
            r = add_children(fd, ret->items[i], ret);
    }
    return r;
}

static int ask_all(struct owner_finder *finder, const struct pending *pending,
                   const struct pids *pids)
{
    int r = 1;

    for (size_t i = 0; i < pids->n && i < MEMBERS_MAX && r == 1; i++)
        r = ask(finder, pids->items[i], pending->first_asked);
    return r;
}

static int ask_members(struct owner_finder *finder, const struct pending *pending,
                       const struct facts *owner)
{
    struct pids pids = {0};
    int r = cgroup_tree_processes(&finder->tree, owner->owner.cgroup, MEMBERS_MAX, &pids);

    if (r == -ENOENT) /* no cgroup2 */
        r = 0;
    if (r == 0)
        r = vec_push(&pids, owner->owner.pid);
    if (r == 0)
        r = add_descendants(finder, pids.n - 1, &pids);
    if (r == 0)
        r = ask_all(finder, pending, &pids);
    vec_finish(&pids);
    return r;
}

/* Looks at all who may hold it, too. 1, or 0 where that can't be done in this look. */
static int ask_others(struct owner_finder *finder, struct pending *pending,
                      const struct facts *owner, bool covered)
{
    if (covered)
        return 1;
    if (!is_manager(owner))
        return ask_members(finder, pending, owner);
    pending->everywhere = true;
    return 0;
}

static int tell_others(struct owner_finder *finder, const struct pending *pending,
                       const struct facts *owner, struct owner_want *want)
{
    struct owner *others;
    const struct facts *facts;
    uint32_t n = 0;
    int r;

    if (pending->holders.n < 2)
        return 0;
    others = calloc(pending->holders.n, sizeof(*others));
    if (!others)
        return -ENOMEM;
    if (vec_push(&finder->answers, others) < 0) {
        free(others);
        return -ENOMEM;
    }
    for (size_t i = 0; i < pending->holders.n; i++) {
        r = facts_of(finder, pending->holders.items[i].pid, &facts);
        if (r < 0)
            return r;
        if (facts != owner)
            others[n++] = facts->owner;
    }
    want->others = others;
    want->n_others = n;
    return 0;
}

static int answer(struct owner_finder *finder, const struct pending *pending,
                  const struct facts *owner, struct owner_want *want)
{
    struct process *process = process_get(finder, owner->owner.pid);
    int r = pending->all ? tell_others(finder, pending, owner, want) : 0;

    if (r < 0 || !process)
        return r < 0 ? r : -ENOMEM;
    process->owned = finder->look;
    process->cgroup = owner->cgroup;
    want->owner = &owner->owner;
    want->answer = OWNER_FOUND;
    return 0;
}

/* Who is the owner by what is known. 1; 0: more is to be looked at first; or a negative errno. */
static int choose(struct owner_finder *finder, struct pending *pending, const struct facts **ret)
{
    int r = drop_ended(finder, pending);

    if (r == 0)
        r = oldest(finder, pending, ret);
    if (r < 0)
        return r;
    if (*ret)
        return climb(finder, pending, ret);
    /* All have ended; the socket may have been passed on before, to a process passed over earlier. */
    pending->everywhere = false;
    pending->first_asked = finder->look + 1;
    return 0;
}

int holders_settle(struct owner_finder *finder, struct pending *pending, struct owner_want *want,
                   bool covered)
{
    const struct facts *owner = NULL;
    int r = choose(finder, pending, &owner);

    if (r <= 0)
        return r;
    if (pending->all) {
        r = ask_others(finder, pending, owner, covered);
        if (r <= 0)
            return r;
        r = choose(finder, pending, &owner); /* others may have turned up */
        if (r <= 0)
            return r;
    }
    return answer(finder, pending, owner, want);
}
