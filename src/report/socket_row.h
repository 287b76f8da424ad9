/* SPDX-License-Identifier: MIT */
/* Rows of socket tables: made from lives, filtered, put in order. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/report/sockets.h"
#include "lasts.h"
#include "lookup.h"
#include "offloads.h"
#include "openings.h"
#include "stored_life.h"

struct socket_row_vec {
    VEC_FIELDS(struct socket_row);
};

/* What rows are made with. */
struct row_maker {
    const struct walltime *walltime; /* not owned */
    struct lookup lookup;            /* owned */
    struct openings openings;        /* owned */
    struct lasts lasts;              /* owned */
    struct offload_reader offloads;  /* owned */
    struct sharers sharers;          /* owned */
    struct scope_names scope_names;  /* owned */
    struct stmt *queues;             /* owned */
    struct {
        VEC_FIELDS(const struct owner **);
    } earlier; /* earlier owners that rows point to; owned */
    int64_t
        last_ms; /* record time: ends behind it are planned, not yet come; INT64_MAX: none are */
};

int row_maker_init(struct row_maker *maker, struct db *db, const struct walltime *walltime,
                   const struct filter *filter, struct err *err);
void row_maker_finish(struct row_maker *maker);

/* Whether a life is open at the last snapshot: no end, or one that is planned. */
bool row_maker_is_open(const struct row_maker *maker, const struct stored_life *life);

/* Whether a life is over as a connection: closed, or in TIME_WAIT, which only we get into that closed
 * first. */
bool row_maker_is_over(const struct row_maker *maker, const struct stored_life *life);

/* Who closed a life that is over: enum closed_by. */
uint8_t stored_life_closed_by(const struct stored_life *life);

/* Whether an owner's process started only after an instant of record time: it can't have held
 * anything then. */
bool known_owner_later(const struct known_owner *known, int64_t at_ms);

/* Whether a life's service, ports, addresses, and one of its owners in [from_ms, until_ms] of record
 * time, or of those who held it, too, belong to the answer; sets its endpoints. 1, 0 or a negative
 * errno. */
int row_maker_wants(struct row_maker *maker, const struct filter *filter,
                    const struct stored_life *life, int64_t from_ms, int64_t until_ms,
                    struct endpoints *ret, struct err *err);

/* The row of a life as of an instant of record time; INT64_MAX: as known last. Its owner is one whom
 * the filter asks for if he is not the only one. */
int row_maker_make(struct row_maker *maker, const struct filter *filter,
                   const struct stored_life *life, const struct endpoints *ends, int64_t at_ms,
                   struct socket_row *ret, struct err *err);

/* Whether one of a socket's ports is chosen: both ends of a connection are its business. */
bool socket_ports_match(const struct filter *filter, uint16_t local_port, uint16_t remote_port);

/* The order of tables, for qsort(): protocol, listeners first, local port, local, remote. */
int socket_rows_compare(const void *left, const void *right);
void socket_rows_sort(struct socket_row *rows, size_t n);

/* Gives each row to fn. */
int socket_rows_give(const struct socket_row_vec *rows, socket_row_fn fn, void *arg);
