/* SPDX-License-Identifier: MIT */
/* Names of the interfaces that sockets are bound to, as they are now or were then. */
#pragma once

#include <stdint.h>

#include "connhist/model/interface.h"
#include "netns_live.h"
#include "socket_row.h"

/* Sets the names in rows of the live table; a namespace whose interfaces can't be read has none. 0, or
 * the thread can't return to its own namespace. */
int scope_names_live(const struct netns_live *netns, struct socket_row_vec *rows, struct err *err);

/* The recorded interface of a namespace (netns.id) with that number at at_ms, record time; of the
 * latest of those there were since since_ms. "": none is known. Returns 0 or a negative errno. */
int scope_names_past(struct scope_names *names, int64_t netns, uint32_t ifindex, int64_t since_ms,
                     int64_t at_ms, char ret[static INTERFACE_NAME_MAX], struct err *err);
