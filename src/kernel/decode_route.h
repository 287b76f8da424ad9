/* SPDX-License-Identifier: MIT */
/* From the bytes of RTM_NEWROUTE to a route. Pure. */
#pragma once

#include <stddef.h>

#include "connhist/model/route.h"

/* payload: struct rtmsg with attributes, 4-byte aligned. ret_hops: its ways (what it held is
 * forgotten; the caller frees it); ret->first_hop is 0. Unknown attributes are skipped. -EPROTO: a
 * family, length or prefix that can't be; -ENOMEM. */
int decode_route(const void *payload, size_t n, struct route *ret, struct route_hop_vec *ret_hops);
