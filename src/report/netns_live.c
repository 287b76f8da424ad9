/* SPDX-License-Identifier: MIT */
#include "netns_live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/host.h"

static void cleanup_list(struct netns_list *list)
{
    vec_finish(list);
}

static const char *name_of(const struct netns_found *found, char buf[static NETNS_LIVE_NAME_MAX])
{
    if (found->sign != NETNS_BY_PROCESS)
        return found->file;
    snprintf(buf, NETNS_LIVE_NAME_MAX, "net:[%" PRIu64 "]", found->inode);
    return buf;
}

static int search(const struct filter *filter, struct netns_live *ret, struct err *err)
{
    _cleanup_(cleanup_list) struct netns_list list = {0};
    char buf[NETNS_LIVE_NAME_MAX];
    int r = netns_find(NULL, &list, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        const char *name = name_of(&list.items[i], buf);

        if (!filter_netns(filter, name, list.items[i].inode))
            continue;
        ret->is_own = false;
        ret->found = list.items[i];
        snprintf(ret->name, sizeof(ret->name), "%.79s", name);
        return 0;
    }
    return err_set(err, -ENOENT, "there is no network namespace %s now%s", filter->netns,
                   list.n_hidden ? " that shows without CAP_SYS_PTRACE" : "");
}

int netns_live_find(const struct filter *filter, struct netns_live *ret, struct err *err)
{
    struct netns_live live = {.is_own = true};
    uint64_t inode;
    int r = 0;

    if (filter->netns) {
        r = host_netns_inode(&inode, err);
        if (r == 0 && !filter_netns(filter, "", inode))
            r = search(filter, &live, err);
    }
    if (r == 0)
        *ret = live;
    return r;
}

int netns_live_enter(const struct netns_live *live, int *ret_home_fd, struct err *err)
{
    _cleanup_close_ int home_fd = -1;
    int r;

    *ret_home_fd = -1;
    if (live->is_own)
        return 0;
    home_fd = netns_open_home(err);
    if (home_fd < 0)
        return home_fd;
    r = netns_enter(NULL, &live->found, err);
    if (r == -EPERM)
        return err_set(err, r, "looking into other network namespaces needs CAP_SYS_ADMIN");
    if (r == 0)
        *ret_home_fd = take_fd(&home_fd);
    return r;
}

int netns_live_leave(int home_fd, struct err *err)
{
    return home_fd < 0 ? 0 : netns_return(home_fd, err);
}

int netns_live_open(const struct netns_live *live, const struct clock *clock,
                    struct sock_diag **ret, struct err *err)
{
    _cleanup_close_ int home_fd = -1;
    struct err back = {0};
    int r = netns_live_enter(live, &home_fd, err);

    if (r < 0)
        return r;
    r = sock_diag_open(clock, ret, err);
    if (netns_live_leave(home_fd, &back) < 0 && r == 0) {
        sock_diag_close(*ret);
        *ret = NULL;
        return err_set(err, back.code, "%s", back.text);
    }
    return r;
}
