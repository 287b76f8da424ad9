/* SPDX-License-Identifier: MIT */
/* Connections that wait to be accepted: no process has them, and the kernel tells no owner. What they
 * have is their listener's. Which of the listeners of one port that is nobody tells, either. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "socket_row.h"

/* By port, as those below want it. Listeners: all of TCP in the rows' namespace. */
void live_queued_sort(struct socket_row_vec *listeners);

bool live_is_queued(const struct socket_row *row);

/* The next listener that a row may have come to; *at is SIZE_MAX at first, then its index. NULL: no
 * more. */
const struct socket_row *live_next_listener(const struct socket_row_vec *listeners,
                                            const struct socket_row *row, size_t *at);

/* Sets the uid of what waits at root's listeners alone: the kernel tells 0, as it does of sockets whose
 * uid it does not know. */
void live_queued_uids(struct socket_row_vec *rows, const struct socket_row_vec *listeners);
