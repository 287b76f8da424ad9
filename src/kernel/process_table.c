/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/model/life.h"
#include "owners_private.h"

static void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

/* Where the pid is, or would be put. */
static size_t find_place(const struct owner_finder *finder, uint32_t pid)
{
    size_t low = 0, high = finder->processes.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (finder->processes.items[middle]->pid < pid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct process *insert(struct owner_finder *finder, size_t place, uint32_t pid)
{
    struct process *process = NULL;
    size_t behind = finder->processes.n - place;

    if (vec_reserve(&finder->processes, 1) < 0)
        return NULL;
    process = malloc(sizeof(*process));
    if (!process)
        return NULL;
    *process = (struct process){.pid = pid, .uid = UID_UNKNOWN};
    if (behind)
        memmove(finder->processes.items + place + 1, finder->processes.items + place,
                behind * sizeof(struct process *));
    finder->processes.items[place] = process;
    finder->processes.n++;
    return process;
}

static bool is_at(const struct owner_finder *finder, size_t place, uint32_t pid)
{
    return place < finder->processes.n && finder->processes.items[place]->pid == pid;
}

struct process *process_get(struct owner_finder *finder, uint32_t pid)
{
    size_t place = find_place(finder, pid);
    struct process *process;
    struct stat st;
    int fd;

    if (is_at(finder, place, pid))
        return finder->processes.items[place];
    process = insert(finder, place, pid);
    if (!process)
        return NULL;
    fd = process_open(finder->proc_fd, pid);
    if (fd >= 0 && fstat(fd, &st) == 0)
        process->ino = st.st_ino;
    cleanup_close(&fd);
    return process;
}

/* What was known is that of another process, if the number has changed. The kernel may also have dropped
 * the directory from its cache and numbered it anew; then the process is passed over once more. */
static int see(struct owner_finder *finder, uint32_t pid, uint64_t ino)
{
    size_t place = find_place(finder, pid);
    struct process *process =
        is_at(finder, place, pid) ? finder->processes.items[place] : insert(finder, place, pid);

    if (!process)
        return -ENOMEM;
    if (process->ino != ino) {
        vec_finish(&process->table);
        *process = (struct process){.pid = pid, .uid = UID_UNKNOWN};
    }
    process->ino = ino;
    process->listed = finder->listing;
    return 0;
}

static void forget(struct process *process)
{
    vec_finish(&process->table);
    free(process);
}

static void forget_ended(struct owner_finder *finder)
{
    size_t n = 0;

    for (size_t i = 0; i < finder->processes.n; i++)
        if (finder->processes.items[i]->listed == finder->listing)
            finder->processes.items[n++] = finder->processes.items[i];
        else
            forget(finder->processes.items[i]);
    finder->processes.n = finder->listed = n;
}

int process_list(struct owner_finder *finder)
{
    int fd = openat(finder->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(cleanup_closedir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t pid;
    int r = 0;

    if (!dir) {
        r = -errno;
        cleanup_close(&fd);
        return r;
    }
    finder->listing++;
    while (r == 0 && (entry = readdir(dir)))
        if (parse_u64(entry->d_name, 1, INT32_MAX, &pid) == 0)
            r = see(finder, (uint32_t)pid, entry->d_ino);
    if (r == 0)
        forget_ended(finder);
    return r;
}

void process_forget_all(struct owner_finder *finder)
{
    for (size_t i = 0; i < finder->processes.n; i++)
        forget(finder->processes.items[i]);
    vec_finish(&finder->processes);
}
