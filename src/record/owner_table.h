/* SPDX-License-Identifier: MIT */
/* The owners that lives refer to by number: each is kept once, as long as a life has it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/owner.h"

#define OWNERS_MAX 65536u /* more are not told apart: their sockets have no known owner */

struct owner_slot {
    struct owner owner; /* strings in texts */
    char *texts;        /* owned; NULL: this place is free */
    size_t n_texts;     /* bytes of texts */
    int64_t
        checked_ms; /* its process was seen to be what it was at this snapshot; 0: not looked at */
    int64_t stale_ms;        /* if stale: it was seen not to be at this one … */
    int64_t stale_before_ms; /* … before which this one was the last */
    uint32_t users;          /* lives that refer to it */
    uint32_t next;           /* chain of its hash, or list of free places; a number */
    uint32_t told;           /* number of the snapshot whose batch names it; 0: none */
    uint32_t listened; /* number of the last snapshot in which a listener was its own; 0: none */
    bool stale;        /* its process has ended, or goes by another name now */
    bool ended;        /* if stale: it has ended */
    bool unused;       /* in the list of those that nobody may refer to */
};

#define OWNER_BUCKETS 1024u

struct owner_table {
    struct {
        VEC_FIELDS(struct owner_slot);
    } slots; /* the place of a number is number - 1 */
    struct {
        VEC_FIELDS(uint32_t);
    } unused;                        /* numbers whose last user went since the last sweep */
    uint32_t buckets[OWNER_BUCKETS]; /* first number of each chain; 0: none */
    uint32_t free;                   /* first free number; 0: none */
    uint32_t n;                      /* in use */
    uint32_t n_stale;                /* of those in use */
    size_t text_bytes;               /* in texts */
};

void owner_table_finish(struct owner_table *table);

/* The number of an owner, which has one more user now; 0: no memory, or too many. */
uint32_t owner_table_take(struct owner_table *table, const struct owner *owner);

/* Another user, or one less; number 0 is left alone. */
void owner_table_keep(struct owner_table *table, uint32_t number);
void owner_table_drop(struct owner_table *table, uint32_t number);

/* Gives up those without users. Before that a number that was dropped still stands for what it did. */
void owner_table_sweep(struct owner_table *table);

/* Marks one: at the snapshot at_ms its process had ended, or gone by another name. before_ms: the
 * snapshot before. */
void owner_table_mark_stale(struct owner_table *table, uint32_t number, bool ended, int64_t at_ms,
                            int64_t before_ms);

/* number must be in use, or dropped since the last sweep. */
static inline struct owner_slot *owner_table_get(const struct owner_table *table, uint32_t number)
{
    return &table->slots.items[number - 1];
}

size_t owner_table_bytes(const struct owner_table *table);
