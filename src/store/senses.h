/* SPDX-License-Identifier: MIT */
/* What must hold of the rows of a file beyond what SQLite knows: to check a file by, and to mend one. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct sense {
    const char *table;
    const char *words; /* what is wrong, behind "N rows" */
    const char *bad;   /* condition of the rows in which it is */
    const char *mend;  /* what makes it right; NULL: such rows are removed */
    int edition;       /* the first one that this holds for */
    bool check_only;   /* what it is compared with may be what is wrong: not to be mended */
};

/* In the order in which they are mended: what a later one rests on comes first. */
extern const struct sense senses[];
extern const size_t senses_n;

/* The functions that the conditions use. */
int senses_register(sqlite3 *db, struct err *err);

/* How many rows are wrong. */
int senses_count(sqlite3 *db, const struct sense *sense, int64_t *ret, struct err *err);

#define SENSES_PLACE_MAX 200

/* Names the first of them by its key, as "service 1, state 6"; "" if there is none. */
int senses_place(sqlite3 *db, const struct sense *sense, char ret[static SENSES_PLACE_MAX],
                 struct err *err);

/* Mends them. */
int senses_mend(sqlite3 *db, const struct sense *sense, struct err *err);

/* Each may return a negative errno to end it. */
struct counts_faults {
    /* the start of a complete snapshot whose counts are not as many as the sockets that it saw */
    int (*unsound)(void *arg, int64_t start_ms);
    /* a count of a minute that is not what the snapshots of it say; service and state 0: how many snapshots; NULL: minutes
     * are not looked at */
    int (*unlike)(void *arg, int64_t at_ms, int64_t service, int64_t state);
    void *arg;
};

/* Goes through the counts as they came, as the rules of connhist-schema(5) read them. */
int senses_each_counts_fault(sqlite3 *db, int edition, const struct counts_faults *faults,
                             struct err *err);

/* Gives the end of each stretch of hours that does not tell of all that closed in it, or can't be read. */
int senses_each_denied(sqlite3 *db, int edition, int (*fn)(void *arg, int64_t end_ms), void *arg,
                       struct err *err);
