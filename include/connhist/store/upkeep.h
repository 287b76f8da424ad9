/* SPDX-License-Identifier: MIT */
/* What keeps the file small and its answers quick: counts are added up by minute, hour and day, what
 * is too old or too much is removed, space is given back. All in steps, between batches, on the
 * thread that writes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct store;

/* What is kept, from the finest to the coarsest; the numbers are those of `tiers` in the file. */
enum tier {
    TIER_DETAIL = -1, /* sockets one by one, with their snapshots */
    TIER_TICKS = 0,   /* counts as they came */
    TIER_MINUTES = 1,
    TIER_HOURS = 2,
    TIER_DAYS = 3,
};

#define TIER_COUNT 5 /* index of a tier in an array: tier + 1 */

/* Length of a period in ms; 0 for detail and ticks. */
int64_t tier_length_ms(enum tier tier);

/* "detail", "ticks", "minutes", "hours", "days". */
const char *tier_name(enum tier tier);

struct store_retention {
    int64_t max_bytes;          /* of database, -wal and -shm together; 0: no bound */
    int64_t wal_bytes;          /* what of it is reserved for the -wal */
    int64_t age_ms[TIER_COUNT]; /* what is older goes, by tier + 1; 0: never */
};

/* From now on; before, nothing is removed. Nothing is written yet. */
void store_set_retention(struct store *store, const struct store_retention *retention);

/* One step of a few milliseconds in a transaction of its own: what is most urgent. now_ms: record
 * time, not before the last batch. Returns 1: there is more to do; 0: nothing for now; errors as
 * store_write(), after which it may be called again. Whatever it was doing when the program died, the
 * file is whole, and the next run goes on with it. */
int store_upkeep(struct store *store, int64_t now_ms, struct err *err);
