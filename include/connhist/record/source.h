/* SPDX-License-Identifier: MIT */
/* Where samples come from: the live kernel, or whatever a test makes up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/model/sample.h"
#include "connhist/model/service.h"

/* As in kernel/sock_diag.h: valid during the call; a negative return ends the dump. */
typedef int (*source_sample_fn)(void *arg, const struct sample *sample);

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
    void (*free)(void *ctx);
};

struct source {
    const struct source_ops *ops;
    void *ctx; /* handed to each op; owned by the source, see source_finish() */
};

/* The live kernel, in the calling thread's network namespace; use it on one thread alone. clock
 * must outlive it. */
int source_live(const struct clock *clock, struct source *ret, struct err *err);

/* Frees ctx by ops->free; a zeroed source is left alone. */
void source_finish(struct source *source);
