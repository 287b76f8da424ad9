/* SPDX-License-Identifier: MIT */
/* One process's descriptors: readlink() on /proc/PID/fd alone. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "owners_private.h"

/* The kernel makes an inode for each entry that it lists, read or not; so not too many at once. */
#define LIST_BYTES 4096
#define LINK_BYTES 64
#define PF_KTHREAD \
    0x00200000 /* include/linux/sched.h: not for programs, but field 9 of stat has it */
#define NO_START_MS (-1)
#define MISSES_MAX  64 /* numbers found free one after the other, until it is given up */

/* A pass, or a part of one. */
struct pass {
    struct owner_finder *finder;
    struct process *process;
    int64_t *position; /* of the process: where to begin, then behind the last that was read */
    int64_t last; /* position of the last that was read; behind it may be beyond all that come */
    int64_t start_ms;     /* of the process; NO_START_MS: not read yet */
    uint32_t left;        /* descriptors that may be read */
    uint32_t large;       /* a process with more is left alone */
    uint32_t entries;     /* that were there */
    int process_fd;       /* /proc/PID */
    bool noted;           /* something wanted was found */
    bool may_not;         /* a link can't be read */
    bool comes_to_an_end; /* all entries were seen */
};

/* "socket:[123]"; 0: something else. */
static uint32_t inode_of(char *link)
{
    static const char prefix[] = "socket:[";
    char *number = link + sizeof(prefix) - 1;
    uint64_t inode;

    if (strncmp(link, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    number[strcspn(number, "]")] = '\0';
    return parse_u64(number, 1, UINT32_MAX, &inode) == 0 ? (uint32_t)inode : 0;
}

/* Nothing is noted of a process that has ended: its start can't be read any more. */
static int note(struct pass *pass, struct pending *pending)
{
    struct holder holder = {.pid = pass->process->pid};
    struct process_stat stat;
    bool was_unsolved = pending_is_unsolved(pending);

    if (pass->start_ms == NO_START_MS && process_read_stat(pass->process_fd, &stat) == 0)
        pass->start_ms = stat.start_ms;
    if (pass->start_ms == NO_START_MS)
        return 0;
    pass->noted = true;
    holder.start_ms = pass->start_ms;
    if (pending_add_holder(pending, holder) < 0)
        return -ENOMEM;
    if (was_unsolved && !pending_is_unsolved(pending))
        pass->finder->unsolved--;
    return 0;
}

/* Reads the link of one descriptor. ret_what: as in the table. */
static int read_link(struct pass *pass, int fd, const char *name, uint32_t *ret_what)
{
    char link[LINK_BYTES];
    struct pending *pending;
    uint32_t inode;
    ssize_t n = readlinkat(fd, name, link, sizeof(link) - 1);

    pass->left--;
    pass->finder->left--;
    pass->finder->looked.descriptors++;
    *ret_what = DESCRIPTOR_FREE;
    if (n < 0) {
        pass->may_not = errno == EACCES || errno == EPERM;
        return errno == ENOMEM ? -ENOMEM : 0;
    }
    link[n] = '\0';
    inode = inode_of(link);
    *ret_what = inode ? inode : DESCRIPTOR_OTHER;
    pending = inode ? pending_find(&pass->finder->pendings, inode) : NULL;
    return pending ? note(pass, pending) : 0;
}

/* One that was listed: the kernel lists them in order, so that those passed over are free. */
static int read_listed(struct pass *pass, int fd, const char *name)
{
    struct process *process = pass->process;
    uint64_t number;
    uint32_t what;
    int r = read_link(pass, fd, name, &what);

    if (r < 0 || parse_u64(name, 0, INT32_MAX, &number) < 0)
        return r;
    for (; process->next < number && process->next < process->table.n; process->next++)
        process->table.items[process->next] = DESCRIPTOR_FREE;
    table_note(process, (uint32_t)number, what);
    if (process->next <= number)
        process->next = (uint32_t)number + 1;
    return 0;
}

/* As many of the listed entries as may be read; the position of the last is kept. */
static int read_links(struct pass *pass, int fd, const char *list, size_t n)
{
    const struct dirent64 *entry;
    int r = 0;

    for (size_t at = 0; at < n && r == 0 && pass->left && !pass->may_not; at += entry->d_reclen) {
        entry = (const struct dirent64 *)(const void *)(list + at);
        if (entry->d_name[0] != '.') {
            pass->entries++;
            r = read_listed(pass, fd, entry->d_name);
        }
        pass->last = *pass->position;
        *pass->position = entry->d_off;
    }
    return r;
}

static int read_folder(struct pass *pass, int fd)
{
    _Alignas(struct dirent64) char list[LIST_BYTES];
    struct owner_finder *finder = pass->finder;
    ssize_t n;
    int r = 0;

    if (*pass->position && lseek(fd, *pass->position, SEEK_SET) < 0)
        return -errno;
    while (r == 0 && pass->left && !pass->may_not && !finder->late) {
        n = getdents64(fd, list, sizeof(list));
        if (n <= 0) {
            pass->comes_to_an_end = true; /* the process's, if the call fails */
            return n < 0 && errno == ENOMEM ? -ENOMEM : 0;
        }
        r = read_links(pass, fd, list, (size_t)n);
        finder->late = clock_boottime_ns(&finder->clock) >= finder->deadline_ns;
    }
    return r;
}

/* A main thread that has ended before the others shows no descriptors; any other of its threads does. */
static int read_threads_folder(struct pass *pass)
{
    int task_fd = openat(pass->process_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = task_fd < 0 ? NULL : fdopendir(task_fd);
    const struct dirent *entry;
    char name[300];
    int r = 0;

    if (!dir)
        cleanup_close(&task_fd);
    while (dir && r == 0 && !pass->entries && (entry = readdir(dir))) {
        _cleanup_close_ int fd = -1;

        snprintf(name, sizeof(name), "%s/fd", entry->d_name);
        fd = entry->d_name[0] == '.' ? -1
                                     : openat(task_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            r = read_folder(pass, fd);
    }
    if (dir)
        closedir(dir);
    return r;
}

/* Of a process that shows no descriptors: whether it has none, by what it is. */
static bool has_none(struct pass *pass, bool *ret_threads)
{
    struct process_stat stat;

    *ret_threads = false;
    if (process_read_stat(pass->process_fd, &stat) < 0)
        return true;
    pass->process->hollow = stat.flags & PF_KTHREAD;
    *ret_threads = stat.state == 'Z' && !process_is_over(&stat);
    return pass->process->hollow || process_is_over(&stat);
}

/* The size of the folder is the number of descriptors; 0 before Linux 6.2. */
static bool is_too_large(struct pass *pass, int fd)
{
    struct stat st;

    if (pass->large == UINT32_MAX || fstat(fd, &st) < 0 || st.st_size <= pass->large)
        return false;
    pass->process->size = st.st_size < UINT32_MAX ? (uint32_t)st.st_size : UINT32_MAX;
    return true;
}

static int read_descriptors(struct pass *pass)
{
    _cleanup_close_ int fd = openat(pass->process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool threads;
    int r = 0;

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            return -errno;
        pass->may_not = errno == EACCES || errno == EPERM;
        pass->comes_to_an_end = true;
    } else if (is_too_large(pass, fd)) {
        return 0;
    } else {
        r = read_folder(pass, fd);
    }
    if (r < 0 || pass->entries || !pass->comes_to_an_end)
        return r;
    if (has_none(pass, &threads))
        pass->may_not = false;
    return threads && !pass->may_not ? read_threads_folder(pass) : 0;
}

static void begin(struct pass *pass)
{
    struct process *process = pass->process;
    struct stat st = {0};

    if (fstat(pass->process_fd, &st) == 0)
        process->uid = st.st_uid; /* the effective one: proc(5), /proc/PID */
    if (process->began && process->position && process->pass_ino == st.st_ino)
        return;
    process->began = pass->finder->look;
    process->pass_ino = st.st_ino;
    process->position = 0;
    process->counted = 0;
    process->next = 0;
}

static void finish(struct process *process, uint64_t since, int64_t last)
{
    process->scanned = since;
    process->began = 0;
    process->tail = last;
    process->size = process->counted;
    process->position = 0;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Opens the process; what it costs is taken off. */
static int visit(struct pass *pass, uint32_t most)
{
    struct owner_finder *finder = pass->finder;

    finder->left -= least(finder->left, VISIT_COST);
    finder->looked.processes++;
    pass->left = least(most, finder->left);
    pass->process_fd = process_open(finder->proc_fd, pass->process->pid);
    return pass->process_fd;
}

static int scan(struct pass *pass, uint32_t most)
{
    struct process *process = pass->process;
    _cleanup_close_ int fd = visit(pass, most);
    int r;

    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
        return fd;
    if (fd < 0) { /* it has ended, or /proc hides it (hidepid=noaccess) */
        process->denied = fd == -EACCES || fd == -EPERM;
        finish(process, pass->finder->look, 0);
        return 1;
    }
    begin(pass);
    r = read_descriptors(pass);
    process->counted += pass->entries;
    if (r < 0)
        return r;
    process->denied = pass->may_not && !process->hollow;
    if (!pass->comes_to_an_end && !pass->may_not)
        return 0;
    if (process->table.n > process->next)
        process->table.n = process->next;
    finish(process, process->began, pass->last);
    table_settle(process, pass->noted);
    return 1;
}

static int scan_any(struct owner_finder *finder, struct process *process, uint32_t most,
                    uint32_t large)
{
    struct pass pass = {.finder = finder,
                        .process = process,
                        .position = &process->position,
                        .start_ms = NO_START_MS,
                        .large = large};

    if (process->hollow) {
        finish(process, finder->look, 0);
        return 1;
    }
    return work_is_over(finder) || !most ? 0 : scan(&pass, most);
}

int process_scan(struct owner_finder *finder, struct process *process, uint32_t most)
{
    return scan_any(finder, process, most, UINT32_MAX);
}

int process_scan_small(struct owner_finder *finder, struct process *process, uint32_t most)
{
    return scan_any(finder, process, most, most);
}

int process_scan_tail(struct owner_finder *finder, struct process *process, uint32_t most)
{
    struct pass pass = {
        .finder = finder, .process = process, .position = &process->tail, .start_ms = NO_START_MS};
    _cleanup_close_ int process_fd = -1, fd = -1;
    int r;

    if (work_is_over(finder) || !most)
        return 0;
    process_fd = visit(&pass, most);
    fd = process_fd < 0 ? -1 : openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pass.last = process->tail;
    r = fd < 0 ? 0 : read_folder(&pass, fd);
    process->tail = pass.last;
    return r;
}

/* Numbers that were free, as long as some of them are in use now. */
static int read_free(struct pass *pass, int fd, uint32_t number, uint32_t *misses)
{
    char name[16];
    uint32_t what;
    int r;

    snprintf(name, sizeof(name), "%u", number);
    r = read_link(pass, fd, name, &what);
    *misses = what == DESCRIPTOR_FREE ? *misses + 1 : 0;
    pass->process->table.items[number] = what;
    return r;
}

static int read_known(struct pass *pass, int fd)
{
    const struct owner_finder *finder = pass->finder;
    uint32_t misses = 0, known = 0;
    int r = 0;

    for (uint32_t i = 0;
         i < pass->process->table.n && r == 0 && finder->unsolved && pass->left && !pass->may_not;
         i++) {
        uint32_t what = pass->process->table.items[i];

        if (what == DESCRIPTOR_OTHER || (what == DESCRIPTOR_FREE && misses >= MISSES_MAX))
            continue;
        if (what == DESCRIPTOR_FREE)
            r = read_free(pass, fd, i, &misses);
        else if (pending_find(&finder->pendings, what))
            r = read_free(pass, fd, i, &known);
    }
    return r;
}

int process_scan_known(struct owner_finder *finder, struct process *process, uint32_t most)
{
    struct pass pass = {.finder = finder, .process = process, .start_ms = NO_START_MS};
    _cleanup_close_ int process_fd = -1, fd = -1;

    if (work_is_over(finder) || !most || !process->table.n)
        return 0;
    process_fd = visit(&pass, most);
    fd = process_fd < 0 ? -1 : openat(process_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? 0 : read_known(&pass, fd);
}
