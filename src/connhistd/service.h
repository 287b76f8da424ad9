/* SPDX-License-Identifier: MIT */
/* The recorder as a service: from configuration to a running recorder, until a signal ends it. */
#pragma once

#include "connhist/base/err.h"
#include "options.h"

/* Exit statuses of connhistd. */
#define EXIT_USAGE  2 /* wrong usage or configuration */
#define EXIT_CANNOT 3 /* the file can't be recorded into, or the kernel not be read */

/* Runs until SIGTERM, SIGINT, or the count of ticks is done. Returns the exit status; what went
 * wrong was logged. Blocks the signals it handles. */
int service_run(const struct daemon_options *options);
