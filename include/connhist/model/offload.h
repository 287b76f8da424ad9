/* SPDX-License-Identifier: MIT */
/* What does the work of a TCP connection beyond TCP itself: the host, or an upper layer protocol (ULP)
 * that holds the socket. In one byte, since each sample has one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum offload {
    OFFLOAD_UNKNOWN = 0,  /* not told: no tcp_info (UDP, mini-sockets), Linux before 5.4 */
    OFFLOAD_IN_HOST,      /* no ULP: ordinary TCP */
    OFFLOAD_MPTCP,        /* a subflow or listener of Multipath TCP */
    OFFLOAD_MPTCP_AS_TCP, /* an MPTCP socket whose peer answered with ordinary TCP */
    OFFLOAD_ESPINTCP,     /* IPsec in TCP */
    OFFLOAD_SMC,          /* shared memory communication */
    OFFLOAD_OTHER,        /* a ULP that we have no word for */
    OFFLOAD_KTLS = 0x80,  /* bit: kernel TLS, with both modes as in offload_ktls() */
};

/* Modes of kTLS: TLS_CONF_* of linux/tls.h, 1 base, 2 software, 3 device, 4 device for records; what
 * is above counts as 0, not known. */
uint8_t offload_ktls(unsigned tx_mode, unsigned rx_mode);

#define OFFLOAD_TEXT_MAX 48

/* "InHost", "MPTCP", "kTLS tx software rx device" …; NULL: not known. May return buf. */
const char *offload_text(uint8_t offload, char buf[static OFFLOAD_TEXT_MAX]);
