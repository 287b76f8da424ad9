/* SPDX-License-Identifier: MIT */
/* The periods of a tier as the namespaces of a question had them, see the file's table netns_covers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "coverage_netns.h"
#include "tiers.h"

struct stmt;

struct netns_period {
    int64_t at_ms;       /* its begin */
    int64_t done;        /* snapshots that were complete in them */
    int64_t interrupted; /* others */
    int64_t first_ms;    /* the first complete one; meaningless if there is none */
    int64_t last_ms;     /* the last one */
    int64_t unkept;      /* sockets that were counted, not kept */
    unsigned details;    /* enum coverage_detail */
    bool apart;          /* its counts stand in netns_tallies, not in tally_rollups */
    bool some;           /* some snapshots were complete in some namespaces alone */
};

/* As grid_cut(), without the times in which none of them was recorded, and periods that reach into these. */
int netns_choice_cut(const struct netns_choice *choice, const struct grid *grid, int64_t from_ms,
                     int64_t end_ms, struct pieces *ret);

/* The periods of a tier that begin in [from_ms, end_ms), also backwards; stmt_free() *ret. */
int netns_periods_find(struct db *db, const struct netns_choice *choice, enum tier tier,
                       int64_t from_ms, int64_t end_ms, bool down, struct stmt **ret,
                       struct err *err);

/* The next one; 0: there is none. Of one in which several of them failed, or one and others were recorded,
 * nobody added up when all were complete: the snapshots that were complete everywhere are told. */
int netns_periods_next(struct stmt *stmt, const struct netns_choice *choice, enum tier tier,
                       struct netns_period *ret, struct err *err);
