/* SPDX-License-Identifier: MIT */
/* The routes of the calling thread's network namespace, by rtnetlink (RTM_GETROUTE). */
#pragma once

#include "connhist/base/err.h"
#include "connhist/model/route.h"

/* Reads all tables of IPv4 and IPv6, without what the kernel learned by the way (RTM_F_CLONED);
 * what *ret held is replaced but for its limit, and it is sorted. A kernel without IPv6 has no
 * routes of it. Errors as interfaces_read(). */
int routes_read(struct route_table *ret, struct err *err);
