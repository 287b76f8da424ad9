/* SPDX-License-Identifier: MIT */
/* How coverage is found out: stretches between complete snapshots are looked at one after the other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/coverage.h"
#include "coverage_netns.h"
#include "losses.h"
#include "recordings.h"

/* A complete snapshot at one side of a possible gap. */
struct mark {
    int64_t at_ms;         /* record time; meaningful only if run is there */
    const struct run *run; /* NULL: there is none on this side */
};

struct survey {
    struct db *db;
    const struct walltime *walltime;
    struct netns_choice netns;  /* owned */
    int64_t from_ms;            /* record time */
    int64_t until_ms;           /* record time */
    struct runs runs;           /* owned */
    struct noted_losses losses; /* owned */
    struct mark last;           /* the complete snapshot before the stretch that is looked at */
    bool interrupted;           /* snapshots failed since then */
    struct coverage coverage;   /* as far as known; owned */
};

void survey_finish(struct survey *survey);

/* Sets the run of a mark. -EBADMSG: the file has no such run. */
int survey_find_run(const struct survey *survey, int64_t id, struct mark *mark, struct err *err);

/* Looks at the stretch from survey->last to the next complete snapshot. 0 or -ENOMEM. */
int survey_pass(struct survey *survey, const struct mark *next);

/* Looks at what is behind survey->last, the last one of the file. 0 or -ENOMEM. */
int survey_pass_end(struct survey *survey);

/* Adds what was lost, sums up, and hands the coverage out. */
int survey_end(struct survey *survey, struct coverage *ret, struct err *err);
