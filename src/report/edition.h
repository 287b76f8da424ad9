/* SPDX-License-Identifier: MIT */
/* What a file of an older edition can't tell: it is read as it is, never changed. */
#pragma once

#include <stdbool.h>

#include "connhist/store/db.h"

/* Whether the file has columns for what the kernel told of closed sockets: edition 2 brought them.
 */
static inline bool edition_has_events(const struct db *db)
{
    return db_edition(db) >= 2;
}

/* Whether it has tiers, pauses and prunings: edition 3 brought them. */
static inline bool edition_has_tiers(const struct db *db)
{
    return db_edition(db) >= 3;
}

/* Whether the file has counters, interfaces and routes: edition 4 brought them. */
static inline bool edition_has_counters(const struct db *db)
{
    return db_edition(db) >= 4;
}
