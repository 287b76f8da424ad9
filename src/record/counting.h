/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes, once a minute in each namespace: what changed since they were told
 * last goes into the batch. */
#pragma once

#include "connhist/model/counting.h"
#include "connhist/record/source.h"

/* A counter's name has a number here, which is its place in the values of each namespace. */
struct counted_name {
    char name[COUNTER_NAME_MAX];
    uint32_t number;
};

/* What was told of a namespace. */
struct counted_space {
    uint32_t netns;
    bool seen;  /* at this reading */
    bool whole; /* the file has what follows; else it is told in full */
    struct {
        VEC_FIELDS(int64_t);
    } values; /* by number; behind the end: 0 */
    struct {
        VEC_FIELDS(struct interface_change);
    } interfaces; /* that are now, by index */
    struct route_table routes;
    struct {
        VEC_FIELDS(int64_t);
    } numbers; /* of the routes */
};

struct counting_state {
    struct {
        VEC_FIELDS(struct counted_name);
    } names; /* sorted; bounded by COUNTED_NAMES_MAX */
    struct {
        VEC_FIELDS(struct counted_space *);
    } spaces;            /* owned */
    struct counting *to; /* the batch's; NULL: no reading is due */
    size_t tidied;       /* names that were left when those of interfaces that are gone went */
    int64_t at_ms;       /* record time of this snapshot */
    int64_t minute;      /* record time of the last reading, in minutes; -1: none */
    int64_t next_number; /* of interfaces and routes */
    int long_bits;       /* of the kernel's long */
    bool full;           /* this reading tells everything */
    bool named;          /* the file has the names of counters that have always been 0 */
    bool told_before;    /* an earlier run in this boot has told of namespaces */
    bool read_before;    /* this run has */
};

#define COUNTED_NAMES_MAX 16384
#define COUNTED_LINKS_MAX \
    (COUNTED_NAMES_MAX / 4 * 3) /* with so many the rest is for the kernel's own */

/* same_boot: the file goes on with what this boot has. */
void counting_state_init(struct counting_state *state, bool same_boot);
void counting_state_finish(struct counting_state *state);

/* A snapshot begins: a reading is due in each minute, and where now is set. full: the file must be
 * told everything again. */
void counting_begin(struct counting_state *state, struct counting *to, int64_t start_ms, bool full,
                    bool now);

/* Reads the namespace that was entered, if a reading is due. What fails is a lack of the reading. */
void counting_read(struct counting_state *state, const struct source *source, uint32_t netns);

/* Forgets namespaces that were not read: they are gone, or are told in full the next time. */
void counting_end(struct counting_state *state);

/* Where there are many names: lets go of those of interfaces that have gone (counting_names.c). Memory that is
 * short leaves all as it is. */
void counting_tidy_names(struct counting_state *state);
