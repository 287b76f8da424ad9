/* SPDX-License-Identifier: MIT */
/* From the bytes of one inet_diag message to a sample. Pure: nothing is read or kept but the bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/model/sample.h"

/* Decodes the payload of one message: struct inet_diag_msg and attributes (linux/inet_diag.h).
 * payload: 4-byte aligned, n bytes; the message does not tell its protocol.
 * -EPROTO: cut short, of another family, in an unknown state, or attributes that don't fit. */
int decode_sample(const void *payload, size_t n, enum protocol protocol, int64_t sampled_ns,
                  struct sample *ret);
