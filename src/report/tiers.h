/* SPDX-License-Identifier: MIT */
/* What of a span is read from which tier of the file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/report/walltime.h"
#include "connhist/store/upkeep.h"

struct db;

/* The file's table `tiers`, by tier + 1. */
struct kept {
    int64_t from_ms[TIER_COUNT];  /* all since is there; 0: nothing was removed */
    int64_t until_ms[TIER_COUNT]; /* added up so far; of detail and ticks INT64_MAX */
};

/* A file of an earlier edition has detail and ticks, and minutes of rates alone. */
int kept_load(struct kept *ret, struct db *db, struct err *err);

/* What is read from one tier, on the record's clock: periods that begin in [from_ms, end_ms); of
 * detail and ticks the snapshots in it. */
struct piece {
    enum tier tier;
    int64_t from_ms;
    int64_t end_ms;
};

struct pieces {
    VEC_FIELDS(struct piece); /* ascending, none upon another */
};

/* What an answer asks of periods. */
struct grid {
    const struct walltime *walltime; /* not owned */
    const struct kept *kept;         /* not owned */
    const int64_t *cuts;             /* on the record's clock: a period with one of them behind its
                                        begin is not taken where a finer one is there; not owned */
    size_t n_cuts;
    int64_t since_ms;   /* begin of the first bucket, wall time */
    int64_t until_ms;   /* end of the last one, wall time */
    int64_t step_ms;    /* width of a bucket; 0: there are none */
    enum tier finest;   /* TIER_DETAIL: nothing but snapshots of which there is detail;
                                        TIER_TICKS; TIER_MINUTES: rates, whose minutes are there at once */
    bool any_shift;     /* whatever the wall clock was */
    enum tier coarsest; /* none longer is taken where a finer one is there */
};

/* Adds the pieces of [from_ms, end_ms) (record time) to ret: whole periods of the coarsest tier that
 * lie in one bucket, and where the wall clock was a multiple of their length apart from the record's
 * (within 1/60 of it); finer ones elsewhere, as far as they are there, else the period in whose span the middle of
 * the coarser one lies. 0 or -ENOMEM. */
int grid_cut(const struct grid *grid, int64_t from_ms, int64_t end_ms, struct pieces *ret);

/* Takes time down to a multiple of a length, also before 1970. */
int64_t floor_to(int64_t ms, int64_t length_ms);

/* The wall time in the middle of a period: by this it is told. */
int64_t period_middle(const struct walltime *walltime, enum tier tier, int64_t at_ms);

/* Wall time until_ms, taken up to the end of the period that it lies in where nothing finer is kept there: the end
 * of a span of the record that begins at from_ms. Since only what is whole is added up, that is never to come. */
int64_t kept_end(const struct kept *kept, const struct walltime *walltime, enum tier finest,
                 int64_t from_ms, int64_t until_ms);

/* The finest tier that is kept at an instant of the record, not finer than `finest`. */
enum tier kept_finest(const struct kept *kept, enum tier finest, int64_t at_ms);
