/* SPDX-License-Identifier: MIT */
/* The last complete snapshot before an instant, and whether the record has a gap between the two: what
 * bounds an end from below. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct db;
struct stmt;

/* Times are record time. */
struct last {
    int64_t at_ms;     /* asked for */
    int64_t before_ms; /* the snapshot; TIME_UNKNOWN: none */
    bool gap;          /* it is further away than the record resolves, or there is none */
    bool at_snapshot;  /* a complete snapshot was taken at that very instant */
};

struct lasts {
    struct stmt *stmt; /* owned */
    struct last
        *recent; /* answers given, a place for each at_ms by its hash: sockets end in swarms;
                            owned */
};

/* Finish it also after an error. */
int lasts_init(struct lasts *lasts, struct db *db, struct err *err);
void lasts_finish(struct lasts *lasts);

/* *ret is valid until the next call. */
int lasts_before(struct lasts *lasts, int64_t at_ms, const struct last **ret, struct err *err);
