/* SPDX-License-Identifier: MIT */
/* A step of pruning, and the parts of a tier that are about counters, interfaces and routes. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "retention.h"
#include "writer.h"

#define STEP_ROWS 400 /* removed in a step, about, and by one statement at most */

struct step {
    struct store *store;
    struct prune_tier *tier;
    int number; /* of the tier */
    int64_t rows, visits;
    int64_t times; /* it is as large as so many */
};

/* A part of which each group of rows is found by two numbers. 1: all is gone. */
int prune_groups(struct step *step, enum writer_stmt next, const char *next_sql,
                 enum writer_stmt drop, const char *drop_sql, struct err *err);

/* Each: 1: all is gone that is older than the tier's from_ms; 0: there is more; or a negative errno. */
int prune_readings(struct step *step, struct err *err);
int prune_counters(struct step *step, struct err *err);
int prune_counter_rollups(struct step *step, struct err *err);
int prune_counter_cover(struct step *step, struct err *err);
int prune_interfaces(struct step *step, struct err *err);
int prune_routes(struct step *step, struct err *err);
