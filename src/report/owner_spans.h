/* SPDX-License-Identifier: MIT */
/* Whose a life was, and when: one span, or several where it changed hands. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

struct db;
struct stmt;
struct stored_life;

struct owner_span {
    int64_t from_ms;  /* record time */
    int64_t until_ms; /* first instant after it; of the last one the life's end */
    int64_t owner;    /* owners.id; 0: not known */
    unsigned traits;  /* the life's, with how this owner was found out */
    bool between; /* it changed hands at some time between two looks: whose it was is not known */
};

/* Spans of the life that was read last. */
struct owner_spans {
    struct db *db;     /* not owned */
    struct stmt *stmt; /* owned; NULL until the first life that changed hands */
    struct {
        VEC_FIELDS(struct owner_span);
    } items; /* in order, at least one after owner_spans_read(); owned */
};

void owner_spans_init(struct owner_spans *spans, struct db *db);
void owner_spans_finish(struct owner_spans *spans);

/* 0 or a negative errno. */
int owner_spans_read(struct owner_spans *spans, const struct stored_life *life, struct err *err);

/* The span that an instant lies in; before all the first one, behind all (INT64_MAX) the last. */
const struct owner_span *owner_spans_at(const struct owner_spans *spans, int64_t at_ms);

/* The life as if it had one owner all the time, that of a span. */
struct stored_life owner_span_life(const struct owner_span *span, const struct stored_life *life);
