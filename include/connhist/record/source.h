/* SPDX-License-Identifier: MIT */
/* Where samples come from: the live kernel, or whatever a test makes up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/model/closing.h"
#include "connhist/model/counting.h"
#include "connhist/model/owner.h"
#include "connhist/model/sample.h"
#include "connhist/model/service.h"

/* As in kernel/sock_diag.h: valid during the call; a negative return ends the dump. */
typedef int (*source_sample_fn)(void *arg, const struct sample *sample);

/* Gets each destroy event; valid during the call. */
typedef void (*source_closing_fn)(void *arg, uint32_t netns, const struct closing *closing);

struct tunnel_port;

struct source_drained {
    bool lost; /* events were lost before those that were read */
    bool more; /* the bound was reached, others may wait */
};

/* What holds for one namespace now. */
struct netns_facts {
    int64_t fin_timeout_ms; /* how long a mini-socket in FIN_WAIT2 may wait */
    uint64_t
        time_wait_dropped; /* TIME_WAITs given up before their time, ever (a counter); 0: not known */
    struct port_range ephemeral;
    bool known; /* false: nothing happened in the namespace, and it was not asked */
};

struct source_state {
    size_t n_netns;             /* namespaces that are recorded, with the own one */
    size_t event_buffer;        /* the own namespace's receive buffer for events, bytes */
    size_t event_buffer_others; /* that of each other one, the smallest; 0: there is none */
    unsigned lacks;             /* enum netns_lack */
    char lack[160];             /* with NETNS_LACKS_SOME: words about the latest failure */
};

struct source_ops {
    /* The namespaces to dump at this tick, the own one first; *ret stays valid until the next call.
     * 0 or negative errno. */
    int (*namespaces)(void *ctx, const struct netns_ref **ret, size_t *ret_n, struct err *err);
    /* What follows until leave() is about this namespace, one of those above. -ENOENT: it has gone
     * meanwhile; others: it can't be dumped now. After an error leave() is not called. */
    int (*enter)(void *ctx, const struct netns_ref *netns, struct err *err);
    int (*leave)(void *ctx, struct netns_facts *ret, struct err *err);
    /* One pass over a namespace's sockets of one protocol. 0: complete; negative errno: whatever
     * was delivered is true, but nothing may be concluded from absence. */
    int (*dump)(void *ctx, const struct netns_ref *netns, enum protocol protocol, bool want_info,
                source_sample_fn fn, void *arg, struct err *err);
    /* Sets the opener of n TCP samples of one namespace where it can be told. */
    int (*ask_info)(void *ctx, const struct netns_ref *netns, struct sample *samples, size_t n,
                    struct err *err);
    /* Why a namespace is not among those of the latest namespaces(), though it was before or in an
     * earlier run. NETNS_RECORDED: it is. */
    enum netns_standing (*absence)(void *ctx, const struct netns_ref *netns);
    /* To be called between ticks: lets go of namespaces that have gone, for what holds one keeps its
     * devices alive too. *ret_gone: some have; drain() has their last events. Returns in how many ms
     * it wants to be called again; -1: not before the next namespaces(). */
    int (*watch)(void *ctx, bool *ret_gone);
    /* For status. */
    void (*state)(void *ctx, struct source_state *ret);
    /* Readable when destroy events wait; -1: this source has none, and the three ops below are not
     * called. */
    int (*events_fd)(void *ctx);
    /* The receive buffer for events of the own namespace, and the smallest of the others (0: there are
     * none), bytes; any thread. */
    size_t (*event_buffer)(void *ctx, size_t *ret_others);
    /* Reads about max events that wait, never blocks. One thread at a time, but any. */
    int (*drain)(void *ctx, source_closing_fn fn, void *arg, size_t max, struct source_drained *ret,
                 struct err *err);

    /* Fills in the answers of n wants (0: nothing is wanted any more), whose inodes are the host's.
     * recheck: owners are known, and held against what is now: a little work is enough. What the
     * answers point to stays until the next call. NULL: this source has no owners. */
    void (*owners)(void *ctx, struct owner_want *wants, size_t n, bool recheck);
    /* The ports of the namespace that was entered at which the kernel itself listens: how many, or a
     * negative errno. NULL: not known. */
    int (*kernel_ports)(void *ctx, struct tunnel_port *ret, size_t max);
    /* Adds counters, interfaces or routes of the namespace that was entered; what: bits of enum
     * counted_part. What can't be read is added to ret->lacks. NULL: this source has none. */
    void (*counters)(void *ctx, unsigned what, struct counted_tables *ret);
    /* Whether interfaces or routes of the namespace that was entered may have changed since it was asked
     * last. NULL: nobody tells. */
    bool (*tables_changed)(void *ctx);
    /* Tells which sockets have closed, before owners() is asked: new ones may be in their place. NULL: it
     * does not matter. */
    void (*gone)(void *ctx, const uint32_t *inodes, size_t n);
    /* Whether a process is still what it was: 0; 1: it goes by another name; -ESRCH: it ended. NULL
     * where owners is. */
    int (*check_owner)(void *ctx, const struct owner *owner);
    void (*free)(void *ctx);
};

struct source {
    const struct source_ops *ops;
    void *ctx; /* handed to each op; owned by the source, see source_finish() */
};

struct source_live_options {
    const struct clock *clock;
    size_t event_buffer_bytes;  /* of all namespaces together; 0: no events */
    const char *const *include; /* shell patterns of the names, or inode:N, of namespaces besides
                                   the own one */
    size_t n_include;           /* 0: the own namespace alone */
    const char *const *exclude; /* likewise; goes before include */
    size_t n_exclude;
};

/* The live kernel: the calling thread's network namespace, and others where that is allowed; use it
 * on one thread at a time, which is back in its own namespace after each op but between enter() and
 * leave(). What options point to must outlive it. */
int source_live(const struct source_live_options *options, struct source *ret, struct err *err);

/* Frees ctx by ops->free; a zeroed source is left alone. */
void source_finish(struct source *source);
