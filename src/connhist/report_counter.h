/* SPDX-License-Identifier: MIT */
/* connhist report --counter, and the counters beneath other reports. */
#pragma once

#include <stdint.h>

#include "connhist/report/filter.h"

#include "context.h"

/* Answers --counter. Returns an exit status; complains itself. */
int report_counter(struct context *ctx);

/* Whether it is asked well, without a file. Returns an exit status; complains itself. */
int report_counter_check(struct context *ctx);

/* For people: a line for each counter that explains sockets and moved in a span (wall time), behind
 * the report of ports. protocol: enum protocol; 0: any. */
void report_counters_beneath(const struct context *ctx, const struct filter *filter,
                             int64_t since_ms, int64_t until_ms);
