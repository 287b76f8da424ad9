/* SPDX-License-Identifier: MIT */
/* connhistd --check and --repair. */
#pragma once

#include "options.h"

#define EXIT_FAULTS 1 /* --check found some; --repair lost some */

/* Returns the exit status; findings go to standard output, complaints to standard error. */
int upkeep_run(const struct daemon_options *options);
