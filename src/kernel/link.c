/* SPDX-License-Identifier: MIT */
#include "link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "connhist/base/cleanup.h"

static int set_timeout(int fd)
{
    struct timeval timeout = {.tv_sec = LINK_TIMEOUT_S};

    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ? -errno : 0;
}

/* Binds to a port id of the kernel's choice, and connects, so that nobody but the kernel can
 * answer. */
static int bind_and_connect(int fd, uint32_t *ret_portid)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK}, kernel = {.nl_family = AF_NETLINK};
    socklen_t n = sizeof(own);

    if (bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
        connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &n) < 0)
        return -errno;
    *ret_portid = own.nl_pid;
    return 0;
}

int link_open(struct sock_diag *diag, struct err *err)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    uint32_t portid = 0;
    int r;

    if (fd < 0)
        return err_errno(err, -errno, "opening a NETLINK_SOCK_DIAG socket");
    r = set_timeout(fd);
    if (r < 0)
        return err_errno(err, r, "setting the timeout of a netlink socket");
    r = bind_and_connect(fd, &portid);
    if (r < 0)
        return err_errno(err, r, "binding a netlink socket");
    diag->fd = take_fd(&fd);
    diag->portid = portid;
    return 0;
}

uint32_t link_take_seq(struct sock_diag *diag, uint32_t n)
{
    uint32_t first = diag->seq + 1;

    diag->seq += n;
    return first;
}

int link_send(struct sock_diag *diag, const void *requests, size_t n, struct err *err)
{
    ssize_t sent;

    diag->dirty = true;
    do {
        sent = send(diag->fd, requests, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return err_errno(err, -errno, "sending a request for sockets to the kernel");
    return 0;
}

/* One datagram. 0 or a negative errno; a cut one is -EMSGSIZE. */
static int receive(struct sock_diag *diag, int flags, size_t *ret)
{
    struct iovec part = {.iov_base = diag->buffer, .iov_len = sizeof(diag->buffer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t n;

    do {
        n = recvmsg(diag->fd, &message, flags);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (message.msg_flags & MSG_TRUNC)
        return -EMSGSIZE;
    if (n == 0) /* no header: not netlink */
        return -EPROTO;
    *ret = (size_t)n;
    return 0;
}

int link_receive(struct sock_diag *diag, size_t *ret, struct err *err)
{
    int r = receive(diag, 0, ret);

    if (r == -EAGAIN || r == -EWOULDBLOCK)
        return err_set(err, -ETIMEDOUT,
                       "the kernel did not answer a request for sockets within %d s",
                       LINK_TIMEOUT_S);
    if (r == -EMSGSIZE)
        return err_set(err, r, "a message with sockets is larger than the %d bytes read at once",
                       LINK_READ_BYTES);
    if (r < 0)
        return err_errno(err, r, "receiving sockets from the kernel");
    return 0;
}

/* The kernel makes the next part of a dump whenever a message is received. So while a dump is under
 * way a read always finds something, unless the kernel once lacked the memory for a part: the
 * acknowledgement that is asked for here sets that dump going again. */
int link_drain(struct sock_diag *diag, struct err *err)
{
    struct nlmsghdr nothing = {
        .nlmsg_len = sizeof(nothing),
        .nlmsg_type = NLMSG_NOOP,
        .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
    };
    size_t n;
    int r;

    if (!diag->dirty)
        return 0;
    nothing.nlmsg_seq = link_take_seq(diag, 1);
    r = link_send(diag, &nothing, sizeof(nothing), err);
    if (r < 0)
        return r;
    do {
        r = receive(diag, MSG_DONTWAIT, &n);
    } while (r == 0 || r == -EMSGSIZE || r == -ENOBUFS);
    if (r != -EAGAIN && r != -EWOULDBLOCK)
        return err_errno(err, r, "clearing a netlink socket");
    diag->dirty = false;
    return 0;
}
