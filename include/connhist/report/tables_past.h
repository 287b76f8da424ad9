/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes as they were recorded: once a minute, and routes when they changed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/counting.h"
#include "connhist/report/coverage.h"
#include "connhist/report/tables_live.h"
#include "connhist/report/walltime.h"
#include "connhist/store/upkeep.h"

struct db;

/* The reading that an instant is answered by. */
struct reading_choice {
    int64_t record_ms;   /* record time; of routes alone: or that of their last change behind it */
    int64_t minute_ms;   /* record time of the minute's reading before */
    int64_t reading_ms;  /* wall time */
    int64_t distance_ms; /* from it to the instant that was asked for */
    int64_t netns;       /* netns.id */
    int64_t values_ms;   /* record time up to which rows tell what it read */
    int64_t
        by_period_ms; /* readings of that time are gone: it is the last of an hour, or a day, which
                             lasts that long; 0: it is a reading */
    bool found;       /* else nothing was recorded by then */
    bool in_gap;      /* the next reading was due before that instant, and did not come */
};

/* The tables asked for (bits of enum table_bit) of the namespace that the filter names, or else the
 * recorder's own, at the latest reading not after at_ms (wall time). Routes alone are as they were
 * at at_ms, as far as the kernel told of changes. Counters that were 0 wherever
 * the record looked are not in *ret. -ENOENT: the record has no such namespace; others as
 * stmt_step(), -ENOMEM. */
int tables_at(struct db *db, const struct walltime *walltime, const struct filter *filter,
              unsigned which, int64_t at_ms, struct tables *ret, struct reading_choice *choice,
              struct err *err);

/* How a counter grew over a span or a step of it. */
struct grown {
    int64_t grew;       /* never negative; 0 for a gauge */
    int64_t gap_grew;   /* what of it came since a reading before a gap: nobody knows when in it */
    int64_t covered_ms; /* in a step: how much of the time before its readings has no gap */
    int64_t last;       /* the latest value in it; meaningless unless has_last */
    int64_t low;        /* of a gauge's values: with that which it came with */
    int64_t high;       /* likewise */
    unsigned turns;     /* bits, 1 << enum counter_turn */
    uint32_t readings;  /* in a step */
    bool has_last;
};

struct grown_counter {
    struct grown grown;
    uint16_t place;
    uint8_t protocol; /* enum counter_protocol; 0: of an interface */
    uint8_t kind;     /* enum counter_kind */
    char name[COUNTER_NAME_MAX];
};

/* What all counters of a namespace grew by between two readings. Zeroed: nothing. */
struct growth {
    VEC_FIELDS(
        struct grown_counter); /* all that were ever read; of interfaces those that were there
                                         between the readings; in no order; owned */
    int64_t from_ms;           /* the readings, wall time; TIME_UNKNOWN: there are not two */
    int64_t until_ms;
    int64_t record_from_ms; /* the same, record time */
    int64_t record_until_ms;
    int64_t
        first_ms;    /* there are not two: when its counters were read first and last, wall time; */
    int64_t last_ms; /* TIME_UNKNOWN: never, or there are two */
    char netns[TABLES_NETNS_MAX]; /* as in struct tables */
};

void growth_finish(struct growth *growth);

/* The span asked for is in it: from the last reading not after since_ms, or else the first one of
 * all, to the first one not before until_ms, or else the last one of all (wall times). Where readings
 * are gone, from and to the ends of hours or days. Errors as tables_at(). */
int counters_grown(struct db *db, const struct walltime *walltime, const struct filter *filter,
                   int64_t since_ms, int64_t until_ms, struct growth *ret, struct err *err);

/* Sets first_ms and last_ms alone, and netns. Errors as tables_at(). */
int counters_extent(struct db *db, const struct walltime *walltime, const struct filter *filter,
                    struct growth *ret, struct err *err);

/* The counter of that name, spelled freely as in counter_compare_names(). NULL: there is none. */
const struct grown_counter *growth_find(const struct growth *growth, const char *name);

/* A counter by steps of a span, which begin at since_ms. */
struct counter_steps {
    VEC_FIELDS(struct grown); /* owned */
    int64_t since_ms;         /* wall time */
    int64_t until_ms;         /* wall time: that asked for, or the end of a period */
    int64_t step_ms;
    int64_t
        shortest_ms; /* length of the periods that begin, end and steps are those of, since readings
                            are gone; 0: there are readings */
    enum tier tier;  /* the coarsest that was read; TIER_MINUTES: readings */
};

void counter_steps_finish(struct counter_steps *steps);

/* name: as in the file. What it grew by from one reading to the next belongs to the step that the
 * middle of that time lies in; over a gap, and where readings are gone, to that of the later one.
 * step_ms 0: a round one that makes about 60 steps. -EINVAL: too many steps. Errors as tables_at(). */
int counter_steps(struct db *db, const struct walltime *walltime, const struct filter *filter,
                  const char *name, int64_t since_ms, int64_t until_ms, int64_t step_ms,
                  struct counter_steps *ret, struct err *err);

#define COUNTER_NAMES_MAX 8

/* Counters that a word may mean, of all that were ever read. */
struct counter_names {
    char names[COUNTER_NAMES_MAX][COUNTER_NAME_MAX]; /* the first of them */
    size_t n;                                        /* how many it may mean; 0: none */
    size_t n_near;                                   /* none: this many names are most like it */
    char interface[COUNTER_NAME_MAX]; /* none: it would be of this interface, which there never was;
                                         then the names are those of interfaces; "": not so */
    size_t n_interfaces;              /* how many of these there are */
    bool gauge;                       /* of one */
    bool any;                         /* the file has counters */
};

/* The counter of that name, spelled freely as in counter_compare_names(), or that ends so behind a
 * point: "listenoverflows". 0 or negative errno. */
int counter_names_find(struct db *db, const char *word, struct counter_names *ret, struct err *err);
