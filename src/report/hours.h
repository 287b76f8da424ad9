/* SPDX-License-Identifier: MIT */
/* Which closed sockets a search passes over: the file tells of most hours which ports, addresses and
 * owners closed in them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/filter.h"
#include "visits.h"

struct db;

/* Appends the times in which nothing closed that the filter is about, of those that may have been alive
 * in [from_ms, until_ms] of record time, ascending and apart. ports_only: by its ports, whatever else it
 * asks for. What it finds is right for closings by the time in their key. 0 or a negative errno. */
int hours_find(struct visits *skips, struct db *db, const struct filter *filter, bool ports_only,
               int64_t from_ms, int64_t until_ms, struct err *err);
