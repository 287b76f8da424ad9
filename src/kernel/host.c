/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/strutil.h"

/* Files of /proc read here are one short line. */
#define LINE_MAX_BYTES 256

/* Reads the first line, without its newline. -ENODATA: the file is empty. */
static int read_line(const char *path, char ret[static LINE_MAX_BYTES])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    do {
        n = read(fd, ret, LINE_MAX_BYTES - 1);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    ret[n] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    return *ret ? 0 : -ENODATA;
}

int host_boot_id(char ret[static BOOT_ID_MAX], struct err *err)
{
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    char line[LINE_MAX_BYTES];
    int r = read_line(path, line);
    size_t n;

    if (r < 0)
        return err_errno(err, r, "%s", path);
    n = strlen(line);
    if (n >= BOOT_ID_MAX)
        return err_set(err, -EPROTO, "%s: longer than a boot id", path);
    memcpy(ret, line, n + 1);
    return 0;
}

int host_netns_inode(uint64_t *ret, struct err *err)
{
    static const char path[] = "/proc/thread-self/ns/net";
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, -errno, "%s", path);
    *ret = st.st_ino;
    return 0;
}

/* "32768\t60999" */
static int parse_range(char *line, struct port_range *ret)
{
    char *rest = line, *low_text = strsep(&rest, " \t");
    uint64_t low, high;

    if (!rest)
        return -EPROTO;
    rest += strspn(rest, " \t");
    if (parse_u64(low_text, 0, UINT16_MAX, &low) < 0 || parse_u64(rest, low, UINT16_MAX, &high) < 0)
        return -EPROTO;
    *ret = (struct port_range){.low = (uint16_t)low, .high = (uint16_t)high};
    return 0;
}

int host_ephemeral_range(struct port_range *ret, struct err *err)
{
    static const char path[] = "/proc/sys/net/ipv4/ip_local_port_range";
    char line[LINE_MAX_BYTES];
    int r;

    *ret = (struct port_range){.low = 32768, .high = 60999};
    r = read_line(path, line);
    if (r < 0)
        return err_errno(err, r, "%s", path);
    r = parse_range(line, ret);
    if (r < 0)
        return err_set(err, r, "%s: not two ports", path);
    return 0;
}

int64_t host_fin_timeout_ms(void)
{
    char line[LINE_MAX_BYTES];
    uint64_t seconds;

    if (read_line("/proc/sys/net/ipv4/tcp_fin_timeout", line) < 0 ||
        parse_u64(line, 0, INT32_MAX, &seconds) < 0)
        return 60 * MS_PER_SEC;
    return (int64_t)seconds * MS_PER_SEC;
}

static int64_t ms_of(const struct timeval *time)
{
    return (int64_t)time->tv_sec * MS_PER_SEC + time->tv_usec / 1000;
}

/* The second word of statm, in pages; 0 where it can't be read. */
static int64_t resident_bytes(void)
{
    char line[LINE_MAX_BYTES], *rest = line;
    uint64_t pages;

    if (read_line("/proc/self/statm", line) < 0)
        return 0;
    strsep(&rest, " ");
    if (!rest || parse_u64(strsep(&rest, " "), 0, INT32_MAX, &pages) < 0)
        return 0;
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

bool host_has_descriptors(int fd, int n)
{
    _cleanup_close_ int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int last;

    if (lowest < 0)
        return false;
    last = fcntl(fd, F_DUPFD_CLOEXEC, lowest + n - 1);
    if (last < 0)
        return false;
    close(last);
    return true;
}

void host_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void host_own_cost(int64_t *ret_cpu_ms, int64_t *ret_rss_bytes)
{
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    *ret_cpu_ms = ms_of(&usage.ru_utime) + ms_of(&usage.ru_stime);
    *ret_rss_bytes = resident_bytes();
}

/* Adds the values of the named columns: a line of names is followed by one of numbers. */
static uint64_t sum_columns(char *names, char *values, const char *const *wanted, size_t n_wanted)
{
    char *name_end, *value_end;
    char *name = strtok_r(names, " \n", &name_end);
    char *value = strtok_r(values, " \n", &value_end);
    uint64_t sum = 0, number;

    for (; name && value;
         name = strtok_r(NULL, " \n", &name_end), value = strtok_r(NULL, " \n", &value_end))
        for (size_t i = 0; i < n_wanted; i++)
            if (strcmp(name, wanted[i]) == 0 && parse_u64(value, 0, UINT64_MAX, &number) == 0)
                sum += number;
    return sum;
}

uint64_t host_time_wait_dropped(void)
{
    static const char *const wanted[] = {"TCPTimeWaitOverflow", "TWRecycled"};
    _cleanup_fclose_ FILE *file = fopen("/proc/thread-self/net/netstat", "re");
    _cleanup_free_ char *names = NULL, *values = NULL;
    size_t names_size = 0, values_size = 0;
    uint64_t sum = 0;

    while (file && getline(&names, &names_size, file) > 0 &&
           getline(&values, &values_size, file) > 0)
        sum += sum_columns(names, values, wanted, sizeof(wanted) / sizeof(wanted[0]));
    return sum;
}
