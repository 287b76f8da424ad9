/* SPDX-License-Identifier: MIT */
/* connhist export: rows and samples in place of a file. */
#pragma once

#include "context.h"

/* The sockets of the span in ctx->format. Returns an exit status; complains itself. */
int export_sockets(struct context *ctx, int64_t since_ms, int64_t until_ms);

/* The counts of the span for OpenMetrics; step_ms 0: a minute, or what a long span allows. */
int export_metrics(struct context *ctx, int64_t since_ms, int64_t until_ms, int64_t step_ms);
