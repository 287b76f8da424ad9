/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/strutil.h"
#include "connhist/model/life.h"

#define STAT_BYTES    2048        /* 52 numbers of at most 20 digits and a name of 64 bytes */
#define STATUS_BYTES  4096        /* "Uid:" is the ninth line; what follows may be cut */
#define CGROUP_BYTES  (64 * 1024) /* a dozen hierarchies of v1, PATH_MAX each */
#define ATTEMPTS      3
#define FIELD_PPID    4
#define FIELD_FLAGS   9
#define FIELD_THREADS 20
#define FIELD_START   22

int process_read_file(int dir_fd, const char *name, char *buf, size_t size)
{
    _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t r;

    if (fd < 0)
        return -errno;
    do {
        r = read(fd, buf + n, size - 1 - n);
        if (r > 0)
            n += (size_t)r;
    } while ((r > 0 && n < size - 1) || (r < 0 && errno == EINTR));
    if (r < 0)
        return -errno;
    buf[n] = '\0';
    return (int)n;
}

int process_open(int proc_fd, uint32_t pid)
{
    char name[16];
    int fd;

    snprintf(name, sizeof(name), "%u", pid);
    fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The numbers behind the state, from ppid on. Those that may be negative are not asked for. */
static int parse_fields(char *text, struct process_stat *ret)
{
    uint64_t ppid = 0, flags = 0, threads = 0, ticks = 0;
    char *end = NULL, *word = strtok_r(text, " \n", &end);
    int field = FIELD_PPID, r = 0;

    for (; word && r == 0 && field <= FIELD_START; word = strtok_r(NULL, " \n", &end), field++) {
        if (field == FIELD_PPID)
            r = parse_u64(word, 0, INT32_MAX, &ppid);
        else if (field == FIELD_FLAGS)
            r = parse_u64(word, 0, UINT32_MAX, &flags);
        else if (field == FIELD_THREADS)
            r = parse_u64(word, 0, UINT32_MAX, &threads);
        else if (field == FIELD_START)
            r = parse_u64(word, 0, INT64_MAX / MS_PER_SEC, &ticks);
    }
    if (r < 0 || field <= FIELD_START)
        return -EPROTO;
    ret->ppid = (uint32_t)ppid;
    ret->flags = (uint32_t)flags;
    ret->threads = (uint32_t)threads;
    ret->start_ms = (int64_t)ticks * MS_PER_SEC / sysconf(_SC_CLK_TCK);
    return 0;
}

int process_parse_stat(const char *text, struct process_stat *ret)
{
    const char *begin = strchr(text, '('), *end = strrchr(text, ')');
    struct process_stat stat = {0};
    char rest[STAT_BYTES];
    size_t n;

    if (!begin || !end || end < begin || end[1] != ' ' || !end[2] || strlen(end) >= sizeof(rest))
        return -EPROTO;
    n = (size_t)(end - begin - 1);
    memcpy(stat.comm, begin + 1, n < PROCESS_COMM_MAX ? n : PROCESS_COMM_MAX - 1);
    stat.state = end[2];
    memcpy(rest, end + 3, strlen(end + 3) + 1);
    if (parse_fields(rest, &stat) < 0)
        return -EPROTO;
    *ret = stat;
    return 0;
}

int process_read_stat(int process_fd, struct process_stat *ret)
{
    char text[STAT_BYTES];
    int n = process_read_file(process_fd, "stat", text, sizeof(text));

    return n < 0 ? n : process_parse_stat(text, ret);
}

/* "Uid:\treal\teffective\t…". A name can't forge the line: status escapes newlines. */
static uint32_t read_uid(int process_fd)
{
    char text[STATUS_BYTES], *rest, *line, *word;
    uint64_t uid;

    if (process_read_file(process_fd, "status", text, sizeof(text)) < 0)
        return UID_UNKNOWN;
    line = strstr(text, "\nUid:");
    if (!line || !strtok_r(line + 1, "\t", &rest) || !strtok_r(NULL, "\t", &rest))
        return UID_UNKNOWN;
    word = strtok_r(NULL, "\t", &rest);
    return word && parse_u64(word, 0, UINT32_MAX, &uid) == 0 ? (uint32_t)uid : UID_UNKNOWN;
}

/* Asks the kernel for what it has at hand alone: a file system of somebody's own making (FUSE) must not
 * hold us up. Where the file can't be reached it has no name, either. */
static bool has_no_name_left(int process_fd)
{
    struct statx st;

    return statx(process_fd, "exe", AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_NLINK, &st) < 0 ||
           st.stx_nlink == 0;
}

static void read_exe(int process_fd, char ret[static PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    ssize_t n = readlinkat(process_fd, "exe", ret, PATH_MAX - 1);
    char *tail;

    ret[n < 0 ? 0 : n] = '\0';
    if (n < (ssize_t)sizeof(deleted))
        return;
    tail = ret + n - (sizeof(deleted) - 1);
    if (strcmp(tail, deleted) == 0 && has_no_name_left(process_fd))
        *tail = '\0';
}

/* The third field of the line of a hierarchy, "ID:CONTROLLERS:PATH"; the file's text is cut into lines. */
static const char *path_of_line(char *line, const char *controllers)
{
    char *second = strchr(line, ':'), *third = second ? strchr(second + 1, ':') : NULL;

    if (!third)
        return NULL;
    *third = '\0';
    return strcmp(second + 1, controllers) == 0 ? third + 1 : NULL;
}

static void read_cgroup(int process_fd, char ret[static PATH_MAX])
{
    _cleanup_free_ char *text = malloc(CGROUP_BYTES);
    const char *unified = NULL, *systemd = NULL, *path;
    char *end = NULL, *copy = text;

    *ret = '\0';
    if (!text || process_read_file(process_fd, "cgroup", text, CGROUP_BYTES) < 0)
        return;
    /* The kernel lets no newline into the name of a cgroup. */
    for (char *line = strtok_r(copy, "\n", &end); line; line = strtok_r(NULL, "\n", &end)) {
        bool v2 = strncmp(line, "0:", 2) == 0;

        path = path_of_line(line, v2 ? "" : "name=systemd");
        if (path)
            *(v2 ? &unified : &systemd) = path;
    }
    path = systemd && (!unified || strcmp(unified, "/") == 0) ? systemd : unified;
    if (path && strlen(path) < PATH_MAX)
        memcpy(ret, path, strlen(path) + 1);
}

/* 1: it has changed meanwhile. */
static int read_once(int process_fd, struct process_facts *ret)
{
    struct process_stat before, after;
    int r = process_read_stat(process_fd, &before);

    if (r < 0)
        return r;
    ret->uid = read_uid(process_fd);
    read_exe(process_fd, ret->exe);
    read_cgroup(process_fd, ret->cgroup);
    r = process_read_stat(process_fd, &after);
    if (r < 0)
        return r;
    if (before.start_ms != after.start_ms)
        return -ESRCH;
    ret->start_ms = after.start_ms;
    ret->ppid = after.ppid;
    memcpy(ret->comm, after.comm, sizeof(ret->comm));
    return strcmp(before.comm, after.comm) != 0;
}

int process_read(int proc_fd, uint32_t pid, struct process_facts *ret)
{
    _cleanup_close_ int fd = process_open(proc_fd, pid);
    int r = fd < 0 ? fd : 1;

    for (int i = 0; i < ATTEMPTS && r == 1; i++)
        r = read_once(fd, ret);
    if (r < 0)
        return r;
    ret->pid = pid;
    return 0;
}
