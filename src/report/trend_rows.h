/* SPDX-License-Identifier: MIT */
/* The two ways to count: from the tallies, and from the sockets themselves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/report/trend.h"
#include "labels.h"
#include "lookup.h"
#include "sweep.h"

struct db;

/* How series of a question come from counts that are kept one by one. */
struct trend_sums {
    struct {
        VEC_FIELDS(int64_t);
    } cuts; /* where one goes over from the counts of a namespace to those of the next, as the recorder's own
                    does at a reboot; record time, ascending; owned */
    bool add_up; /* some are sums: of a sum a tier does not tell fewest and most */
};

/* For the time [from_ms, until_ms) of the record; finish *ret, which begins as {0}, also after an error. */
int trend_sums_find(struct trend_sums *ret, struct db *db, const struct lookup *lookup,
                    struct labels *labels, const struct trend_question *question, int64_t from_ms,
                    int64_t until_ms, struct err *err);
void trend_sums_finish(struct trend_sums *sums);

/* The coarsest tier that such a sum is read from: by periods of which a step has many, so that its bounds are near
 * and what is read grows with the steps of an answer, not with its time. */
enum tier trend_sums_tier(int64_t step_ms);

/* From tallies, of the tiers in the sweep's pieces: exact and quick, but they know no addresses and no owners. labels may be NULL where
 * the question does not tell namespaces apart. */
int trend_load(struct db *db, const struct lookup *lookup, const struct trend_question *question,
               struct labels *labels, struct sweep *sweep, struct err *err);

/* From lives and their states, counted at complete snapshots alone: there are no periods among the moments. *ret_unkept: as in struct trend;
 * it stays where there is nothing of that kind. */
int trend_load_lives(struct db *db, struct lookup *lookup, const struct trend_question *question,
                     struct labels *labels, const struct kept *kept, struct sweep *sweep,
                     int64_t *ret_unkept, struct err *err);

/* Puts series in order: by what they are, or ranked by their maximum. */
void trend_order(struct counted *items, size_t n, bool ranked, struct labels *labels);
