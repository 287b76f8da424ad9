/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/tunnels.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "connhist/base/cleanup.h"
#include "decode_tunnel.h"
#include "reply.h"

#define READ_BYTES (32 * 1024)
#define TIMEOUT_S  10

struct link_request {
    struct nlmsghdr header;
    struct ifinfomsg link;
};

/* Ports gathered so far. */
struct gathered {
    struct tunnel_port *ports;
    size_t n, max;
};

static int open_route(uint32_t *ret_portid)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct sockaddr_nl own = {.nl_family = AF_NETLINK}, kernel = {.nl_family = AF_NETLINK};
    struct timeval timeout = {.tv_sec = TIMEOUT_S};
    socklen_t n = sizeof(own);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0 ||
        connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &n) < 0)
        return -errno;
    *ret_portid = own.nl_pid;
    return take_fd(&fd);
}

static int ask_for_links(int fd, const struct request *request)
{
    struct link_request message = {
        .header = {.nlmsg_len = sizeof(message),
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = request->seq},
        .link = {.ifi_family = AF_UNSPEC},
    };

    return send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* One buffer of replies. 1: the last; 0: others follow; or a negative errno. */
static int take_replies(const void *buffer, size_t n, const struct request *request,
                        struct gathered *gathered)
{
    struct reply_cursor cursor = {.at = buffer, .left = n};
    struct tunnel_port tunnel;
    struct reply reply;
    int r;

    for (;;) {
        r = reply_next(&cursor, request, &reply);
        if (r < 0 || reply.kind == REPLY_NONE)
            return r;
        if (reply.kind != REPLY_SOCKET)
            return reply.error < 0 ? reply.error : 1;
        r = decode_tunnel(reply.payload, reply.payload_bytes, &tunnel);
        if (r < 0)
            return r;
        if (tunnel.port && gathered->n < gathered->max)
            gathered->ports[gathered->n++] = tunnel;
    }
}

static int receive_links(int fd, const struct request *request, struct gathered *gathered)
{
    _cleanup_free_ void *buffer = malloc(READ_BYTES);
    ssize_t n;
    int r = 0;

    if (!buffer)
        return -ENOMEM;
    while (r == 0) {
        n = recv(fd, buffer, READ_BYTES, MSG_TRUNC);
        if (n > READ_BYTES)
            r = -EMSGSIZE;
        else if (n > 0)
            r = take_replies(buffer, (size_t)n, request, gathered);
        else if (n == 0)
            r = -EPROTO;
        else if (errno != EINTR)
            r = errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
    }
    return r < 0 ? r : 0;
}

int tunnels_read_ports(struct tunnel_port *ret, size_t max, struct err *err)
{
    struct gathered gathered = {.ports = ret, .max = max};
    struct request request = {.seq = 1, .n = 1, .type = RTM_NEWLINK};
    _cleanup_close_ int fd = open_route(&request.portid);
    int r = fd < 0 ? fd : ask_for_links(fd, &request);

    if (r == 0)
        r = receive_links(fd, &request, &gathered);
    if (r < 0)
        return err_errno(err, r, "reading the tunnel devices");
    return (int)gathered.n;
}
