/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

void bench_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

void bench_die_errno(const char *what)
{
    bench_die("%s: %s", what, strerrordesc_np(errno));
}

void bench_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(BENCH_SKIPPED);
}

static double clock_ms(clockid_t id)
{
    struct timespec now;

    if (clock_gettime(id, &now) < 0)
        bench_die_errno("clock_gettime");
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

double bench_cpu_ms(void)
{
    return clock_ms(CLOCK_THREAD_CPUTIME_ID);
}

double bench_wall_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

static double timeval_ms(const struct timeval *time)
{
    return (double)time->tv_sec * 1e3 + (double)time->tv_usec / 1e3;
}

double bench_program_cpu_ms(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    struct rusage usage;
    pid_t pid;
    int status, r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        bench_skip("%s can't be run: %s", argv[0], strerrordesc_np(r));
    if (wait4(pid, &status, 0, &usage) < 0 || status != 0)
        bench_die("%s failed", argv[0]);
    return timeval_ms(&usage.ru_utime) + timeval_ms(&usage.ru_stime);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof(*values), compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void bench_tell(const char *name, double value, const char *unit, const char *budget)
{
    printf("%s: %.*f %s", name, value < 10 ? 3 : value < 1000 ? 1 : 0, value, unit);
    if (budget)
        printf(" (budget: %s)", budget);
    putchar('\n');
    fflush(stdout);
}

char *bench_enter(void)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = NULL, *path = NULL;

    if (asprintf(&folder, "%s/connhist-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0 ||
        !mkdtemp(folder) || asprintf(&path, "%s/connhist.db", folder) < 0)
        bench_die_errno("no folder to work in");
    free(folder);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void bench_leave(char *path)
{
    *strrchr(path, '/') = '\0';
    if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) < 0)
        fprintf(stderr, "%s stays: %s\n", path, strerrordesc_np(errno));
    free(path);
}

int64_t bench_size(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : (int64_t)st.st_size;
}

uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
