/* SPDX-License-Identifier: MIT */
/* The two ways to count: from the tallies, and from the sockets themselves. */
#pragma once

#include "connhist/base/err.h"
#include "connhist/report/trend.h"
#include "labels.h"
#include "lookup.h"
#include "sweep.h"

struct db;

/* Whether series are sums of counts that are kept one by one: of a sum a tier does not tell fewest and
 * most. 0 or -ENOMEM. */
int trend_adds_up(const struct lookup *lookup, struct labels *labels,
                  const struct trend_question *question, bool *ret);

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
