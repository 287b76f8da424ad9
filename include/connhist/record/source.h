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
#include "connhist/model/sample.h"
#include "connhist/model/service.h"

/* As in kernel/sock_diag.h: valid during the call; a negative return ends the dump. */
typedef int (*source_sample_fn)(void *arg, const struct sample *sample);

/* Gets each destroy event; valid during the call. */
typedef void (*source_closing_fn)(void *arg, uint32_t netns, const struct closing *closing);

struct source_drained {
    bool lost; /* events were lost before those that were read */
    bool more; /* the bound was reached, others may wait */
};

struct source_ops {
    /* The namespaces to dump at this tick; *ret stays valid until the next call. 0 or negative
     * errno. */
    int (*namespaces)(void *ctx, const struct netns_ref **ret, size_t *ret_n, struct err *err);
    /* One pass over a namespace's sockets of one protocol. 0: complete; negative errno: whatever
     * was delivered is true, but nothing may be concluded from absence. */
    int (*dump)(void *ctx, const struct netns_ref *netns, enum protocol protocol, bool want_info,
                source_sample_fn fn, void *arg, struct err *err);
    /* Sets the opener of n TCP samples of one namespace where it can be told. */
    int (*ask_info)(void *ctx, const struct netns_ref *netns, struct sample *samples, size_t n,
                    struct err *err);
    /* The ephemeral range now. */
    void (*ephemeral)(void *ctx, struct port_range *ret);
    /* Readable when destroy events wait; -1: this source has none, and the three ops below are not
     * called. */
    int (*events_fd)(void *ctx);
    /* The receive buffer for events that was got, bytes. */
    size_t (*event_buffer)(void *ctx);
    /* Reads about max events that wait, never blocks. One thread at a time, but any. */
    int (*drain)(void *ctx, source_closing_fn fn, void *arg, size_t max, struct source_drained *ret,
                 struct err *err);
    /* How many TIME_WAIT sockets the kernel dropped before their time, ever (a counter); 0: not
     * known. */
    uint64_t (*time_wait_dropped)(void *ctx);

    /* How long a mini-socket in FIN_WAIT2 may wait now, ms. */
    int64_t (*fin_timeout_ms)(void *ctx);
    void (*free)(void *ctx);
};

struct source {
    const struct source_ops *ops;
    void *ctx; /* handed to each op; owned by the source, see source_finish() */
};

/* The live kernel, in the calling thread's network namespace; use it on one thread alone. clock
 * must outlive it. */
int source_live(const struct clock *clock, size_t event_buffer_bytes, struct source *ret,
                struct err *err);

/* Frees ctx by ops->free; a zeroed source is left alone. */
void source_finish(struct source *source);
