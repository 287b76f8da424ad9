/* SPDX-License-Identifier: MIT */
/* What the record covers of single namespaces: a snapshot may be complete in one and not in another,
 * and each is recorded at times of its own. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

struct db;
struct filter;

/* Whether the snapshot `s` is complete in the namespaces that are bound as ?2, see struct
 * netns_choice. */
#define SNAPSHOT_COMPLETE_IN                                                                  \
    "(s.status = 0 OR (EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms) " \
    "AND NOT EXISTS (SELECT 1 FROM incomplete AS i WHERE i.start_ms = s.start_ms "            \
    "AND instr(?2, ',' || i.netns || ',') > 0)))"

/* A time in which a namespace may have been there and was not recorded, on the record's clock. */
struct lapse {
    int64_t from_ms;    /* the last snapshot before, which did record it; INT64_MIN: none */
    int64_t until_ms;   /* the first one after; INT64_MAX: none */
    const char *reason; /* not owned */
};

/* When a namespace was recorded, on the record's clock. */
struct netns_span {
    int64_t netns; /* number in the file */
    int64_t from_ms;
    int64_t until_ms; /* INT64_MAX: recorded still */
};

/* The namespaces of a question. */
struct netns_choice {
    struct {
        VEC_FIELDS(char);
    } list; /* numbers in the file: ",1,5,"; empty: all; owned */
    struct {
        VEC_FIELDS(struct lapse);
    } lapses; /* when none of them was recorded though one may have been there; owned */
    struct {
        VEC_FIELDS(struct netns_span);
    } spans;    /* when they were recorded; owned */
    bool apart; /* their coverage may be another than that of all in the span */
};

/* Reads the namespaces that a filter chooses, for the span [from_ms, until_ms) of the record. A filter without one, or NULL, and a file of the first
 * edition leave *ret empty: then all count. */
int netns_choice_load(struct netns_choice *ret, struct db *db, const struct filter *filter,
                      int64_t from_ms, int64_t until_ms, struct err *err);
void netns_choice_finish(struct netns_choice *choice);

/* Whether no other of them was recorded in a time. */
bool netns_choice_is_alone(const struct netns_choice *choice, int64_t netns, int64_t from_ms,
                           int64_t until_ms);

/* The list for ?2 above; NULL: all count, and only s.status tells. */
const char *netns_choice_text(const struct netns_choice *choice);

/* The lapse that an instant lies in; NULL: none. */
const struct lapse *netns_choice_lapse(const struct netns_choice *choice, int64_t at_ms);

/* The lapse that lies upon a stretch between two snapshots; NULL: none. */
const struct lapse *netns_choice_between(const struct netns_choice *choice, int64_t from_ms,
                                         int64_t until_ms);
