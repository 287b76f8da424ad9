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

/* Whether its values are such as those of the target are, too. */
bool target_is_likely(const struct target *target, const struct record *record);

#define KEY_MAX 8

struct key {
    int64_t values[KEY_MAX];
    bool has; /* false: of no row yet */
};

/* Whether a row can follow the last one on its page, and takes its key as the last. */
bool target_follows(const struct target *target, const struct record *record, struct key *last);

/* Whether the new file has the row: 1, 0. */
int target_has(struct target *target, sqlite3 *db, const struct record *record, struct err *err);

/* 1: the row is in the new file; 0: it can't be, or another one has its key. */
int target_insert(struct target *target, sqlite3 *db, const struct record *record, struct err *err);
