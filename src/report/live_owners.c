/* SPDX-License-Identifier: MIT */
#include "live_owners.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/owners.h"
#include "connhist/model/life.h"
#include "live_queued.h"

/* A person waits for the answer, and asks once: all processes are looked at, within this time. */
#define LOOK_MS 10000

static int open_finder(struct live_owners *owners, const struct clock *clock, struct err *err)
{
    _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = proc_fd < 0 ? -errno : owner_finder_new(proc_fd, clock, &owners->finder);

    return r < 0 ? err_errno(err, r, "/proc") : 0;
}

/* Of those who hold a socket the one that is asked for; else the first. */
static const struct owner *chosen(const struct filter *filter, const struct owner_want *want)
{
    if (filter_owner(filter, want->owner))
        return want->owner;
    for (uint32_t i = 0; i < want->n_others; i++)
        if (filter_owner(filter, &want->others[i]))
            return &want->others[i];
    return want->owner;
}

/* What is known of a row from the answer to its want. */
static void take_answer(struct socket_row *row, const struct filter *filter,
                        const struct owner_want *want)
{
    if (!want->owner)
        return;
    row->owner = chosen(filter, want);
    row->owner_source = want->owner->pid ? OWNER_BY_INODE : OWNER_BY_CGROUP;
    if (want->all_holders && want->owner->pid)
        row->holders = want->n_others + 1;
}

/* Where they are there and processes are hidden still something else hides them: a user namespace, a
 * security module. */
static bool lacks_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    uint32_t needed = CAP_TO_MASK(CAP_SYS_PTRACE) | CAP_TO_MASK(CAP_DAC_READ_SEARCH);

    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & needed) != needed;
}

/* A question, and what it is asked about. */
struct look {
    const struct filter *filter;            /* not owned */
    struct socket_row_vec *rows;            /* likewise */
    const struct socket_row_vec *listeners; /* likewise */
    uint32_t *want_of; /* of each listener: index of its want + 1; 0: nothing waits there; owned */
    size_t n_wants;
    size_t n_queued;
};

static void look_finish(struct look *look)
{
    free(look->want_of);
}

static void want(struct live_owners *owners, struct look *look, const struct socket_row *row)
{
    bool by_owner = filter_by_owner(look->filter);

    owners->wants[look->n_wants++] = (struct owner_want){
        .cgroup = row->cgroup,
        .inode = row->inode,
        .uid = row->uid < 0 ? UID_UNKNOWN : (uint32_t)row->uid,
        .hint = look->filter->pid,
        .all_holders = by_owner || row->state == STATE_LISTEN,
        .everywhere = by_owner,
    };
}

/* The listeners that something may have come to, beside the rows themselves. */
static void want_all(struct live_owners *owners, struct look *look)
{
    const struct socket_row *listener;

    for (size_t i = 0; i < look->rows->n; i++)
        if (look->rows->items[i].inode)
            want(owners, look, &look->rows->items[i]);
    for (size_t i = 0; i < look->rows->n; i++) {
        size_t at = SIZE_MAX;

        if (!live_is_queued(&look->rows->items[i]))
            continue;
        look->n_queued++;
        while ((listener = live_next_listener(look->listeners, &look->rows->items[i], &at))) {
            if (!listener->inode || look->want_of[at])
                continue;
            want(owners, look, listener);
            look->want_of[at] = (uint32_t)look->n_wants;
        }
    }
}

/* What listens where a row waits, if that is one program for sure: as the recorder has it, see
 * owning_of_listener(). */
static void take_listener(struct live_owners *owners, const struct look *look,
                          struct socket_row *row)
{
    const struct owner_want *first = NULL;
    bool several = false;
    size_t at = SIZE_MAX;

    while (live_next_listener(look->listeners, row, &at)) {
        const struct owner_want *want =
            look->want_of[at] ? &owners->wants[look->want_of[at] - 1] : NULL;

        if (!want || !want->owner || !want->owner->pid || owner_want_is_mixed(want))
            return;
        if (first && !owner_same_program(first->owner, want->owner))
            return;
        several |= first && first->owner->pid != want->owner->pid;
        first = first ? first : want;
    }
    if (!first)
        return;
    row->owner_source = OWNER_BY_LISTENER;
    row->owner = chosen(look->filter, first);
    if (!several)
        return;
    /* one of its processes, and it is open which */
    owners->programs[owners->n_programs] = *first->owner;
    owners->programs[owners->n_programs].pid = 0;
    row->owner = &owners->programs[owners->n_programs++];
}

static void take_answers(struct live_owners *owners, const struct look *look)
{
    size_t i = 0;

    for (size_t n = 0; n < look->rows->n; n++) {
        struct socket_row *row = &look->rows->items[n];

        if (row->inode)
            take_answer(row, look->filter, &owners->wants[i++]);
        else if (live_is_queued(row))
            take_listener(owners, look, row);
    }
}

/* What could not be found: of what was asked for twice, twice. */
static int tell_lacks(const struct look *look, const struct owner_want *wants, struct err *err)
{
    size_t denied = 0, later = 0;

    for (size_t i = 0; i < look->n_wants; i++) {
        denied += wants[i].answer == OWNER_DENIED;
        later += wants[i].answer == OWNER_LATER;
    }
    if (denied)
        err_set(err, -EACCES, "the owners of %zu of these sockets can't be seen%s", denied,
                lacks_privileges() ? ": that needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" : "");
    else if (later)
        err_set(err, -ETIMEDOUT, "the owners of %zu of these sockets were not found in time",
                later);
    return denied || later;
}

int live_owners_find(struct live_owners *owners, const struct clock *clock,
                     const struct filter *filter, struct socket_row_vec *rows,
                     const struct socket_row_vec *listeners, struct err *err)
{
    static const struct owner_budget budget = {.descriptors = UINT32_MAX, .ms = LOOK_MS};
    _cleanup_(look_finish) struct look look = {
        .filter = filter, .rows = rows, .listeners = listeners};
    struct owner_looked looked = {0};
    int r;

    owners->wants = calloc(rows->n + listeners->n + 1, sizeof(*owners->wants));
    look.want_of = calloc(listeners->n + 1, sizeof(*look.want_of));
    if (!owners->wants || !look.want_of)
        return err_errno(err, -ENOMEM, "looking for the owners");
    want_all(owners, &look);
    owners->programs = calloc(look.n_queued + 1, sizeof(*owners->programs));
    if (!owners->programs)
        return err_errno(err, -ENOMEM, "looking for the owners");
    r = open_finder(owners, clock, err);
    if (r < 0)
        return r;
    r = owner_finder_look(owners->finder, owners->wants, look.n_wants, &budget, &looked);
    if (r < 0)
        return err_errno(err, r, "looking for the owners");
    take_answers(owners, &look);
    return tell_lacks(&look, owners->wants, err);
}

void live_owners_finish(struct live_owners *owners)
{
    owner_finder_free(owners->finder);
    free(owners->wants);
    free(owners->programs);
}
