/* SPDX-License-Identifier: MIT */
/* The owner of a socket: the process that holds it, as it was when it was seen to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

/* How an owner was found out. */
enum owner_source {
    OWNER_BY_NOTHING = 0,  /* not known */
    OWNER_BY_INODE = 1,    /* the socket was seen among the process's descriptors */
    OWNER_BY_LISTENER = 2, /* accepted, or about to be, and not seen in any process: the program
                              that listens there */
    OWNER_BY_CGROUP = 3,   /* the socket's cgroup is known, no process: unit and container alone */
    OWNER_IS_KERNEL = 4,   /* a socket of the kernel itself */
};

/* "inode", "cookie", "listener", "cgroup", "kernel", "unknown". In a state that comes after close()
 * an owner that was found by inode is called "cookie": it is that of the same life, seen before.
 * state: enum sock_state. */
const char *owner_source_name(unsigned source, unsigned state);

/* The strings are bytes as the kernel gave them: they may hold anything but NUL. They belong to
 * whoever owns the struct; "" where not known. */
struct owner {
    int64_t start_ms;      /* when the process started, CLOCK_BOOTTIME in ms; with the pid it names
                              the process for this boot */
    uint32_t pid;          /* in the root pid namespace that /proc shows; 0: not known */
    uint32_t uid;          /* effective user id; UID_UNKNOWN */
    const char *comm;      /* its name, at most 15 bytes */
    const char *exe;       /* path of its program, at most PATH_MAX bytes */
    const char *unit;      /* systemd unit: service, scope, or unit of a user's manager */
    const char *container; /* "docker:ID", "containerd:ID", "podman:ID", "lxc:NAME" … */
    const char *cgroup;    /* path within its hierarchy: v2, or systemd's own of v1 */
};

/* A copy whose strings are its own, in one piece of memory that owner_finish() frees. 0, or -ENOMEM:
 * nothing was copied. */
int owner_copy(const struct owner *owner, struct owner *ret);
void owner_finish(struct owner *copy);

/* Whether both are one process; one without a pid is none. */
static inline bool owner_is_same_process(const struct owner *a, const struct owner *b)
{
    return a->pid && a->pid == b->pid && a->start_ms == b->start_ms;
}

enum owner_answer {
    OWNER_LATER = 0,  /* the work of this look was used up before it was found */
    OWNER_FOUND = 1,  /* owner is set */
    OWNER_ABSENT = 2, /* every process was looked at, none has it */
    OWNER_DENIED = 3, /* none of those that could be read has it, and some could not be read */
};

/* One socket whose owner is wanted, and the answer. */
struct owner_want {
    uint64_t cgroup; /* the sample's cgroup v2 id; 0: not known */
    const struct owner
        *owner; /* the process that has held it longest; for a cgroup alone one without
                                   pid, and so where no process was found but the cgroup is known;
                                   NULL: not known. Valid until the next look */
    const struct owner
        *others; /* n_others processes that hold it, too; valid until the next look */
    uint32_t n_others;
    uint32_t inode;   /* the socket's; 0: cgroup alone is asked for */
    uint32_t uid;     /* the sample's, or UID_UNKNOWN */
    uint32_t hint;    /* pid of a process that may hold it (the listener's); 0: none. Among more
                         others than are told it is one of them */
    bool all_holders; /* others are wanted, too: for listeners */
    bool everywhere;  /* ... and every process is looked at for them */
    uint8_t answer;   /* enum owner_answer */
};

/* The same program in the same place under the same user: which of its processes is open. */
bool owner_same_program(const struct owner *a, const struct owner *b);

/* Whether strangers hold an answered want's socket together: others than the owner's program, its
 * workers (which may run as another user and go by names of their own), and the service manager,
 * which listens for its units and leaves it to them to accept. */
bool owner_want_is_mixed(const struct owner_want *want);

/* An owner as a batch names it. */
struct owner_ref {
    struct owner owner;
    uint32_t number; /* within this run, from 1 */
};

/* One more process that holds a shared socket. */
struct life_holder {
    uint64_t life;  /* number of the life */
    uint32_t owner; /* number of the owner; 0: those told before hold it no more, only those that
                       follow */
};

/* A life had another owner before: up to until_ms. It begins where the change before it ends; behind
 * the last one the life belongs to the owner that it has now. */
struct owner_change {
    uint64_t life;    /* number of the life */
    int64_t until_ms; /* first instant at which it was that owner's no more, record time;
                         TIME_UNKNOWN: what was told before does not hold, only what follows */
    uint32_t owner;   /* number of the owner, who was seen to hold it; 0: not known */
    uint32_t uid;     /* the socket's; UID_UNKNOWN */
};

/* The same as it comes from the file. */
struct stored_change {
    int64_t until_ms;
    struct owner owner; /* pid 0: not known */
};

struct owner_vec {
    VEC_FIELDS(struct owner_ref);
};
struct holder_vec {
    VEC_FIELDS(struct life_holder);
};
struct owner_change_vec {
    VEC_FIELDS(struct owner_change);
};
