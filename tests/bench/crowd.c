/* SPDX-License-Identifier: MIT */
#include "crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "connhist/base/cleanup.h"

#define LISTENERS  2 /* of each process */
#define FIRST_PORT 8000

static void set_sysctl(const char *path, const char *value)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        bench_die_errno(path);
}

void crowd_namespace(void)
{
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    _cleanup_close_ int fd = -1;

    if (unshare(CLONE_NEWNET) < 0)
        bench_skip("no network namespace can be made (root?): %s", strerrordesc_np(errno));
    set_sysctl("/proc/sys/net/ipv4/tcp_tw_reuse", "0"); /* else loopback takes them again */
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
        bench_die_errno("lo does not come up");
}

static struct sockaddr_in address_of(size_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_at(size_t port)
{
    struct sockaddr_in address = address_of(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 128) < 0)
        bench_die_errno("no listener");
    return fd;
}

/* One connection. Established: both ends stay open until the process ends, and end abruptly, so
 * that no TIME_WAIT is left to the next crowd. */
static void connect_to(int listener, size_t port, enum crowd_state state)
{
    struct sockaddr_in address = address_of(port);
    struct linger abrupt = {.l_onoff = 1};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;

    if (client < 0 || connect(client, (const struct sockaddr *)&address, sizeof(address)) < 0)
        bench_die_errno("no connection");
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (server < 0)
        bench_die_errno("accept");
    if (state == CROWD_TIME_WAIT) {
        close(client);
        close(server);
        return;
    }
    if (setsockopt(client, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt)) < 0 ||
        setsockopt(server, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt)) < 0)
        bench_die_errno("SO_LINGER");
}

/* How many sockets one process may hold. */
static size_t limit_of_one(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_die_errno("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_die_errno("setrlimit");
    return limit.rlim_max > 1000 ? limit.rlim_max - 100 : 900;
}

_Noreturn static void hold(size_t first_port, enum crowd_state state, size_t n, int ready_fd,
                           int release_fd)
{
    size_t connections = state == CROWD_ESTABLISHED ? n / 2 : n;
    int listeners[LISTENERS];
    char byte = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < LISTENERS; i++)
        listeners[i] = listen_at(first_port + i);
    for (size_t i = 0; i < connections; i++)
        connect_to(listeners[i % LISTENERS], first_port + i % LISTENERS, state);
    if (write(ready_fd, &byte, 1) != 1)
        bench_die_errno("nobody waits for the sockets");
    while (read(release_fd, &byte, 1) < 0 && errno == EINTR)
        ;
    _exit(EXIT_SUCCESS);
}

static struct holder make_holder(size_t first_port, enum crowd_state state, size_t n)
{
    struct holder holder;
    int ready[2], release[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(release, O_CLOEXEC) < 0)
        bench_die_errno("pipe");
    holder.pid = fork();
    if (holder.pid < 0)
        bench_die_errno("fork");
    if (holder.pid == 0) {
        close(release[1]);
        hold(first_port, state, n, ready[1], release[0]);
    }
    close(ready[1]);
    close(release[0]);
    holder.release_fd = release[1];
    if (read(ready[0], &byte, 1) != 1)
        bench_die("the sockets could not be made");
    close(ready[0]);
    return holder;
}

void crowd_make(struct crowd *crowd, enum crowd_state state, size_t n)
{
    size_t most = limit_of_one();

    for (crowd->n = 0; n > 0; crowd->n++) {
        size_t part = n < most ? n : most;

        if (crowd->n == CROWD_HOLDERS)
            bench_skip("a process may hold %zu descriptors alone", most);
        crowd->holders[crowd->n] = make_holder(FIRST_PORT + crowd->n * LISTENERS, state, part);
        n -= part;
    }
}

void crowd_end(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n; i++)
        close(crowd->holders[i].release_fd);
    for (size_t i = 0; i < crowd->n; i++)
        waitpid(crowd->holders[i].pid, NULL, 0);
}
