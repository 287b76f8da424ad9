/* SPDX-License-Identifier: MIT */
/* From INET_DIAG_ULP_INFO to what holds a connection. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Decodes the attribute's payload: n bytes, 4-byte aligned, attributes INET_ULP_INFO_*
 * (linux/inet_diag.h, tls.h, mptcp.h). With tcp_info (idiag_ext INET_DIAG_INFO), and not
 * without, the kernel sends it of every full TCP socket that has a ULP; no privilege is needed. *ret: enum offload. -EPROTO: lengths that
 * can't be. */
int decode_ulp(const void *payload, size_t n, uint8_t *ret);
