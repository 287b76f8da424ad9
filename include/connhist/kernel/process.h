/* SPDX-License-Identifier: MIT */
/* What /proc/PID tells about one process (proc(5)). */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCESS_COMM_MAX 16 /* TASK_COMM_LEN: 15 bytes and NUL */

/* The strings are bytes as the kernel gave them: anything but NUL. */
struct process_facts {
    int64_t start_ms;            /* stat, field 22, from ticks: CLOCK_BOOTTIME in ms */
    uint32_t pid;                /* in the pid namespace of this /proc */
    uint32_t ppid;               /* stat, field 4; 0: none within this pid namespace */
    uint32_t uid;                /* status, the second of "Uid:", effective; UID_UNKNOWN */
    char comm[PROCESS_COMM_MAX]; /* stat, field 2 */
    char exe[PATH_MAX];          /* link exe; "" where it can't be read, or a kernel thread */
    char cgroup[PATH_MAX];       /* file cgroup: v2's ("0::"), or, where that is only "/" or not
                                    there, that of v1's "name=systemd"; "" where it can't be read */
};

/* The part of stat that is needed before anything else. */
struct process_stat {
    int64_t start_ms;            /* as above */
    uint32_t ppid;               /* as above */
    uint32_t flags;              /* field 9: PF_* of the kernel's sched.h */
    uint32_t threads;            /* field 20 */
    char state;                  /* field 3: 'R', 'S', 'Z' … */
    char comm[PROCESS_COMM_MAX]; /* as above */
};

/* Reads pid/stat's text: what may be in the name is no matter, since the fields after it are counted
 * from the last ')'. A longer name (kernel threads have such) is cut to 15 bytes. -EPROTO: no stat. */
int process_parse_stat(const char *text, struct process_stat *ret);

/* Opens /proc/PID. proc_fd: the root of procfs. The descriptor stays with this very process: once it has
 * ended, all reading through it fails with ESRCH, whoever has the pid then. */
int process_open(int proc_fd, uint32_t pid);

/* Reads stat of a process opened with process_open(). -ESRCH, -ENOENT: it has ended. */
int process_read_stat(int process_fd, struct process_stat *ret);

/* Whether it has ended and only waits for its parent to take note. A main thread may end before
 * others of its process, which goes on then. */
static inline bool process_is_over(const struct process_stat *stat)
{
    return (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
}

/* Reads all of a process; *ret is undefined on failure. -ESRCH or -ENOENT: it has ended, or ended while it was read. What a process
 * changes of itself meanwhile (name, program) is read again until it holds still, up to three times.
 *
 * exe: the kernel appends " (deleted)" where the name is gone. It is cut off if the file has no name
 * left at all (st_nlink is 0: an update replaced it). Otherwise the text stays: the file may be called
 * that. A path longer than the kernel can tell (4,095 bytes) gives "". */
int process_read(int proc_fd, uint32_t pid, struct process_facts *ret);

/* Reads a small file below dir_fd whole, terminated, into buf of size bytes; what does not fit is left
 * off. Returns its length or a negative errno. */
int process_read_file(int dir_fd, const char *name, char *buf, size_t size);
