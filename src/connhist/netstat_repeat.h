/* SPDX-License-Identifier: MIT */
/* INTERVAL: netstat's tables again and again. */
#pragma once

#include <stdint.h>

#include "context.h"

struct repetition {
    int64_t interval_ms; /* from the begin of one table to that of the next; 0: one table alone */
    uint64_t count;      /* tables in all; 0: no end but SIGINT */
};

/* Reads the word behind the options, and --count. Returns an exit status. */
int netstat_repeat_read(const struct context *ctx, struct repetition *ret);

/* Calls show(ctx, arg) again and again, with ctx->now_ms as it is then; each table is preceded by its
 * time, and written out before the next pause. Ends the program with EXIT_ANSWERED when SIGINT comes.
 * Returns the first exit status of show() that is another, or when its output is broken. */
int netstat_repeat(struct context *ctx, const struct repetition *repetition,
                   int (*show)(struct context *ctx, void *arg), void *arg);
