/* SPDX-License-Identifier: MIT */
/* Short TCP connections between two network namespaces, each of which it tells the truth about:
 *
 *     traffic SERVER-NETNS CLIENT-NETNS COUNT PER-SECOND [FIRST-CLIENT-PORT]
 *
 * The server's namespace has 10.9.0.1 and fd09::1, the client's 10.9.0.2 and fd09::2. A line for
 * each connection: its port at the client and at the server, who closed first, the bytes that the
 * client and the server sent; at the end "took MS". Port 8001 is served over IPv4, 8002 over IPv6,
 * and 8003 over IPv4 by a dual-stack listener. */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LISTENERS         3
#define FIRST_SERVER_PORT 8001
#define FIRST_CLIENT_PORT 32768 /* each port once: no TIME_WAIT is met again */
#define LIVE_MAX          512
#define MS                INT64_C(1000000)

enum manner {
    CLOSE_AND_ANSWER,  /* close(), and the other end at once */
    CLOSE_AND_WAIT,    /* close(), and the other end 1 ms later: FIN_WAIT2 in between */
    SHUTDOWN,          /* shutdown(), the other end's close(), close() */
    CLOSE_WITHOUT_EOF, /* close(), and the other end without having read the end of file */
    MANNERS
};

struct pair {
    unsigned number;
    int client, server;
    int64_t due_ns;
    int is_half_closed;
};

struct traffic {
    int listeners[LISTENERS];
    unsigned first_client_port;
    struct pair live[LIVE_MAX];
    size_t n_live;
};

static _Noreturn void die(const char *what)
{
    error(EXIT_FAILURE, errno, "%s", what);
    abort();
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static void enter(const char *netns)
{
    int fd = open(netns, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
        die(netns);
    close(fd);
}

static socklen_t endpoint(struct sockaddr_storage *ret, const char *address, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof(v4));
        return sizeof(v4);
    }
    inet_pton(AF_INET6, address, &v6.sin6_addr);
    memcpy(ret, &v6, sizeof(v6));
    return sizeof(v6);
}

static int bound(const char *address, unsigned port)
{
    const int yes = 1;
    struct sockaddr_storage to = {0};
    socklen_t n = endpoint(&to, address, port);
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
        bind(fd, (const struct sockaddr *)&to, n) < 0)
        die("bind");
    return fd;
}

static void listen_all(struct traffic *traffic)
{
    static const char *const addresses[LISTENERS] = {"10.9.0.1", "fd09::1", "::"};

    for (unsigned i = 0; i < LISTENERS; i++) {
        traffic->listeners[i] = bound(addresses[i], FIRST_SERVER_PORT + i);
        if (listen(traffic->listeners[i], 4096) < 0)
            die("listen");
    }
}

/* Bytes vary, so that a figure of another connection is noticed. */
static size_t client_bytes(unsigned number)
{
    return 100 + number % 13;
}

static size_t server_bytes(unsigned number)
{
    return 100 + number % 17;
}

static void carry(int from, int to, size_t n)
{
    char bytes[200] = {0};

    if (send(from, bytes, n, 0) != (ssize_t)n || recv(to, bytes, n, MSG_WAITALL) != (ssize_t)n)
        die("carrying bytes");
}

static void open_pair(struct traffic *traffic, unsigned number)
{
    static const char *const servers[LISTENERS] = {"10.9.0.1", "fd09::1", "10.9.0.1"};
    static const char *const clients[LISTENERS] = {"10.9.0.2", "fd09::2", "10.9.0.2"};
    unsigned which = number % LISTENERS;
    struct pair pair = {.number = number};
    struct sockaddr_storage to = {0};
    socklen_t n = endpoint(&to, servers[which], FIRST_SERVER_PORT + which);

    pair.client = bound(clients[which], traffic->first_client_port + number);
    if (connect(pair.client, (const struct sockaddr *)&to, n) < 0)
        die("connect");
    pair.server = accept4(traffic->listeners[which], NULL, NULL, SOCK_CLOEXEC);
    if (pair.server < 0)
        die("accept");
    carry(pair.client, pair.server, client_bytes(number));
    carry(pair.server, pair.client, server_bytes(number));
    pair.due_ns = now_ns() + MS + (int64_t)(number * 7919 % 4000) * (MS / 1000);
    traffic->live[traffic->n_live++] = pair;
}

static enum manner manner_of(unsigned number)
{
    return (enum manner)(number / (2 * LISTENERS) % MANNERS);
}

static int server_is_first(unsigned number)
{
    return number / LISTENERS % 2;
}

static void await_end(int fd)
{
    char byte;

    if (recv(fd, &byte, 1, 0) != 0)
        die("more than the end of file came");
}

static void half_close(struct pair *pair)
{
    int first = server_is_first(pair->number) ? pair->server : pair->client;

    if (manner_of(pair->number) == SHUTDOWN)
        shutdown(first, SHUT_WR);
    else
        close(first);
    pair->is_half_closed = 1;
    if (manner_of(pair->number) == CLOSE_AND_WAIT)
        pair->due_ns += MS;
}

static void finish(const struct traffic *traffic, const struct pair *pair)
{
    int of_server = server_is_first(pair->number);
    int first = of_server ? pair->server : pair->client;
    int second = of_server ? pair->client : pair->server;

    if (manner_of(pair->number) != CLOSE_WITHOUT_EOF)
        await_end(second);
    close(second);
    if (manner_of(pair->number) == SHUTDOWN) {
        await_end(first);
        close(first);
    }
    printf("%u %u %s %zu %zu\n", traffic->first_client_port + pair->number,
           FIRST_SERVER_PORT + pair->number % LISTENERS, of_server ? "server" : "client",
           client_bytes(pair->number), server_bytes(pair->number));
}

static void close_due(struct traffic *traffic)
{
    for (size_t i = 0; i < traffic->n_live;) {
        struct pair *pair = &traffic->live[i];

        if (pair->due_ns <= now_ns() && !pair->is_half_closed)
            half_close(pair);
        if (pair->due_ns <= now_ns() && pair->is_half_closed) {
            finish(traffic, pair);
            *pair = traffic->live[--traffic->n_live];
        } else {
            i++;
        }
    }
}

static void run(struct traffic *traffic, unsigned count, unsigned per_second)
{
    const struct timespec pause = {.tv_nsec = MS / 5};
    int64_t begin_ns = now_ns();
    unsigned opened = 0;

    while (opened < count || traffic->n_live) {
        int64_t due = (now_ns() - begin_ns) / MS * per_second / 1000;

        for (unsigned n = 0; n < 16 && opened < count && opened < due; n++)
            if (traffic->n_live < LIVE_MAX)
                open_pair(traffic, opened++);
        close_due(traffic);
        if (opened >= due)
            nanosleep(&pause, NULL);
    }
    printf("took %lld\n", (long long)((now_ns() - begin_ns) / MS));
}

int main(int argc, char **argv)
{
    static struct traffic traffic = {.first_client_port = FIRST_CLIENT_PORT};
    unsigned long count, per_second;

    if (argc < 5 || argc > 6)
        error(EXIT_FAILURE, 0,
              "traffic SERVER-NETNS CLIENT-NETNS COUNT PER-SECOND [FIRST-CLIENT-PORT]");
    if (argc == 6)
        traffic.first_client_port = (unsigned)strtoul(argv[5], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    per_second = strtoul(argv[4], NULL, 10);
    if (count + traffic.first_client_port > 65536 || per_second == 0)
        error(EXIT_FAILURE, 0, "too many");
    enter(argv[1]);
    listen_all(&traffic);
    enter(argv[2]);
    run(&traffic, (unsigned)count, (unsigned)per_second);
    return EXIT_SUCCESS;
}
