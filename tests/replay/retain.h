/* SPDX-License-Identifier: MIT */
/* The command `retain MAX_BYTES WAL_BYTES DETAIL TICKS MINUTES HOURS DAYS`: what is kept from now on; ages in
 * ms, 0: for ever. It prints `retained` when all before it was done. */
#pragma once

#include <stdbool.h>

#include "connhist/record/recorder.h"

/* Whether the line was that command. recorder: the one that runs, or NULL. */
bool retain_obey(struct store_retention *retention, struct recorder *recorder, const char *line);
