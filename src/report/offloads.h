/* SPDX-License-Identifier: MIT */
/* What held connections, as far as it was looked at. The file has rows of those that are not ordinary
 * alone. Of the others a snapshot that sampled tcp_info tells that they were the host's; what none
 * came upon is not known. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "stored_life.h"

struct db;
struct stmt;

struct offload_reader {
    struct stmt *changes; /* owned; NULL: the file's edition has none */
    struct stmt *look;    /* owned; NULL: the kernel told no run what holds a connection */
    int64_t looked_ms; /* a complete snapshot that sampled, record time; INT64_MIN: none met yet */
};

int offload_reader_init(struct offload_reader *reader, struct db *db, struct err *err);
void offload_reader_finish(struct offload_reader *reader);

/* *ret: enum offload at an instant of record time; INT64_MAX: as known last. Nothing takes a
 * connection back from what holds it, but MPTCP itself: so a later look that found none holds for
 * before, too. */
int offload_reader_at(struct offload_reader *reader, const struct stored_life *life, int64_t at_ms,
                      uint8_t *ret, struct err *err);
