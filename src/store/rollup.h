/* SPDX-License-Identifier: MIT */
/* Adds counts up: ticks to minutes, minutes to hours, hours to days. A tier is brought on by a range
 * of some periods at a time, a range service by service in steps. tiers.until_ms moves when all of a
 * range is there, so what a crash left half done is done again, with the same outcome. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/store/upkeep.h"

struct store;

/* When there was something to count: a complete snapshot, or a shorter period with some. */
struct moment {
    int64_t at_ms; /* its start */
    bool anchor;   /* a snapshot with all counts that are not 0 */
    bool partial;  /* one that was not complete everywhere: only its counts hold on */
    bool apart;    /* complete in some namespaces alone, or with such snapshots */
};

/* A namespace that no snapshot of a moment was complete in, though some were in others. */
struct rollup_lack {
    int64_t at_ms; /* of the moment */
    int64_t netns; /* netns.id */
};

struct rollup {
    int64_t until_ms[TIER_COUNT]; /* by tier + 1: tiers.until_ms */
    int64_t from_ms;              /* the range at work: begins where the tier ends */
    int64_t end_ms;               /* ... behind its last period */
    int64_t base_ms; /* the latest anchor before it: what it leaves out is 0; INT64_MIN: none */
    struct {
        VEC_FIELDS(struct moment);
    } moments; /* in the range, ascending; owned */
    struct {
        VEC_FIELDS(struct rollup_lack);
    } lacks;              /* in the range, by moment and namespace; owned */
    int64_t service;      /* the series of counts up to this service ... */
    int64_t state;        /* ... and this state of it are done */
    int64_t rate_service; /* ... and rates up to this service, after all counts */
    enum tier tier;       /* which; 0: no range is at work */
    bool is_known;        /* until_ms was read */
    bool counts_done;     /* all series of counts are done */
    bool apart;           /* one of the moments is */
};

/* What was not committed is begun again; memory is given back. */
void rollup_forget(struct rollup *rollup);

/* One step. 1: there is more to do; 0: nothing for now. */
int rollup_step(struct store *store, struct err *err);

/* Whether the rates of the period of a tier that an instant is in are added up already, or are being so
 * with those of the service among them: then what comes late must be added to it, too. */
int rollup_has_rates(struct store *store, enum tier tier, int64_t service, int64_t at_ms,
                     struct err *err);

/* How much a step does before it ends: rows that it may read, a written one counting as some. */
#define ROLLUP_STEP_ROWS 2000

/* Within the range at work, inside a transaction, from where it stands on. *rows: what may still be
 * done in this step. 1: there is more; 0: done to the end. */
int rollup_counts(struct store *store, int *rows, struct err *err);
int rollup_rates(struct store *store, int *rows, struct err *err);
