/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/rtnl_changes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"

/* A single message is as good as all: one that has no room is told as ENOBUFS, which says the same. */
#define BUFFER_BYTES (8 * 1024)

/* More than the buffer holds: further ones came meanwhile, and are left for the next call. */
#define TAKEN_MAX 256

static int join_groups(int fd)
{
    static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEXTHOP};

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) <
                0 &&
            groups[i] != RTNLGRP_NEXTHOP) /* since Linux 5.3 */
            return -errno;
    return 0;
}

int rtnl_changes_open(struct err *err)
{
    _cleanup_close_ int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    int half = BUFFER_BYTES / 2; /* the kernel doubles what it is told */
    int r;

    if (fd < 0)
        return err_errno(err, -errno, "opening a NETLINK_ROUTE socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof(half)) < 0 ||
        bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
        return err_errno(err, -errno, "setting up a NETLINK_ROUTE socket");
    r = join_groups(fd);
    if (r < 0)
        return err_errno(err, r, "joining the kernel's groups for interfaces and routes");
    return take_fd(&fd);
}

/* One message, of which nothing is looked at but that the kernel sent it. */
static int take_one(int fd, bool *changed)
{
    struct nlmsghdr header;
    struct sockaddr_nl sender = {0};
    struct iovec part = {.iov_base = &header, .iov_len = sizeof(header)};
    struct msghdr message = {
        .msg_name = &sender, .msg_namelen = sizeof(sender), .msg_iov = &part, .msg_iovlen = 1};

    if (recvmsg(fd, &message, MSG_DONTWAIT) < 0) {
        if (errno == EINTR)
            return 0;
        *changed |= errno == ENOBUFS;
        return errno == ENOBUFS ? 0 : -errno;
    }
    *changed |= sender.nl_pid == 0;
    return 0;
}

int rtnl_changes_take(int fd, bool *ret, struct err *err)
{
    bool changed = false;
    int r = 0;

    for (int i = 0; i < TAKEN_MAX && r == 0; i++)
        r = take_one(fd, &changed);
    if (r < 0 && r != -EAGAIN && r != -EWOULDBLOCK)
        return err_errno(err, r, "taking the kernel's word about interfaces and routes");
    *ret = changed || r == 0; /* more may wait */
    return 0;
}
