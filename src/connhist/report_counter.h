/* SPDX-License-Identifier: MIT */
/* connhist report --counter: one counter of the kernel over time. */
#pragma once

#include "context.h"

/* Answers --counter. Returns an exit status; complains itself. */
int report_counter(struct context *ctx);

/* Whether it is asked well, without a file. Returns an exit status; complains itself. */
int report_counter_check(struct context *ctx);
