/* SPDX-License-Identifier: MIT */
/* A row of `rate_rollups`: what came and went at a service within a period. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/store/histogram.h"
#include "connhist/store/upkeep.h"

struct store;

#define RATE_COUNTS 8 /* opened, closed by …, bytes: in the order of the file */

struct rate_row {
    int64_t counts[RATE_COUNTS];
    struct histogram_sum durations, rtts;
};

/* The columns that rates_read() takes. */
#define RATE_COLUMNS                                                      \
    "opened, closed_local, closed_remote, closed_reset, closed_timeout, " \
    "closed_unknown, sent_bytes, received_bytes, durations, rtts"

/* Adds what the statement's row has from a column on. -EBADMSG: a histogram is damaged. */
int rates_read(struct store *store, sqlite3_stmt *stmt, int column, struct rate_row *row,
               struct err *err);

/* Writes the row of a period, in place of the one that is there. */
int rates_put(struct store *store, enum tier tier, int64_t service, int64_t at_ms,
              const struct rate_row *row, struct err *err);
