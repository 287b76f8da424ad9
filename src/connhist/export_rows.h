/* SPDX-License-Identifier: MIT */
/* connhist export: rows and samples in place of a file. */
#pragma once

#include <stdint.h>

#include "connhist/report/filter.h"

#include "context.h"

/* All are of the namespaces that the filter's netns asks for: nothing else of it counts. */

/* The sockets of the span in ctx->format. Returns an exit status; complains itself. */
int export_sockets(struct context *ctx, const struct filter *filter, int64_t since_ms,
                   int64_t until_ms);

/* When there are samples: at the ends of steps. Wall times. */
struct metric_steps {
    int64_t since_ms;
    int64_t until_ms; /* the last step may be shorter */
    int64_t step_ms;
};

/* Counters of the kernel and of interfaces, as families of OpenMetrics. Returns an exit status;
 * complains itself. */
int export_counters(struct context *ctx, const struct filter *filter,
                    const struct metric_steps *steps);

/* The counts of the span, and the counters, for OpenMetrics; step_ms 0: a minute, or what a long span allows. */
int export_metrics(struct context *ctx, const struct filter *filter, int64_t since_ms,
                   int64_t until_ms, int64_t step_ms);
