/* SPDX-License-Identifier: MIT */
/* What connections that are open carried, as the recorder sampled it. */
#pragma once

#include "connhist/base/err.h"
#include "connhist/report/sockets.h"
#include "connhist/report/walltime.h"
#include "stored_life.h"

struct db;
struct stmt;

/* Reads the facts of open lives as far as they were known at an instant. */
struct sampled_reader {
    struct stmt *facts;       /* owned; NULL: the file's edition has none */
    int64_t until_ms;         /* record time */
    int64_t last_sampling_ms; /* the last complete one until then, record time; INT64_MIN: none */
};

int sampled_reader_init(struct sampled_reader *reader, struct db *db, int64_t until_ms,
                        struct err *err);
void sampled_reader_finish(struct sampled_reader *reader);

/* Completes the row of an open life. The file has the last change alone: where it came after
 * until_ms, nothing is known of before, and the row stays as it is. */
int sampled_reader_fill(struct sampled_reader *reader, const struct walltime *walltime,
                        const struct stored_life *life, struct socket_row *row, struct err *err);
