/* SPDX-License-Identifier: MIT */
/* bench_memory CONNHISTD: what the recorder takes of memory and CPU, as a whole process. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "bench.h"
#include "connhist/base/cleanup.h"
#include "crowd.h"

#define FEW         100
#define MANY        100000
#define INTERVAL_MS 10000.0 /* the default, which the CPU share is told for */

extern char **environ;

struct run {
    double rss_bytes; /* after its ticks */
    double peak_bytes;
    double cpu_ms; /* of the whole process */
};

/* A line of /proc/PID/status, in bytes. */
static double read_status(pid_t pid, const char *name)
{
    char path[64], line[256];
    _cleanup_fclose_ FILE *file = NULL;
    size_t n = strlen(name);

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, n) == 0 && line[n] == ':')
            return strtod(line + n + 1, NULL) * 1024;
    bench_die("no %s in %s", name, path);
}

/* Other network namespaces, which may be on this host, are none of ours. */
static char *own_only(const char *path)
{
    char *config;
    FILE *file;

    if (asprintf(&config, "%s.yaml", path) < 0)
        bench_die("out of memory");
    file = fopen(config, "we");
    if (!file || fputs("namespaces: {include: []}\n", file) < 0 || fclose(file) != 0)
        bench_die("%s can't be written", config);
    return config;
}

static pid_t start(const char *connhistd, const char *path, const char *interval)
{
    char *argv[] = {strdup(connhistd), strdup("--db"),
                    strdup(path),      strdup("--config"),
                    own_only(path),    strdup("--interval"),
                    strdup(interval),  strdup("--log-level"),
                    strdup("warning"), NULL};
    pid_t pid;
    int r = posix_spawn(&pid, connhistd, NULL, NULL, argv, environ);

    if (r != 0)
        bench_die("%s: %s", connhistd, strerrordesc_np(r));
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    return pid;
}

/* Snapshots in the file so far; 0 while there is none. */
static int64_t count_snapshots(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t n = 0;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT count(*) FROM snapshots", -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* Lets the recorder run for so many snapshots. */
static struct run run(const char *connhistd, const char *interval, int64_t ticks)
{
    char *path = bench_enter();
    pid_t pid = start(connhistd, path, interval);
    struct rusage usage;
    struct run run;
    int status;

    while (count_snapshots(path) < ticks)
        if (usleep(50000) < 0 || waitpid(pid, NULL, WNOHANG) != 0)
            bench_die("connhistd ended early");
    run.rss_bytes = read_status(pid, "VmRSS");
    run.peak_bytes = read_status(pid, "VmHWM");
    kill(pid, SIGTERM);
    if (wait4(pid, &status, 0, &usage) < 0 || status != 0)
        bench_die("connhistd failed");
    run.cpu_ms = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
    bench_leave(path);
    return run;
}

static void bench_few(const char *connhistd, struct run *ret)
{
    struct crowd crowd;
    struct run once, many;

    crowd_make(&crowd, CROWD_ESTABLISHED, FEW);
    once = run(connhistd, "1h", 1);
    many = run(connhistd, "100ms", 200);
    crowd_end(&crowd);
    bench_tell("recorder's memory at 100 sockets", many.rss_bytes / 1048576, "MiB", "8");
    bench_tell("recorder's start and end", once.cpu_ms, "ms", NULL);
    bench_tell("recorder's CPU for a snapshot at 100 sockets", (many.cpu_ms - once.cpu_ms) / 199,
               "ms", NULL);
    bench_tell("share of a core at 100 sockets, 10 s interval",
               (many.cpu_ms - once.cpu_ms) / 199 / INTERVAL_MS * 100, "%", "0.1");
    *ret = many;
}

int main(int argc, char **argv)
{
    struct crowd crowd;
    struct run few, many;

    if (argc != 2)
        bench_die("usage: bench_memory CONNHISTD");
    crowd_namespace();
    bench_few(argv[1], &few);
    crowd_make(&crowd, CROWD_ESTABLISHED, MANY);
    many = run(argv[1], "500ms", 20);
    crowd_end(&crowd);
    bench_tell("recorder's memory at 100000 sockets", many.rss_bytes / 1048576, "MiB", NULL);
    bench_tell("its peak, while the first snapshot is written", many.peak_bytes / 1048576, "MiB",
               NULL);
    bench_tell("memory for each open socket", (many.rss_bytes - few.rss_bytes) / (MANY - FEW),
               "bytes", "160");
    return EXIT_SUCCESS;
}
