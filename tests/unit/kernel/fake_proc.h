/* SPDX-License-Identifier: MIT */
/* A /proc, and a tree of cgroup v2, made of ordinary files. */
#pragma once

#include <stdint.h>

struct fake_proc {
    char path[64]; /* of the folder that holds both */
    int fd;        /* the root of the made-up procfs */
};

struct fake_process {
    uint32_t pid, ppid, uid;
    uint64_t ticks;     /* when it started, of USER_HZ */
    const char *comm;   /* NULL: "test" */
    const char *exe;    /* NULL: no link */
    const char *cgroup; /* text of the file; NULL: "0::/\n" */
    unsigned flags;     /* PF_* */
    char state;         /* 0: 'S' */
};

/* Fails the test when it can't. A process 1 without descriptors is there. */
void fake_make(struct fake_proc *fake);
void fake_remove(struct fake_proc *fake);

/* Makes a process, or changes what is told of one. */
void fake_process(const struct fake_proc *fake, const struct fake_process *process);

/* A process that has ended. */
void fake_end(const struct fake_proc *fake, uint32_t pid);

/* A descriptor that leads to a socket, or to /dev/null for inode 0. */
void fake_open(const struct fake_proc *fake, uint32_t pid, unsigned descriptor, uint32_t inode);
void fake_close(const struct fake_proc *fake, uint32_t pid, unsigned descriptor);

/* Makes a cgroup below those that are there, with the processes in it ("12\n13\n"); its id. */
uint64_t fake_cgroup(const struct fake_proc *fake, const char *path, const char *processes);
