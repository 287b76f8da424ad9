/* SPDX-License-Identifier: MIT */
#include "fake_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static void write_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void make_folder(int dir_fd, const char *name)
{
    assert_true(mkdirat(dir_fd, name, 0755) == 0 || errno == EEXIST);
}

void fake_make(struct fake_proc *fake)
{
    char text[256];
    int root;

    strcpy(fake->path, "/tmp/connhist-fake-XXXXXX");
    assert_non_null(mkdtemp(fake->path));
    root = open(fake->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_folder(root, "proc");
    make_folder(root, "cgroup v2");
    fake->fd = openat(root, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fake->fd >= 0);
    close(root);
    make_folder(fake->fd, "self");
    snprintf(text, sizeof(text),
             "22 1 0:20 / /proc rw - proc proc rw\n"
             "23 1 0:21 /part %s/part rw - cgroup2 cgroup2 rw\n"
             "24 1 0:21 / %s/cgroup\\040v2 rw,relatime shared:4 - cgroup2 cgroup2 rw\n",
             fake->path, fake->path);
    write_file(fake->fd, "self/mountinfo", text);
    fake_process(fake, &(struct fake_process){.pid = 1, .cgroup = "0::/init.scope\n"});
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fake_remove(struct fake_proc *fake)
{
    close(fake->fd);
    nftw(fake->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void fake_process(const struct fake_proc *fake, const struct fake_process *process)
{
    char text[8192], folder[16];
    int fd;

    snprintf(folder, sizeof(folder), "%u", process->pid);
    make_folder(fake->fd, folder);
    fd = openat(fake->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    make_folder(fd, "fd");
    snprintf(text, sizeof(text),
             "%u (%s) %c %u 0 0 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0 0 0 0\n", process->pid,
             process->comm ? process->comm : "test", process->state ? process->state : 'S',
             process->ppid, process->flags, (unsigned long long)process->ticks);
    write_file(fd, "stat", text);
    snprintf(text, sizeof(text), "Name:\ttest\nUid:\t7\t%u\t8\t9\nGid:\t1\t1\t1\t1\n",
             process->uid);
    write_file(fd, "status", text);
    write_file(fd, "cgroup", process->cgroup ? process->cgroup : "0::/\n");
    unlinkat(fd, "exe", 0);
    if (process->exe)
        assert_int_equal(symlinkat(process->exe, fd, "exe"), 0);
    close(fd);
}

void fake_end(const struct fake_proc *fake, uint32_t pid)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/proc/%u", fake->path, pid);
    assert_int_equal(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void fake_open(const struct fake_proc *fake, uint32_t pid, unsigned descriptor, uint32_t inode)
{
    char path[64], link[64] = "/dev/null";

    snprintf(path, sizeof(path), "%u/fd/%u", pid, descriptor);
    if (inode)
        snprintf(link, sizeof(link), "socket:[%u]", inode);
    assert_int_equal(symlinkat(link, fake->fd, path), 0);
}

void fake_close(const struct fake_proc *fake, uint32_t pid, unsigned descriptor)
{
    char path[64];

    snprintf(path, sizeof(path), "%u/fd/%u", pid, descriptor);
    assert_int_equal(unlinkat(fake->fd, path, 0), 0);
}

uint64_t fake_cgroup(const struct fake_proc *fake, const char *path, const char *processes)
{
    char name[512];
    struct stat st;
    int fd;

    snprintf(name, sizeof(name), "%s/cgroup v2%s", fake->path, path);
    make_folder(AT_FDCWD, name);
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    write_file(fd, "cgroup.procs", processes);
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    return st.st_ino;
}
