/* SPDX-License-Identifier: MIT */
/* Decodes one RTM_NEWLINK. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/kernel/tunnels.h"

/* message: payload of the netlink message, 4-byte aligned: struct ifinfomsg and attributes. 0, or -EPROTO
 * where a length can't be; attributes and kinds that are not known are passed over. */
int decode_tunnel(const void *message, size_t n, struct tunnel_port *ret);
