/* SPDX-License-Identifier: MIT */
/* Makes the rows of `hours` of what closed, some time after the hours are over: a stretch is read in
 * steps, and written at once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/store/hours.h"

struct store;

/* What is being read of a kind; ports have a bit each. */
struct hours_found {
    struct hours_numbers numbers;
    unsigned lost; /* low bits that they lost */
};

struct hours_build {
    struct hours_found found[HOURS_KINDS]; /* by enum hours_kind; owned */
    uint8_t *ports;                        /* 65,536 bits; owned; NULL: none yet */
    int64_t until_ms;                      /* end of the last stretch that the file has; 0: none */
    int64_t from_ms;                       /* begin of the stretch that is being read */
    int64_t hour_ms;                       /* ... of which is read up to here; 0: none is */
    int64_t next_key;                      /* in the hour from there on, where to go on */
    int64_t rows;                          /* read of the stretch */
    int64_t dropped_ms;                    /* begin of the hour whose rows were removed last */
    unsigned class;                        /* ... and the class of lives where to go on */
    bool is_known;                         /* until_ms was read */
};

/* What was not committed is begun again; memory is given back. */
void hours_forget(struct hours_build *hours);

/* One step. 1: there is more to do; 0: nothing for now. */
int hours_step(struct store *store, struct err *err);

/* A row of `closed` is written, inside a transaction: what was told of its hour goes. */
int hours_note(struct store *store, int64_t key, struct err *err);
