/* SPDX-License-Identifier: MIT */
/* Counts by the minute, computed from the counts as they came while these are gone through, and compared with what
 * the file says of each minute. Takes memory for the counts that are not 0 at a time. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct minutes;

/* fn is given each count of a minute that differs, by its service and state; both 0: how many snapshots there were. Below 0
 * it ends the comparison. Minutes are compared from the first one on that begins at or after begin_ms. *ret NULL: there are none
 * to compare, or the file was repaired, and what lacks is told by that. */
int minutes_new(sqlite3 *db, int64_t begin_ms,
                int (*fn)(void *arg, int64_t at_ms, int64_t service, int64_t state), void *arg,
                struct minutes **ret, struct err *err);
void minutes_free(struct minutes *minutes);

/* All of them accept NULL. A count holds from now on; state is below 16. */
int minutes_count(struct minutes *minutes, int64_t service, int64_t state, int64_t count,
                  struct err *err);

/* Counts that follow are all that are not 0. */
void minutes_anchor(struct minutes *minutes);

/* Before what came at or after an instant: minutes that ended before it are compared. */
int minutes_reach(struct minutes *minutes, int64_t at_ms, struct err *err);

/* After the counts of a snapshot. */
void minutes_snapshot(struct minutes *minutes, bool complete);
