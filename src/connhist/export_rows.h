/* SPDX-License-Identifier: MIT */
/* connhist export: rows and samples in place of a file. */
#pragma once

#include <stdint.h>

#include "context.h"

/* The sockets of the span in ctx->format. Returns an exit status; complains itself. */
int export_sockets(struct context *ctx, int64_t since_ms, int64_t until_ms);

/* When there are samples: at the ends of steps. Wall times. */
struct metric_steps {
    int64_t since_ms;
    int64_t until_ms; /* the last step may be shorter */
    int64_t step_ms;
};

/* Counters of the kernel and of interfaces, as families of OpenMetrics. Returns an exit status;
 * complains itself. */
int export_counters(struct context *ctx, const struct metric_steps *steps);

/* The counts of the span, and the counters, for OpenMetrics; step_ms 0: a minute, or what a long span allows. */
int export_metrics(struct context *ctx, int64_t since_ms, int64_t until_ms, int64_t step_ms);
