/* SPDX-License-Identifier: MIT */
/* The floor under what the recorder pays for destroy events: they are received every 50 ms and
 * thrown away. Until standard input ends; then "EVENTS CPU-MS LOSSES". */
#include <errno.h>
#include <error.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH    64
#define BYTES    1024
#define DRAIN_MS 50

struct receiver {
    int fd;
    unsigned long events, losses;
    struct mmsghdr headers[BATCH];
    struct iovec iovecs[BATCH];
    char datagrams[BATCH][BYTES];
};

static void join(struct receiver *receiver)
{
    static const int groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY,
                                 SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    const int bytes = 4 << 20;

    receiver->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (receiver->fd < 0 || bind(receiver->fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
        error(EXIT_FAILURE, errno, "netlink");
    setsockopt(receiver->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (setsockopt(receiver->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                       sizeof(groups[i])) < 0)
            error(EXIT_FAILURE, errno, "joining a group");
    for (size_t i = 0; i < BATCH; i++) {
        receiver->iovecs[i] = (struct iovec){.iov_base = receiver->datagrams[i], .iov_len = BYTES};
        receiver->headers[i].msg_hdr =
            (struct msghdr){.msg_iov = &receiver->iovecs[i], .msg_iovlen = 1};
    }
}

static void drain(struct receiver *receiver)
{
    for (;;) {
        int n = recvmmsg(receiver->fd, receiver->headers, BATCH, MSG_DONTWAIT, NULL);

        if (n >= 0)
            receiver->events += (unsigned long)n;
        else if (errno == ENOBUFS)
            receiver->losses++;
        else if (errno != EINTR)
            break;
    }
}

static double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

int main(void)
{
    static struct receiver receiver;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    join(&receiver);
    while (poll(&input, 1, DRAIN_MS) == 0)
        drain(&receiver);
    printf("%lu %.1f %lu\n", receiver.events, cpu_ms(), receiver.losses);
    close(receiver.fd);
    return EXIT_SUCCESS;
}
