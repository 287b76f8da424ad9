/* SPDX-License-Identifier: MIT */
/* The UDP ports on which the kernel itself listens, for tunnel devices. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

/* Reads the ports of the vxlan, geneve and bareudp devices in the calling thread's network namespace that are
 * up, with RTM_GETLINK (linux/if_link.h, IFLA_INFO_DATA); no privilege is needed. Host byte order, in no order,
 * some maybe twice, `max` at most. Returns how many, or a negative errno as of socket(2), send(2) and
 * recv(2); -ETIMEDOUT, -EMSGSIZE, -EPROTO. */
int tunnels_read_ports(uint16_t *ret, size_t max, struct err *err);
