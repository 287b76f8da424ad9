/* SPDX-License-Identifier: MIT */
/* Owners of a live table's rows, found in /proc now. */
#pragma once

#include <stddef.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/report/sockets.h"

struct filter;
struct owner_finder;
struct socket_row_vec;

/* What rows point to. */
struct live_owners {
    struct owner_finder *finder; /* owned */
    struct owner_want *wants;    /* of rows, then of listeners; owned */
    struct owner *programs;      /* of which it is open which process; owned */
    size_t n_programs;
};

/* Sets the owners of rows that have an inode: of several holders one that the filter asks for, else
 * the first. Of connections that wait to be accepted it is what listens there, if it is one program;
 * listeners: as for live_queued.h. 1: some could not be found, *err (may be NULL) says why; 0: all
 * that can be known is. -ENOMEM, or no /proc. */
int live_owners_find(struct live_owners *owners, const struct clock *clock,
                     const struct filter *filter, struct socket_row_vec *rows,
                     const struct socket_row_vec *listeners, struct err *err);
void live_owners_finish(struct live_owners *owners);
