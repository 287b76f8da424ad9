/* SPDX-License-Identifier: MIT */
#include "owners_live.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/owners.h"
#include "connhist/kernel/process.h"

#define PROC                "/proc"
#define RECHECK_DESCRIPTORS 1000
#define MANY_WANTS          4096 /* what they took in small pieces is given back afterwards */
#define RECHECK_MS          20

/* A finder goes on with what it was asked before and forgets what it is not asked again: so other
 * questions than for what was never found have one of their own. */
struct owners_live {
    struct owner_finder *first;  /* sockets whose owner is not known */
    struct owner_finder *second; /* known owners */
    struct owner_finder *third;  /* cgroups alone */
    size_t most;                 /* wants of a look since memory was given back */
    int proc_fd;
};

int owners_live_new(const struct clock *clock, struct owners_live **ret, struct err *err)
{
    struct owners_live *owners = calloc(1, sizeof(*owners));
    int r = 0;

    if (!owners)
        return err_set(err, -ENOMEM, "out of memory");
    owners->proc_fd = open(PROC, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (owners->proc_fd < 0)
        r = -errno;
    if (r == 0)
        r = owner_finder_new(owners->proc_fd, clock, &owners->first);
    if (r == 0)
        r = owner_finder_new(owners->proc_fd, clock, &owners->second);
    if (r == 0)
        r = owner_finder_new(owners->proc_fd, clock, &owners->third);
    if (r < 0) {
        owners_live_free(owners);
        return err_errno(err, r, PROC);
    }
    *ret = owners;
    return 0;
}

void owners_live_free(struct owners_live *owners)
{
    if (!owners)
        return;
    owner_finder_free(owners->first);
    owner_finder_free(owners->second);
    owner_finder_free(owners->third);
    if (owners->proc_fd >= 0)
        close(owners->proc_fd);
    free(owners);
}

void owners_live_look(struct owners_live *owners, struct owner_want *wants, size_t n, bool recheck)
{
    static const struct owner_budget little = {.descriptors = RECHECK_DESCRIPTORS,
                                               .ms = RECHECK_MS};
    bool cgroups = n > 0 && !wants[0].inode;
    struct owner_looked looked;

    /* what fails leaves its wants at OWNER_LATER */
    owner_finder_look(cgroups   ? owners->third
                      : recheck ? owners->second
                                : owners->first,
                      wants, n, recheck ? &little : NULL, &looked);
    if (n > owners->most)
        owners->most = n;
    if (n == 0 && owners->most > MANY_WANTS) {
        malloc_trim(0);
        owners->most = 0;
    }
}

void owners_live_gone(struct owners_live *owners, const uint32_t *inodes, size_t n)
{
    owner_finder_gone(owners->first, inodes, n);
}

int owners_live_check(const struct owners_live *owners, const struct owner *owner)
{
    _cleanup_close_ int fd = process_open(owners->proc_fd, owner->pid);
    struct process_stat stat;
    int r = fd < 0 ? fd : process_read_stat(fd, &stat);

    if (r == -ENOENT || r == -ESRCH)
        return -ESRCH;
    if (r < 0) /* nothing can be told */
        return 0;
    if (stat.start_ms != owner->start_ms || process_is_over(&stat))
        return -ESRCH;
    return strcmp(stat.comm, owner->comm) != 0;
}
