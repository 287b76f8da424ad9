/* SPDX-License-Identifier: MIT */
/* From the bytes of RTM_NEWLINK to an interface. Pure. */
#pragma once

#include <stddef.h>

#include "connhist/model/interface.h"

/* payload: struct ifinfomsg with attributes, 4-byte aligned. Unknown attributes are skipped,
 * a shorter or longer struct rtnl_link_stats64 is taken as far as it goes. -EPROTO: a length that
 * can't be, no index or no name. */
int decode_link(const void *payload, size_t n, struct interface *ret);
