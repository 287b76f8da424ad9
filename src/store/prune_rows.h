/* SPDX-License-Identifier: MIT */
/* A step of pruning, and the parts of a tier that are about counters, interfaces and routes. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "retention.h"
#include "writer.h"

#define STEP_ROWS   400 /* removed in a step, about, and by one statement at most */
#define STEP_VISITS 200 /* services and the like that a step looks at */

struct step {
    struct store *store;
    struct prune_tier *tier;
    int number; /* of the tier */
    int64_t rows, visits;
    int64_t from_ms; /* what is older goes */
    int64_t times;   /* it is as large as so many */
};

/* Groups of rows that are each found by two numbers. The statements are bound to those (at first -1), the tier, and but
 * for next_sql the time before which rows go, and how many at a time, about. */
struct prune_group {
    const char *next_sql; /* the numbers of the group behind */
    const char
        *hanging_sql;      /* removes what hangs on rows that go, before them; NULL: nothing does */
    const char *drop_sql;  /* removes rows of the group, the oldest first */
    enum writer_stmt next; /* where the statements are kept */
    enum writer_stmt hanging; /* likewise */
    enum writer_stmt drop;    /* likewise */
    int visits;               /* so many further ones a group is as dear as */
};

/* 1: all is gone. */
int prune_groups(struct step *step, const struct prune_group *group, struct err *err);

/* Each: 1: all is gone that is older than the tier's from_ms; 0: there is more; or a negative errno. */
int prune_readings(struct step *step, struct err *err);
int prune_counters(struct step *step, struct err *err);
int prune_counter_hours(struct step *step, struct err *err);
int prune_counter_days(struct step *step, struct err *err);
int prune_counter_cover(struct step *step, struct err *err);
int prune_interfaces(struct step *step, struct err *err);
int prune_routes(struct step *step, struct err *err);
