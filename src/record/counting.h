/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes: what changed since they were told last goes into the batch. All are
 * read once a minute in each namespace; interfaces and routes also at a snapshot in between, when they
 * changed or the namespace is new. */
#pragma once

#include "connhist/model/counting.h"
#include "connhist/record/source.h"

/* A counter's name has a number here, which is its place in the values of each namespace. */
struct counted_name {
    char name[COUNTER_NAME_MAX];
    uint32_t number;
};

/* An interface that is not among those whose statistics were told last. */
struct counted_apart {
    struct interface interface; /* as it was told before it left, or as it was met */
    bool met;                   /* between two readings: where it began nobody saw */
};

/* What was told of a namespace. */
struct counted_space {
    uint32_t netns;
    uint8_t
        told;  /* enum counted_part: of those the file has what follows; others are told in full */
    bool seen; /* at the minute's reading */
    bool changed;    /* interfaces or routes may have, since they were read */
    int64_t next_ns; /* boottime: before that they are not read out of turn */
    struct {
        VEC_FIELDS(int64_t);
    } values;                      /* by number; behind the end: 0 */
    struct interface_list counted; /* as of the last reading of statistics, which are in values */
    struct {
        VEC_FIELDS(struct counted_apart);
    } apart; /* the latest last; bounded */
    struct {
        VEC_FIELDS(struct interface_change);
    } interfaces; /* as told last, by index */
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
    } spaces;                  /* owned */
    struct counting *to;       /* the batch's; NULL: between snapshots */
    const struct clock *clock; /* caller's */
    size_t tidied;       /* names that were left when those of interfaces that are gone went */
    int64_t minute;      /* record time of the last reading, in minutes; -1: none */
    int64_t next_number; /* of interfaces and routes */
    int long_bits;       /* of the kernel's long */
    bool in_turn;        /* the minute's reading is due */
    bool full;           /* this reading tells everything */
    bool named;          /* the file has the names of counters that have always been 0 */
};

/* clock: must outlive the state. */
void counting_state_init(struct counting_state *state, const struct clock *clock);
void counting_state_finish(struct counting_state *state);

/* A snapshot begins: a reading is due in each minute, and where now is set. full: the file must be
 * told everything again. */
void counting_begin(struct counting_state *state, struct counting *to, int64_t start_ms, bool full,
                    bool now);

/* Reads the namespace that was entered, if that is due. What fails is a lack of the minute's reading;
 * out of turn it is tried again. */
void counting_read(struct counting_state *state, const struct source *source, uint32_t netns);

/* Forgets namespaces that the minute's reading did not come to: they are gone, or are told in full the next time. */
void counting_end(struct counting_state *state);

/* Where there are many names: lets go of those of interfaces that have gone (counting_names.c). Memory that is
 * short leaves all as it is. */
void counting_tidy_names(struct counting_state *state);
