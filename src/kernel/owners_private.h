/* SPDX-License-Identifier: MIT */
/* What the files of the owner finder share. Each look has a number; a process answers for the sockets
 * first asked for at look k once a pass over all its descriptors that began at k or later is done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroup_tree.h"
#include "connhist/base/clock.h"
#include "connhist/base/vec.h"
#include "connhist/kernel/owners.h"
#include "connhist/kernel/process.h"

#define HOLDERS_MAX 65   /* the owner and 64 others */
#define MEMBERS_MAX 1024 /* processes looked at for all holders of one socket */
#define VISIT_COST  8    /* what opening a process counts for, in descriptors */

/* Facts about a process, or of a cgroup alone, as of this look. */
struct facts {
    struct owner owner;
    uint64_t cgroup; /* cgroup v2 id; 0: not known */
    uint32_t ppid;
    char strings[]; /* what owner points to */
};

/* A descriptor of a process as it was seen last, in its table: the inode of a socket, or these. */
#define DESCRIPTOR_FREE  0          /* none has this number */
#define DESCRIPTOR_OTHER UINT32_MAX /* no socket */

/* One process that /proc shows. */
struct process {
    struct {
        VEC_FIELDS(uint32_t); /* by number, DESCRIPTORS_KEPT at most; of owners with many alone */
    } table;
    uint64_t ino;        /* of the directory /proc/PID: another number is another process */
    uint64_t scanned;    /* look at which the last whole pass began; 0: none */
    uint64_t began;      /* look at which the pass under way began; 0: none is */
    uint64_t pass_ino;   /* ino during that pass */
    int64_t position;    /* of the directory, where that pass goes on */
    int64_t tail;        /* the same, of the last descriptor that was seen; 0: none was */
    uint64_t owned;      /* look at which it was last an answer; 0: never */
    uint64_t cgroup;     /* cgroup v2 id then */
    uint64_t listed;     /* listing that last showed it */
    uint64_t facts_look; /* look that facts are of */
    struct facts *facts; /* the finder's; NULL: it has ended */
    uint32_t pid;
    uint32_t uid; /* effective; UID_UNKNOWN until visited */
    uint32_t
        size; /* descriptors, as of the last whole pass, or as the kernel tells; 0: not known */
    uint32_t counted; /* in the pass under way */
    uint32_t next;    /* number behind the last that the pass under way saw */
    bool denied;      /* its descriptors can't be read */
    bool hollow;      /* a kernel thread */
};

struct holder {
    int64_t start_ms;
    uint32_t pid;
};

/* A socket asked for, until it is answered. */
struct pending {
    struct {
        VEC_FIELDS(struct holder);
    } holders;            /* HOLDERS_MAX: the oldest, and the hint */
    uint64_t first_asked; /* look */
    uint32_t inode;
    uint32_t hint;   /* the latest want's */
    bool all;        /* all holders are wanted */
    bool everywhere; /* and may be in any process: a manager has it, or that was asked for */
    bool answered;   /* asked for again, it is another question */
};

struct pendings {
    VEC_FIELDS(struct pending);
    uint32_t *slots; /* owned; hash of inodes: index + 1 into items, 0: empty */
    uint32_t mask;   /* slots - 1, a power of two less one */
};

struct owner_finder {
    struct cgroup_tree tree;
    struct clock clock;
    struct pendings pendings;
    struct {
        VEC_FIELDS(struct process *); /* owned; by pid */
    } processes;
    struct {
        VEC_FIELDS(void *); /* owned: facts, and arrays of others */
    } answers;              /* of this look */
    struct {
        VEC_FIELDS(struct facts *); /* borrowed from answers */
    } cgroups;                      /* of this look: those asked for alone */
    struct process_facts *scratch;  /* owned; too large for the stack */
    uint64_t *gone;                 /* owned; a bit for each hash of an inode, GONE_BITS */
    struct owner_looked looked;     /* of this look */
    int64_t deadline_ns;            /* CLOCK_BOOTTIME */
    int64_t kept_ns;                /* added to it for the choice */
    uint64_t look;                  /* number of this look, from 1 */
    uint64_t listing;               /* number of the last listing of /proc */
    size_t listed;                  /* processes that it showed */
    uint32_t n_gone;                /* inodes in gone */
    uint32_t budget;                /* descriptors for this look */
    uint32_t left;                  /* of these */
    uint32_t unsolved;              /* pendings without which the look can't end early */
    int proc_fd;                    /* owned */
    bool hides;                     /* this /proc does not show everyone */
    bool late;                      /* the time is over */
};

/* Processes (process_table.c). */

/* The process with this pid, whether it exists or not; NULL: no memory. Valid until the next listing. */
struct process *process_get(struct owner_finder *finder, uint32_t pid);

/* Reads the list of processes anew and forgets those that have ended. */
int process_list(struct owner_finder *finder);

void process_forget_all(struct owner_finder *finder);

/* Pendings (pendings.c). */

struct pending *pending_find(const struct pendings *pendings, uint32_t inode);

/* Replaces the pendings by those of the wants; those asked for before keep what is known. */
int pendings_renew(struct owner_finder *finder, const struct owner_want *wants, size_t n);

void pendings_finish(struct pendings *pendings);

/* Whether a look must go on for it. */
bool pending_is_unsolved(const struct pending *pending);

/* A process that holds it. 0 or -ENOMEM. */
int pending_add_holder(struct pending *pending, struct holder holder);

/* The order (order.c). */

/* Looks through processes until all is solved or the work is over, in the order that owners.h
 * describes. 0 or a negative errno. */
int order_look_through(struct owner_finder *finder, const struct owner_want *wants, size_t n);

/* Descriptors (descriptors.c). */

static inline bool work_is_over(const struct owner_finder *finder)
{
    return finder->late || finder->left == 0;
}

/* Passes over the process's descriptors with at most `most` of the budget, and notes which pendings it
 * holds. 1: the pass is done, or there is nothing to pass over; 0: it is to be gone on with; or a
 * negative errno. */
int process_scan(struct owner_finder *finder, struct process *process, uint32_t most);

/* The same, but only begins a pass if the process has no more than `most` descriptors, as far as that can
 * be told (Linux 6.2); notes its size otherwise. */
int process_scan_small(struct owner_finder *finder, struct process *process, uint32_t most);

/* Notes what a descriptor was seen to be: an inode, DESCRIPTOR_FREE or DESCRIPTOR_OTHER. Without memory
 * less is known, and that is all. */
void table_note(struct process *process, uint32_t number, uint32_t what);

/* A pass over a process has ended: the table is kept if it is worth it. */
void table_settle(struct process *process, bool holds_wanted);

/* Frees the descriptors whose sockets are gone, in all tables. */
void table_sweep(struct owner_finder *finder);

/* Where there is a table: looks at the descriptors that had what is wanted, and at numbers that were free,
 * from the lowest, since that is the next that the kernel gives. No pass in itself. 0 or a negative errno. */
int process_scan_known(struct owner_finder *finder, struct process *process, uint32_t most);

/* Looks at the descriptors with higher numbers than those seen in the last pass: where a process that grows
 * has its new ones. No pass in itself. 0 or a negative errno. */
int process_scan_tail(struct owner_finder *finder, struct process *process, uint32_t most);

/* Facts (facts.c). */

/* Those of this look; read if need be. 0 and NULL: the process has ended. */
int facts_of(struct owner_finder *finder, uint32_t pid, const struct facts **ret);

/* Those of a cgroup alone. 0 and NULL: it is not known. */
int facts_of_cgroup(struct owner_finder *finder, uint64_t cgroup, uint32_t uid,
                    const struct owner **ret);

/* Forgets those of the last look. */
void facts_clear(struct owner_finder *finder);

/* The choice (holders.c). */

/* Answers a want whose pending has holders: OWNER_FOUND, or OWNER_LATER where more work is needed than
 * is left. covered: every process was passed over since it was first asked. */
int holders_settle(struct owner_finder *finder, struct pending *pending, struct owner_want *want,
                   bool covered);
