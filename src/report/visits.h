/* SPDX-License-Identifier: MIT */
/* Which hours have to be looked through for the sockets of a few services. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "lookup.h"
#include "stored_life.h"
#include "tiers.h"

struct db;

struct visits {
    VEC_FIELDS(struct visit); /* ascending, none upon another */
};

/* The parts of [from_ms, until_ms] in which a complete snapshot may have seen a socket of the chosen
 * services: hours that are added up and have none of theirs are left out. Call it where there are few
 * services. 0 or a negative errno. */
int visits_find(struct visits *visits, struct db *db, const struct lookup *lookup,
                const struct kept *kept, int64_t from_ms, int64_t until_ms, struct err *err);
