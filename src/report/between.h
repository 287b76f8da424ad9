/* SPDX-License-Identifier: MIT */
/* Whether a complete snapshot lies between two instants. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/coverage.h"

struct db;
struct stmt;

struct between {
    const struct snapshot_times *times; /* those that count; NULL: all of the file; not owned */
    struct stmt *stmt;                  /* owned */
};

/* times is set before. */
int between_init(struct between *between, struct db *db, struct err *err);
void between_finish(struct between *between);

/* In [first_ms, second_ms) of record time: 1, 0 or a negative errno. */
int between_seen(struct between *between, int64_t first_ms, int64_t second_ms, struct err *err);
