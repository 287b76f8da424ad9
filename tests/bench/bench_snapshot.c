/* SPDX-License-Identifier: MIT */
/* What one snapshot of sockets that did not change costs, beside what the kernel alone takes to
 * tell them and beside ss(8): CPU time, alternated within one run, medians. */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bench.h"
#include "connhist/base/cleanup.h"
#include "connhist/record/recorder.h"
#include "crowd.h"

#define ROUNDS_MIN 9
#define ROUNDS_MAX 51

/* The kernel's side of it: a dump as the recorder asks for it, received and thrown away. */

static int open_bare(void)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd < 0 || connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        bench_die_errno("no netlink socket");
    return fd;
}

/* NLMSG_DONE ends the last buffer. */
static int is_last(const char *buffer, size_t n)
{
    struct nlmsghdr header;
    const size_t done = NLMSG_LENGTH(sizeof(int));

    if (n < done)
        return 0;
    memcpy(&header, buffer + n - done, sizeof(header));
    return header.nlmsg_type == NLMSG_DONE && header.nlmsg_len == done;
}

static double bare_dump(int fd, bool with_info)
{
    static _Alignas(8) char buffer[32 * 1024];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req req;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = TCPDIAG_GETSOCK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .req = {.idiag_states = 0xffe | 1 << 13,
                .idiag_ext = with_info ? 1 << (INET_DIAG_INFO - 1) : 0},
    };
    double begin = bench_cpu_ms();
    ssize_t n;

    if (send(fd, &request, sizeof(request), 0) < 0)
        bench_die_errno("send");
    do {
        n = recv(fd, buffer, sizeof(buffer), 0);
        if (n < 0)
            bench_die_errno("recv");
    } while (!is_last(buffer, (size_t)n));
    return bench_cpu_ms() - begin;
}

/* Our side. */

static void complain(void *arg, int level, const char *text)
{
    (void)arg;
    if (level <= 4)
        bench_die("the recorder says: %s", text);
}

/* sampling_ms 1: each snapshot samples; 0: none. */
static struct recorder *open_recorder(const char *path, struct clock *clock, int64_t sampling_ms)
{
    struct recorder_options options = {
        .store = {.path = path},
        .ledger = {.max_client_services = 1024, .max_syn_recv = 4096},
        .detail = "on",
        .interval_ms = 1000 * 3600,
        .sampling_ms = sampling_ms,
        .queue_bytes = 1 << 30,
        .version = "bench",
        .clock = *clock,
        .notice = complain,
    };
    struct source source = {0};
    struct recorder *recorder = NULL;
    struct err err = {0};

    if (source_live(&(struct source_live_options){.clock = clock}, &source, &err) < 0 ||
        recorder_new(&options, &source, &recorder, &err) < 0)
        bench_die("%s", err.text);
    return recorder;
}

static double tick(struct recorder *recorder)
{
    struct err err = {0};
    double begin = bench_cpu_ms();

    if (recorder_tick(recorder, &err) < 0)
        bench_die("%s", err.text);
    return bench_cpu_ms() - begin;
}

static double run_ss(void)
{
    char *const argv[] = {(char[]){"ss"}, (char[]){"-tan"}, NULL};

    return bench_program_cpu_ms(argv);
}

/* Pages of the database, those in the write-ahead log among them. */
static int64_t ask_number(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t number;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        bench_die("%s: %s", sql, sqlite3_errmsg(db));
    number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return number;
}

struct figures {
    double bare[ROUNDS_MAX], ours[ROUNDS_MAX], ss[ROUNDS_MAX];
    double to_bare[ROUNDS_MAX], to_ss[ROUNDS_MAX]; /* pairwise: ours / theirs */
    double bare_to_ss[ROUNDS_MAX];                 /* what nobody can go below */
};

static void measure(struct figures *f, size_t rounds, struct recorder *recorder)
{
    _cleanup_close_ int fd = open_bare();

    bare_dump(fd, false); /* once for the caches */
    for (size_t i = 0; i < rounds; i++) {
        f->bare[i] = bare_dump(fd, false);
        f->ours[i] = tick(recorder);
        f->ss[i] = run_ss();
        f->to_bare[i] = f->ours[i] / f->bare[i];
        f->to_ss[i] = f->ours[i] / f->ss[i];
        f->bare_to_ss[i] = f->bare[i] / f->ss[i];
    }
}

/* Snapshots that sample tcp_info, beside those that don't. */
struct sampling {
    double plain[ROUNDS_MAX], ours[ROUNDS_MAX], bare[ROUNDS_MAX];
    double to_plain[ROUNDS_MAX], to_bare[ROUNDS_MAX]; /* pairwise */
};

static void measure_sampling(struct sampling *f, size_t rounds, struct recorder *plain,
                             struct recorder *sampling)
{
    _cleanup_close_ int fd = open_bare();

    for (size_t i = 0; i < rounds; i++) {
        f->plain[i] = tick(plain);
        f->bare[i] = bare_dump(fd, true);
        f->ours[i] = tick(sampling);
        f->to_plain[i] = f->ours[i] / f->plain[i];
        f->to_bare[i] = f->ours[i] / f->bare[i];
    }
}

/* A population to measure with. */
struct population {
    size_t sockets;
    enum crowd_state state;
    bool budgeted; /* the budgets are for this one */
};

static void tell(const char *what, const struct population *of, double value, const char *unit,
                 const char *budget)
{
    char name[100];

    snprintf(name, sizeof(name), "%s at %zu sockets in %s", what, of->sockets,
             of->state == CROWD_ESTABLISHED ? "ESTABLISHED" : "TIME_WAIT");
    bench_tell(name, value, unit, of->budgeted ? budget : NULL);
}

static void bench_sampling(const struct population *of, size_t rounds, const char *path,
                           struct recorder *plain)
{
    struct clock clock = clock_system();
    struct recorder *recorder;
    struct sampling f;
    char other[256];
    int64_t before;

    snprintf(other, sizeof(other), "%s.sampled", path);
    recorder = open_recorder(other, &clock, 1);
    tick(recorder);
    if (of->state == CROWD_ESTABLISHED &&
        ask_number(other, "SELECT count(*) FROM open_facts") < (int64_t)of->sockets)
        bench_die("sockets are not sampled");
    before = ask_number(other, "PRAGMA page_count");
    measure_sampling(&f, rounds, plain, recorder);
    tell("bare dump with tcp_info", of, bench_median(f.bare, rounds), "ms", NULL);
    tell("sampling snapshot", of, bench_median(f.ours, rounds), "ms", NULL);
    tell("sampling snapshot / plain one", of, bench_median(f.to_plain, rounds), "x", NULL);
    tell("sampling snapshot / bare dump with tcp_info", of, bench_median(f.to_bare, rounds), "x",
         NULL);
    tell("growth of the file for each quiet socket and sampling", of,
         (double)(ask_number(other, "PRAGMA page_count") - before) *
             (double)ask_number(other, "PRAGMA page_size") / (double)(of->sockets * rounds),
         "bytes", "0");
    tell("rows written of quiet sockets by later samplings", of,
         (double)ask_number(other, "SELECT count(*) FROM open_facts "
                                   "WHERE at_ms > (SELECT min(start_ms) FROM snapshots)"),
         "rows", "0");
    recorder_free(recorder);
}

static void bench_at(const struct population *of)
{
    size_t rounds = of->sockets >= 100000 ? ROUNDS_MIN : ROUNDS_MAX;
    char *path = bench_enter();
    struct clock clock = clock_system();
    struct recorder *recorder;
    struct crowd crowd;
    struct figures f;
    int64_t before;

    crowd_make(&crowd, of->state, of->sockets);
    recorder = open_recorder(path, &clock, 0);
    tell("first snapshot, all of it written", of, tick(recorder), "ms", NULL);
    if (ask_number(path, "SELECT count(*) FROM open") < (int64_t)of->sockets)
        bench_die("sockets are missing");
    before = ask_number(path, "PRAGMA page_count");
    measure(&f, rounds, recorder);
    tell("bare dump", of, bench_median(f.bare, rounds), "ms", NULL);
    tell("snapshot", of, bench_median(f.ours, rounds), "ms", NULL);
    tell("ss -tan", of, bench_median(f.ss, rounds), "ms", NULL);
    tell("snapshot / bare dump", of, bench_median(f.to_bare, rounds), "x", "1.3");
    tell("snapshot / ss -tan", of, bench_median(f.to_ss, rounds), "x", "0.3");
    tell("bare dump / ss -tan", of, bench_median(f.bare_to_ss, rounds), "x", NULL);
    tell("growth of the file for each socket and snapshot", of,
         (double)(ask_number(path, "PRAGMA page_count") - before) *
             (double)ask_number(path, "PRAGMA page_size") / (double)(of->sockets * rounds),
         "bytes", "0");
    bench_sampling(of, rounds, path, recorder);
    recorder_free(recorder);
    crowd_end(&crowd);
    bench_leave(path);
}

int main(int argc, char **argv)
{
    static const struct population populations[] = {
        {1000, CROWD_ESTABLISHED, false},
        {10000, CROWD_ESTABLISHED, false},
        {100000, CROWD_ESTABLISHED, true},
        {100000, CROWD_TIME_WAIT, true},
    };
    uint64_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : UINT64_MAX;

    crowd_namespace();
    for (size_t i = 0; i < sizeof(populations) / sizeof(populations[0]); i++)
        if (populations[i].sockets <= most)
            bench_at(&populations[i]);
    return EXIT_SUCCESS;
}
