/* SPDX-License-Identifier: MIT */
/* What changed between two instants of the record. The answer of `connhist diff`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/report/filter.h"
#include "connhist/report/sockets.h"

struct db;
struct diff;

/* What is different about a socket; those of one that is there at both instants may come together.
 * What is not known at one of them is no change. */
enum diff_change {
    DIFF_OPENED = 1,   /* only there at the later instant */
    DIFF_CLOSED = 2,   /* only there at the earlier one */
    DIFF_REPLACED = 4, /* another socket with the same endpoints, opened in between */
    DIFF_OWNER = 8,    /* another process, program, unit or container */
    DIFF_STATE = 16,   /* another state */
    DIFF_OFFLOAD = 32, /* held by something else: kTLS, MPTCP … */
};

struct diff_question {
    struct filter filter; /* what matches at one of both instants at least is compared */
    bool listen_only;     /* listening TCP and serving UDP sockets alone */
};

/* How many sockets match. */
struct diff_sums {
    uint64_t before; /* at the earlier instant */
    uint64_t after;  /* at the later one */
    uint64_t opened;
    uint64_t closed;
    uint64_t changed; /* at both, but not the same */
};

struct diff_row {
    const struct socket_row *before; /* as of the earlier instant; NULL: opened */
    const struct socket_row *after;  /* as of the later one; NULL: closed */
    unsigned changes;                /* bits of enum diff_change; never 0 */
};

/* Compares the tables as of two chosen snapshots (see sockets_choose_in()), socket by socket: those
 * with the same namespace, protocol and endpoints are one. Costs two tables, however long the time
 * between. What came and went between both is in neither. Call db_begin() before; it is ended. The
 * question's filter must stay as long as *ret, which diff_free() frees. -EBADMSG: the file is damaged;
 * -ENOMEM. */
int diff_load(struct db *db, const struct walltime *walltime, const struct diff_question *question,
              const struct snapshot_choice *from, const struct snapshot_choice *to,
              struct diff **ret, struct err *err);
void diff_free(struct diff *diff);
DEFINE_CLEANUP(struct diff *, diff_free)

/* Whether the host was booted between both snapshots: then no socket is still the same. */
bool diff_rebooted(const struct diff *diff);

struct diff_sums diff_sums(const struct diff *diff);

/* How many rows there are, in the order of sockets_at(). */
size_t diff_count(const struct diff *diff);

/* i < diff_count(); what it points to is valid until diff_free(). */
struct diff_row diff_get(const struct diff *diff, size_t i);
