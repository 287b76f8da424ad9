/* SPDX-License-Identifier: MIT */
#include "rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdalign.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "connhist/base/cleanup.h"
#include "reply.h"

/* What the kernel sends at once at most (NLMSG_GOODSIZE grows to it with the reader's buffer). */
#define READ_BYTES (32 * 1024)
#define TIMEOUT_S  10

struct walk {
    const struct rtnl_dump *dump;
    struct request request;
    int fd;
    int kernel_error; /* of NLMSG_DONE or NLMSG_ERROR: 0 or a negative errno */
    bool ended;
    bool interrupted;
};

static int open_socket(uint32_t *ret_portid)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK}, kernel = {.nl_family = AF_NETLINK};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    socklen_t n = sizeof(own);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
        connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &n) < 0)
        return -errno;
    *ret_portid = own.nl_pid;
    return take_fd(&fd);
}

/* The header of either request begins with the family, and the rest may be zero. */
static int send_request(const struct walk *walk)
{
    alignas(8) uint8_t bytes[64];
    struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
    ssize_t sent;

    header->nlmsg_type = walk->dump->request;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = walk->request.seq;
    if (walk->dump->request == RTM_GETLINK) {
        struct ifinfomsg *link = mnl_nlmsg_put_extra_header(header, sizeof(*link));

        link->ifi_family = walk->dump->family;
    } else {
        struct rtmsg *route = mnl_nlmsg_put_extra_header(header, sizeof(*route));

        route->rtm_family = walk->dump->family;
    }
    do {
        sent = send(walk->fd, bytes, header->nlmsg_len, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static int receive(const struct walk *walk, void *buffer, size_t *ret)
{
    struct iovec part = {.iov_base = buffer, .iov_len = READ_BYTES};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    do {
        n = recvmsg(walk->fd, &message, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
    if (message.msg_flags & MSG_TRUNC)
        return -EMSGSIZE;
    *ret = (size_t)n;
    return 0;
}

static int take_buffer(struct walk *walk, const void *buffer, size_t n)
{
    struct reply_cursor cursor = {.at = buffer, .left = n};

    while (!walk->ended) {
        struct reply reply;
        int r = reply_next(&cursor, &walk->request, &reply);

        if (r < 0)
            return r;
        if (reply.kind == REPLY_NONE)
            break;
        walk->interrupted |= reply.interrupted;
        if (reply.kind == REPLY_SOCKET) {
            r = walk->dump->fn(walk->dump->arg, reply.payload, reply.payload_bytes);
            if (r < 0)
                return r;
        } else {
            walk->ended = true;
            walk->kernel_error = reply.error;
        }
    }
    return 0;
}

static int run(struct walk *walk, void *buffer)
{
    int r = send_request(walk);

    while (r == 0 && !walk->ended) {
        size_t n = 0;

        r = receive(walk, buffer, &n);
        if (r == 0 && n == 0) /* no header: not netlink */
            r = -EPROTO;
        if (r == 0)
            r = take_buffer(walk, buffer, n);
    }
    return r < 0 ? r : walk->kernel_error;
}

int rtnl_dump(const struct rtnl_dump *dump, struct err *err)
{
    struct walk walk = {.dump = dump, .request = {.seq = 1, .n = 1, .type = dump->reply}};
    _cleanup_free_ void *buffer = malloc(READ_BYTES);
    _cleanup_close_ int fd = -1;
    int r;

    if (!buffer)
        return err_errno(err, -ENOMEM, "reading the kernel's %s", dump->what);
    fd = open_socket(&walk.request.portid);
    if (fd < 0)
        return err_errno(err, fd, "opening a NETLINK_ROUTE socket");
    walk.fd = fd;
    r = run(&walk, buffer);
    if (r < 0)
        return err_errno(err, r, "reading the kernel's %s", dump->what);
    if (walk.interrupted)
        return err_set(err, -EINTR, "the kernel's %s changed while they were read", dump->what);
    return 0;
}
