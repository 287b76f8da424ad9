/* SPDX-License-Identifier: MIT */
/* Where saved rows go. */
#pragma once

#include "connhist/base/vec.h"
#include "repair.h"

struct targets {
    VEC_FIELDS(struct target *); /* owned, like each of them; tables, then indexes */
};

/* All tables and indexes of the new file whose rows can be saved. */
int targets_init(struct targets *targets, sqlite3 *db, struct err *err);
void targets_finish(struct targets *targets);

/* Whether a row can be one of it. */
bool target_fits(const struct target *target, const struct record *record);

/* 1: the row is in the new file; 0: it can't be, or another one has its key. */
int target_insert(struct target *target, sqlite3 *db, const struct record *record, struct err *err);
