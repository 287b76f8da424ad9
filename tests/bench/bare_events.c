/* SPDX-License-Identifier: MIT */
/* The floor under what the recorder pays for destroy events: they are received every 50 ms and
 * thrown away. Until standard input ends; then "EVENTS CPU-MS LOSSES DUMPS-MS".
 *
 *     bare_events [INTERVAL-S]
 *
 * Every INTERVAL-S seconds, once there was an event, the kernel's TCP table is received and thrown
 * away as well; that is not in CPU-MS, but in DUMPS-MS. */
#include <errno.h>
#include <error.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH    64
#define BYTES    1024
#define DRAIN_MS 50

#define DUMP_BYTES 32768
#define ALL_STATES ((1U << 14) - 2)

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

/* As NLMSG_NEXT(), without a cast that raises the alignment. */
static const struct nlmsghdr *next_message(const struct nlmsghdr *header, ssize_t *n)
{
    size_t length = NLMSG_ALIGN(header->nlmsg_len);

    *n -= (ssize_t)length;
    return (const void *)((const char *)header + length);
}

/* Whether the dump goes on after these messages. */
static bool goes_on(const char *bytes, size_t n)
{
    const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)bytes;
    ssize_t left = (ssize_t)n;

    for (; NLMSG_OK(header, left); header = next_message(header, &left))
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR)
            return false;
    return true;
}

/* Both families of TCP in all states, as the recorder asks for them. */
static void dump(int fd)
{
    static _Alignas(8) char bytes[DUMP_BYTES];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req request;
    } question = {
        .header = {.nlmsg_len = sizeof(question),
                   .nlmsg_type = TCPDIAG_GETSOCK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.idiag_states = ALL_STATES},
    };
    ssize_t n;

    if (send(fd, &question, sizeof(question), 0) < 0)
        error(EXIT_FAILURE, errno, "asking for a dump");
    do
        n = recv(fd, bytes, sizeof(bytes), 0);
    while (n > 0 && goes_on(bytes, (size_t)n));
    if (n < 0)
        error(EXIT_FAILURE, errno, "receiving a dump");
}

static double cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static time_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

int main(int argc, char **argv)
{
    static struct receiver receiver;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    long interval_s = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    int dumps = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    time_t due_s = now_s() + interval_s;
    double dumps_ms = 0;

    if (dumps < 0)
        error(EXIT_FAILURE, errno, "netlink");
    join(&receiver);
    while (poll(&input, 1, DRAIN_MS) == 0) {
        drain(&receiver);
        if (interval_s && receiver.events && now_s() >= due_s) {
            double before_ms = cpu_ms();

            dump(dumps);
            dumps_ms += cpu_ms() - before_ms;
            due_s = now_s() + interval_s;
        }
    }
    printf("%lu %.1f %lu %.1f\n", receiver.events, cpu_ms() - dumps_ms, receiver.losses, dumps_ms);
    return 0;
}
