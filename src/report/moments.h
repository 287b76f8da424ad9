/* SPDX-License-Identifier: MIT */
/* When counts were taken: at complete snapshots, or added up over periods. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/report/coverage.h"
#include "tiers.h"

struct db;
struct netns_choice;

/* A period with complete snapshots. */
struct period {
    size_t at;        /* which of the moments it is */
    int64_t first_ms; /* its first complete snapshot, record time */
    int64_t last_ms;  /* its last one */
    int64_t done;     /* how many */
    enum tier tier;
    bool apart; /* its counts are those of single namespaces: netns_tallies */
};

struct moments {
    struct snapshot_times
        times; /* snapshots, and begins of periods, record time, ascending; owned */
    struct {
        VEC_FIELDS(struct period);
    } periods;            /* those that are periods, ascending; owned */
    struct pieces pieces; /* where they were read; owned */
};

/* Those of moments->pieces, in which something was recorded. netns: those that are complete in these; NULL: in all. */
int moments_load(struct moments *moments, struct db *db, const struct netns_choice *netns,
                 struct err *err);
void moments_finish(struct moments *moments);

/* The first complete snapshot of one, record time. */
int64_t moments_first(const struct moments *moments, size_t at);

/* The last complete snapshot in them, record time; there is at least one moment. */
int64_t moments_last(const struct moments *moments);

/* The first period not before a moment; periods.n: none. */
size_t moments_period(const struct moments *moments, size_t at);

/* The coarsest tier that was read from. */
enum tier moments_coarsest(const struct moments *moments);
