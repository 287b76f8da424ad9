/* SPDX-License-Identifier: MIT */
/* What takes how much room in a file, without reading all of it. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"

struct db;

enum size_part {
    SIZE_DETAIL, /* sockets one by one, and the snapshots */
    SIZE_TICKS,  /* counts as they came */
    SIZE_MINUTES,
    SIZE_HOURS,
    SIZE_DAYS,
    SIZE_NAMES, /* services, owners, addresses … that the others refer to */
    SIZE_REST,
    SIZE_FREE, /* given back to the file system bit by bit */
    SIZE_PARTS
};

/* "detail", "ticks" … */
const char *size_part_name(enum size_part part);

/* Bytes of each part, together the database's pages; between db_begin() and db_end(). Counts the pages
 * of each tree in the pages above them, some in a thousand of all. */
int sizes_measure(struct db *db, int64_t ret[SIZE_PARTS], struct err *err);
