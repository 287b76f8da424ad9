/* SPDX-License-Identifier: MIT */
/* The last complete snapshot before a socket was first seen: what bounds its opening from below. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"

struct db;
struct stmt;

struct opening {
    int64_t since_ms; /* asked for; record time */
    int64_t after_ms; /* the answer; record time or TIME_UNKNOWN */
};

struct openings {
    struct stmt *before; /* owned */
    struct stmt *next;   /* owned */
    struct {
        VEC_FIELDS(int64_t);
    } boots;                /* first snapshot of each boot, ascending; record time */
    struct opening *recent; /* answers given, a place for each since_ms by its hash: sockets come in
                               swarms; owned */
};

/* Finish it also after an error. */
int openings_init(struct openings *openings, struct db *db, struct err *err);
void openings_finish(struct openings *openings);

/* The latest complete snapshot before since_ms within the same boot; TIME_UNKNOWN: none. */
int openings_after(struct openings *openings, int64_t since_ms, int64_t *ret, struct err *err);
