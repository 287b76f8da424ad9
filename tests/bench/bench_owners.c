/* SPDX-License-Identifier: MIT */
/* What finding the owners of 100 new sockets costs among 100,000 descriptors and 10,000 sockets, beside
 * ss(8) with -p: CPU time, alternated within one run, medians. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "connhist/base/cleanup.h"
#include "connhist/kernel/owners.h"
#include "connhist/model/life.h"
#include "crowd.h"

#define ROUNDS  11
#define NEW     100
#define PORT    8000
#define HOARDS  5
#define SOCKETS 10000
#define SINGLES 64 /* listeners that a snapshot looks at for what came to them, at most */
#define FILES   (100000 - SOCKETS)

/* A process that does as it is told over a socket pair. */
struct worker {
    pid_t pid;
    int wire;
};

static struct worker start(void (*work)(int wire))
{
    struct worker worker;
    int wires[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wires) < 0)
        bench_die_errno("socketpair");
    worker.pid = fork();
    if (worker.pid < 0)
        bench_die_errno("fork");
    if (worker.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(wires[0]);
        work(wires[1]);
        _exit(EXIT_SUCCESS);
    }
    close(wires[1]);
    worker.wire = wires[0];
    return worker;
}

static void end(struct worker *worker)
{
    close(worker->wire);
    kill(worker->pid, SIGKILL); /* those that came later hold the wire, too */
    waitpid(worker->pid, NULL, 0);
}

/* Opens files that are no sockets, says so, and stays. */
static void hoard(int wire)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char byte = 0;

    for (int i = 1; i < FILES / HOARDS; i++)
        if (fcntl(fd, F_DUPFD_CLOEXEC, 0) < 0)
            bench_die_errno("F_DUPFD");
    if (write(wire, &byte, 1) == 1)
        (void)!read(wire, &byte, 1);
}

static void connect_pair(int listener, int pair[2])
{
    struct sockaddr_in address;
    struct linger abrupt = {.l_onoff = 1};
    socklen_t n = sizeof(address);

    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (pair[0] < 0 || getsockname(listener, (struct sockaddr *)&address, &n) < 0 ||
        connect(pair[0], (const struct sockaddr *)&address, n) < 0)
        bench_die_errno("no connection");
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (pair[1] < 0)
        bench_die_errno("accept");
    for (int i = 0; i < 2; i++)
        if (setsockopt(pair[i], SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt)) < 0)
            bench_die_errno("SO_LINGER");
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, 128) < 0)
        bench_die_errno("no listener");
    return fd;
}

static uint32_t inode_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        bench_die_errno("fstat");
    return (uint32_t)st.st_ino;
}

/* What a server is told to do. */
enum { REPLACE, GROW };

/* Holds so many sockets, all of them connections with itself. Asked, it replaces some that are
 * anywhere among them, or opens more, and tells the new inodes and those
 * that are gone. */
static void serve(int wire, size_t connections)
{
    static int pairs[SOCKETS / 2][2];
    uint64_t seed = 7;
    uint32_t inodes[2 * NEW];
    int listener = open_listener();
    uint32_t inode = inode_of(listener);
    char byte = 0;

    if (write(wire, &inode, sizeof(inode)) != sizeof(inode))
        bench_die_errno("nobody asks");
    for (size_t i = 0; i < connections; i++)
        connect_pair(listener, pairs[i]);
    while (write(wire, &byte, 1) == 1 && read(wire, &byte, 1) == 1) {
        size_t first = bench_random(&seed) % connections;

        for (size_t i = 0; i < NEW / 2; i++) {
            int more[2];
            int *pair = byte == GROW ? more : pairs[(first + i * 97) % connections];

            inodes[NEW + 2 * i] = byte == REPLACE ? inode_of(pair[0]) : 0;
            inodes[NEW + 2 * i + 1] = byte == REPLACE ? inode_of(pair[1]) : 0;
            if (byte == REPLACE) {
                close(pair[0]);
                close(pair[1]);
            }
            connect_pair(listener, pair);
            inodes[2 * i] = inode_of(pair[0]);
            inodes[2 * i + 1] = inode_of(pair[1]);
        }
        if (write(wire, inodes, sizeof(inodes)) != sizeof(inodes))
            bench_die_errno("nobody asks");
    }
}

static void serve_many(int wire)
{
    serve(wire, SOCKETS / 2);
}

static void serve_few(int wire)
{
    serve(wire, NEW / 2);
}

/* Listens, and does nothing else. */
static void listen_alone(int wire)
{
    int listener = open_listener();
    uint32_t inode = inode_of(listener);
    char byte;

    if (write(wire, &inode, sizeof(inode)) == sizeof(inode))
        (void)!read(wire, &byte, 1);
    close(listener);
}

/* What its listener is, and whose. */
static struct owner_want hear_listener(const struct worker *worker)
{
    struct owner_want want = {.uid = UID_UNKNOWN, .hint = (uint32_t)worker->pid};

    if (recv(worker->wire, &want.inode, sizeof(want.inode), MSG_WAITALL) != sizeof(want.inode))
        bench_die("a listener could not be opened");
    return want;
}

static void await(const struct worker *worker)
{
    char byte;

    if (read(worker->wire, &byte, 1) != 1)
        bench_die("the descriptors could not be opened");
}

/* New sockets, and the question for each. finder: hears of those that are gone, as the ledger tells it;
 * NULL: nobody does. */
static size_t renew(const struct worker *server, char how, struct owner_finder *finder,
                    struct owner_want wants[NEW])
{
    uint32_t inodes[2 * NEW];

    if (write(server->wire, &how, 1) != 1 ||
        recv(server->wire, inodes, sizeof(inodes), MSG_WAITALL) != sizeof(inodes))
        bench_die("the server is gone");
    await(server);
    for (size_t i = 0; i < NEW; i++)
        wants[i] = (struct owner_want){.inode = inodes[i], .uid = UID_UNKNOWN};
    if (finder && how == REPLACE)
        owner_finder_gone(finder, inodes + NEW, NEW);
    return NEW;
}

static struct owner_finder *open_finder(void)
{
    struct clock clock = clock_system();
    _cleanup_close_ int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct owner_finder *finder = NULL;

    if (fd < 0 || owner_finder_new(fd, &clock, &finder) < 0)
        bench_die_errno("/proc");
    return finder;
}

/* CPU time until all of them are found, ms. pid: of whom; 0: of those named in the wants. */
static double look(struct owner_finder *finder, struct owner_want *wants, size_t n, uint32_t pid)
{
    struct owner_budget budget = {.descriptors = 1000000, .ms = 60000};
    struct owner_looked looked;
    double begin = bench_cpu_ms(), took;

    if (owner_finder_look(finder, wants, n, &budget, &looked) < 0)
        bench_die("the finder fails");
    took = bench_cpu_ms() - begin;
    for (size_t i = 0; i < n; i++)
        if (wants[i].answer != OWNER_FOUND || wants[i].owner->pid != (pid ? pid : wants[i].hint))
            bench_die("a socket has the wrong owner");
    return took;
}

static double run_ss(void)
{
    char *const argv[] = {(char[]){"ss"}, (char[]){"-tanp"}, NULL};

    return bench_program_cpu_ms(argv);
}

enum measured { GROWN, REPLACED, UNTOLD, STRANGER, COLD, BUSY, SINGLE, SS, MEASURED };

/* busy: the listener of the server; singles: those of as many processes, SINGLES. */
static void measure(double ms[MEASURED][ROUNDS], const struct worker *server,
                    const struct worker *stranger, struct owner_want *busy,
                    struct owner_want *singles)
{
    uint32_t many = (uint32_t)server->pid, few = (uint32_t)stranger->pid;
    struct owner_finder *known = open_finder();
    struct owner_want wants[NEW];

    look(known, wants, renew(server, REPLACE, known, wants), many);
    look(known, busy, 1, 0);
    look(known, singles, SINGLES, 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct owner_finder *fresh = open_finder();

        ms[SS][i] = run_ss();
        ms[REPLACED][i] = look(known, wants, renew(server, REPLACE, known, wants), many);
        ms[GROWN][i] = look(known, wants, renew(server, GROW, known, wants), many);
        ms[COLD][i] = look(fresh, wants, renew(server, REPLACE, known, wants), many);
        ms[STRANGER][i] = look(fresh, wants, renew(stranger, REPLACE, NULL, wants), few);
        ms[UNTOLD][i] = look(known, wants, renew(server, REPLACE, NULL, wants), many);
        ms[BUSY][i] = look(known, busy, 1, 0);
        ms[SINGLE][i] = look(known, singles, SINGLES, 0);
        owner_finder_free(fresh);
    }
    owner_finder_free(known);
}

static void tell(double ms[MEASURED][ROUNDS], enum measured what, const char *name,
                 const char *budget)
{
    double ratio[ROUNDS];
    char text[128];

    /* Before the medians sort them. */

    for (size_t i = 0; i < ROUNDS; i++)
        ratio[i] = ms[what][i] / ms[SS][i];
    bench_tell(name, bench_median(ms[what], ROUNDS), "ms", NULL);
    snprintf(text, sizeof(text), "%s / ss -tanp", name);
    bench_tell(text, bench_median(ratio, ROUNDS), "x", budget);
}

static void allow_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_die_errno("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max < FILES / HOARDS + 100 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
        bench_skip("a process may have %llu descriptors alone", (unsigned long long)limit.rlim_max);
}

int main(void)
{
    static double ms[MEASURED][ROUNDS];
    struct worker hoards[HOARDS], listening[SINGLES], server, stranger;
    struct owner_want busy, singles[SINGLES];

    allow_descriptors();
    crowd_namespace();
    for (size_t i = 0; i < HOARDS; i++) {
        hoards[i] = start(hoard);
        await(&hoards[i]);
    }
    for (size_t i = 0; i < SINGLES; i++) {
        listening[i] = start(listen_alone);
        singles[i] = hear_listener(&listening[i]);
    }
    server = start(serve_many);
    busy = hear_listener(&server);
    await(&server);
    stranger = start(serve_few);
    hear_listener(&stranger);
    await(&stranger);
    measure(ms, &server, &stranger, &busy, singles);
    tell(ms, GROWN, "100 more of an owner of 10,000", "0.05, the tick included");
    tell(ms, REPLACED, "100 replaced anywhere among its 10,000", NULL);
    tell(ms, UNTOLD, "the same, and nobody told which are gone", NULL);
    tell(ms, STRANGER, "100 of a process with few, not known yet", NULL);
    tell(ms, COLD, "100 of 10,000, nothing known", NULL);
    tell(ms, BUSY, "whether a process with 10,000 still holds its listener", NULL);
    tell(ms, SINGLE, "the same of 64 processes with a listener each", NULL);
    bench_tell("ss -tanp", bench_median(ms[SS], ROUNDS), "ms", NULL);
    end(&stranger);
    end(&server);
    for (size_t i = 0; i < SINGLES; i++)
        end(&listening[i]);
    for (size_t i = 0; i < HOARDS; i++)
        end(&hoards[i]);
    return EXIT_SUCCESS;
}
