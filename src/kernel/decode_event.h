/* SPDX-License-Identifier: MIT */
/* From the bytes of one destroy event to a closing. Pure, as decode.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/model/closing.h"

/* Decodes one datagram of n bytes, 8-byte aligned: one netlink message with struct inet_diag_msg
 * and the attributes INET_DIAG_PROTOCOL and INET_DIAG_INFO. (The kernel sends each event as a
 * datagram of its own; what follows the first message is not looked at.)
 * -EPROTO: cut short, of another type, family or protocol, or attributes that don't fit. */
int decode_event(const void *datagram, size_t n, int64_t received_ns, struct closing *ret);
