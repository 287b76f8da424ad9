/* SPDX-License-Identifier: MIT */
/* Rows of `closed` on their way into the file, sixteen with one statement, in which what is the same as
 * before stays bound: 6,600 instructions a row instead of 9,000. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct store;

#define CLOSED_ROWS_MAX  16
#define CLOSED_ROWS_NULL INT64_MIN /* stands for NULL */

/* Columns whose values are integers, in the order of `closed`, and with its names. */
enum closed_column {
    CLOSED_KEY,
    CLOSED_SERVICE,
    CLOSED_LOCAL,
    CLOSED_REMOTE,
    CLOSED_LOCAL_PORT,
    CLOSED_REMOTE_PORT,
    CLOSED_SCOPE,
    CLOSED_OWNER,
    CLOSED_DURATION,
    CLOSED_LATE,
    CLOSED_TRAITS,
    CLOSED_LIFE, /* before it comes `states` */
    CLOSED_CLOSED_BY,
    CLOSED_SENT_BYTES,
    CLOSED_RECEIVED_BYTES,
    CLOSED_SEGS_OUT,
    CLOSED_SEGS_IN,
    CLOSED_RETRANS,
    CLOSED_RTT,
    CLOSED_SAMPLED,
    CLOSED_COLUMNS
};

struct closed_row {
    int64_t values[CLOSED_COLUMNS];
    const void *remote; /* NULL, or a blob in place of values[CLOSED_REMOTE]; as states */
    size_t remote_bytes;
    const void *states; /* the caller's, until the rows are written; not NULL */
    size_t states_bytes;
    int64_t told; /* number of a life that the file has as open; 0: it has not */
};

struct closed_rows {
    size_t n;
    struct closed_row rows[CLOSED_ROWS_MAX];
    int64_t bound[CLOSED_ROWS_MAX]
                 [CLOSED_COLUMNS]; /* in the statement for many, if it is prepared */
};

/* Puts all rows of the store into `closed`; they stay for the caller to look at. Inside a
 * transaction, which must be rolled back after an error. */
int closed_rows_insert(struct store *store, struct err *err);
