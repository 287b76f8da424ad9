/* SPDX-License-Identifier: MIT */
/* Owners of a live table's rows, found in /proc now. */
#pragma once

#include <stddef.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/report/sockets.h"

struct owner_finder;

/* What rows point to. */
struct live_owners {
    struct owner_finder *finder; /* owned */
    struct owner_want *wants;    /* owned */
};

/* Sets the owners of rows that have an inode. 1: some could not be found, *err (may be NULL) says
 * why; 0: all that can be known is. -ENOMEM, or no /proc. */
int live_owners_find(struct live_owners *owners, const struct clock *clock, struct socket_row *rows,
                     size_t n, struct err *err);
void live_owners_finish(struct live_owners *owners);
