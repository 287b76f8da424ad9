/* SPDX-License-Identifier: MIT */
/* The kernel's word that interfaces, addresses, routes or next hops change (rtnetlink(7)). It only
 * says that the tables are to be read again: routes that go because their interface or address went
 * are not all told one by one. */
#pragma once

#include <stdbool.h>

#include "connhist/base/err.h"

/* Listens in the calling thread's network namespace, which the socket keeps alive, from now on: what
 * waits has a bound (8 KiB). Returns the socket, to be closed by the caller, or as socket(2),
 * setsockopt(2), bind(2). */
int rtnl_changes_open(struct err *err);

/* Takes what waits, from any namespace, and never blocks. *ret: something changed since the last call,
 * or that can't be told. 0, or as recvmsg(2) with *ret untouched. */
int rtnl_changes_take(int fd, bool *ret, struct err *err);
