/* SPDX-License-Identifier: MIT */
/* What fingers type that know netstat(8) and ss(8) of Linux, and what it is called here. */
#pragma once

#include "options.h"

struct context; /* context.h */

/* Ends with a zeroed one. */
extern const struct option_hint netstat_hints[];

/* Refuses letters of options as the value of -p, which is a protocol here, as in -antpl. Returns an
 * exit status. */
int netstat_hints_check(const struct context *ctx);
