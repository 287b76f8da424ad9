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

/* A person waits for the answer, and asks once: all processes are looked at, within this time. */
#define LOOK_MS 10000

static int open_finder(struct live_owners *owners, const struct clock *clock, struct err *err)
{
    _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = proc_fd < 0 ? -errno : owner_finder_new(proc_fd, clock, &owners->finder);

    return r < 0 ? err_errno(err, r, "/proc") : 0;
}

/* What is known of a row from the answer to its want. */
static void take_answer(struct socket_row *row, const struct owner_want *want)
{
    if (!want->owner)
        return;
    row->owner = want->owner;
    row->owner_source = want->owner->pid ? OWNER_BY_INODE : OWNER_BY_CGROUP;
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

static int look(struct live_owners *owners, struct socket_row *rows, size_t n, struct err *err)
{
    static const struct owner_budget budget = {.descriptors = UINT32_MAX, .ms = LOOK_MS};
    struct owner_looked looked = {0};
    size_t n_wants = 0, i = 0;
    int r;

    for (size_t row = 0; row < n; row++)
        if (rows[row].inode)
            owners->wants[n_wants++] = (struct owner_want){
                .cgroup = rows[row].cgroup,
                .inode = rows[row].inode,
                .uid = rows[row].uid < 0 ? UID_UNKNOWN : (uint32_t)rows[row].uid,
                .all_holders = rows[row].state == STATE_LISTEN,
            };
    r = owner_finder_look(owners->finder, owners->wants, n_wants, &budget, &looked);
    if (r < 0)
        return err_errno(err, r, "looking for the owners");
    for (size_t row = 0; row < n; row++)
        if (rows[row].inode)
            take_answer(&rows[row], &owners->wants[i++]);
    if (looked.denied)
        err_set(err, -EACCES, "the owners of %u of these sockets can't be seen%s", looked.denied,
                lacks_privileges() ? ": that needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH" : "");
    else if (looked.later)
        err_set(err, -ETIMEDOUT, "the owners of %u of these sockets were not found in time",
                looked.later);
    return looked.denied || looked.later;
}

int live_owners_find(struct live_owners *owners, const struct clock *clock, struct socket_row *rows,
                     size_t n, struct err *err)
{
    int r;

    owners->wants = calloc(n + 1, sizeof(*owners->wants));
    if (!owners->wants)
        return err_errno(err, -ENOMEM, "looking for the owners");
    r = open_finder(owners, clock, err);
    return r < 0 ? r : look(owners, rows, n, err);
}

void live_owners_finish(struct live_owners *owners)
{
    owner_finder_free(owners->finder);
    free(owners->wants);
}
