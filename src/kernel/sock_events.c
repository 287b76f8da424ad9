/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/sock_events.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "decode_event.h"

/* Each event is a datagram of its own (380 bytes on Linux 6.18, which grow with tcp_info), so a
 * batch saves system calls. */
#define BATCH          64
#define DATAGRAM_BYTES 1024

/* A bound on errors in a row that a drain goes on after; the kernel tells of a loss once each time
 * the buffer overflows. */
#define LOSSES_MAX 16

struct sock_events {
    const struct clock *clock; /* caller's */
    size_t buffer_bytes;       /* SO_RCVBUF as the kernel has it */
    int fd;                    /* -1: none */
};

struct sock_events_reader {
    struct mmsghdr headers[BATCH];     /* each with its iovec, sender and datagram */
    struct iovec iovecs[BATCH];        /* into datagrams */
    struct sockaddr_nl senders[BATCH]; /* who sent each */
    alignas(8) uint8_t datagrams[BATCH][DATAGRAM_BYTES];
};

DEFINE_CLEANUP(struct sock_events *, sock_events_close)

/* The kernel doubles what it is told. */
static int set_buffer(int fd, size_t bytes, size_t *ret)
{
    int wished = bytes / 2 > INT_MAX / 2 ? INT_MAX / 2 : (int)(bytes / 2), got;
    socklen_t n = sizeof(got);

    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &wished, sizeof(wished)) < 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wished, sizeof(wished)) < 0)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &n) < 0)
        return -errno;
    *ret = (size_t)got;
    return 0;
}

static int join_groups(int fd)
{
    static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY,
                                 SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
    struct sockaddr_nl any = {.nl_family = AF_NETLINK};

    if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof(groups[i])) < 0)
            return -errno;
    return 0;
}

static int open_socket(struct sock_events *events, size_t buffer_bytes, struct err *err)
{
    int r;

    events->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (events->fd < 0)
        return err_errno(err, -errno, "opening a NETLINK_SOCK_DIAG socket");
    r = set_buffer(events->fd, buffer_bytes, &events->buffer_bytes);
    if (r < 0)
        return err_errno(err, r, "setting the receive buffer of a netlink socket");
    r = join_groups(events->fd);
    if (r < 0)
        return err_errno(err, r, "joining the kernel's groups for closed sockets");
    return 0;
}

static void prepare_batch(struct sock_events_reader *reader)
{
    for (size_t i = 0; i < BATCH; i++) {
        reader->iovecs[i] =
            (struct iovec){.iov_base = reader->datagrams[i], .iov_len = DATAGRAM_BYTES};
        reader->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &reader->senders[i],
            .msg_namelen = sizeof(reader->senders[i]),
            .msg_iov = &reader->iovecs[i],
            .msg_iovlen = 1,
        };
    }
}

int sock_events_open(const struct clock *clock, size_t buffer_bytes, struct sock_events **ret,
                     struct err *err)
{
    _cleanup_(cleanup_sock_events_close) struct sock_events *events = calloc(1, sizeof(*events));
    int r;

    if (!events)
        return err_errno(err, -ENOMEM, "opening a netlink socket for events");
    events->clock = clock;
    r = open_socket(events, buffer_bytes, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(events);
    return 0;
}

int sock_events_reader_new(struct sock_events_reader **ret)
{
    struct sock_events_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return -ENOMEM;
    prepare_batch(reader);
    *ret = reader;
    return 0;
}

void sock_events_reader_free(struct sock_events_reader *reader)
{
    free(reader);
}

void sock_events_close(struct sock_events *events)
{
    if (!events)
        return;
    if (events->fd >= 0)
        close(events->fd);
    free(events);
}

int sock_events_fd(const struct sock_events *events)
{
    return events->fd;
}

size_t sock_events_buffer_bytes(const struct sock_events *events)
{
    return events->buffer_bytes;
}

int sock_events_resize(struct sock_events *events, size_t buffer_bytes)
{
    return set_buffer(events->fd, buffer_bytes, &events->buffer_bytes);
}

static void take_datagram(struct sock_events_reader *reader, size_t i, int64_t received_ns,
                          closing_fn fn, void *arg, struct sock_events_drained *drained)
{
    const struct mmsghdr *header = &reader->headers[i];
    struct closing closing;

    if (header->msg_hdr.msg_namelen != sizeof(reader->senders[i]) || reader->senders[i].nl_pid) {
        drained->n_foreign++;
        return;
    }
    if (header->msg_hdr.msg_flags & MSG_TRUNC ||
        decode_event(reader->datagrams[i], header->msg_len, received_ns, &closing) < 0) {
        drained->n_bad++;
        return;
    }
    drained->n_closings++;
    fn(arg, &closing);
}

/* Reads one batch: how many datagrams, or a negative errno. */
static int read_batch(struct sock_events *events, struct sock_events_reader *reader, closing_fn fn,
                      void *arg, struct sock_events_drained *drained)
{
    int n = recvmmsg(events->fd, reader->headers, BATCH, MSG_DONTWAIT, NULL);
    int64_t received_ns;

    if (n < 0)
        return -errno;
    received_ns = clock_boottime_ns(events->clock);
    for (int i = 0; i < n; i++) {
        take_datagram(reader, (size_t)i, received_ns, fn, arg, drained);
        reader->headers[i].msg_hdr.msg_namelen = sizeof(reader->senders[i]);
        reader->headers[i].msg_hdr.msg_flags = 0;
    }
    return n;
}

int sock_events_drain(struct sock_events *events, struct sock_events_reader *reader, closing_fn fn,
                      void *arg, size_t max, struct sock_events_drained *ret, struct err *err)
{
    struct sock_events_drained drained = {0};
    size_t n_read = 0;
    int r = 0, errors = 0;

    while (n_read < max && errors < LOSSES_MAX) {
        r = read_batch(events, reader, fn, arg, &drained);
        if (r >= 0)
            n_read += (size_t)r;
        else if (r == -ENOBUFS)
            drained.lost = true;
        else if (r != -EINTR)
            break;
        errors = r < 0 ? errors + 1 : 0;
    }
    drained.more = r != -EAGAIN;
    *ret = drained;
    if (r < 0 && r != -EAGAIN && r != -ENOBUFS && r != -EINTR)
        return err_errno(err, r, "receiving the kernel's events of closed sockets");
    return 0;
}
