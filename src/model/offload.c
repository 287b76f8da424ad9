/* SPDX-License-Identifier: MIT */
#include "connhist/model/offload.h"

#include <stdio.h>

/* Three bits for each mode. */
#define MODE_BITS 3
#define MODE_MASK 7U

/* Base: the ULP is there, and the program has set no key for this direction. */
static const char *const modes[] = {"?", "none", "software", "device", "device (records)"};

enum { MODES = sizeof(modes) / sizeof(modes[0]) };

static unsigned known_mode(unsigned mode)
{
    return mode < MODES ? mode : 0;
}

uint8_t offload_ktls(unsigned tx_mode, unsigned rx_mode)
{
    return (uint8_t)(OFFLOAD_KTLS | known_mode(tx_mode) << MODE_BITS | known_mode(rx_mode));
}

const char *offload_text(uint8_t offload, char buf[static OFFLOAD_TEXT_MAX])
{
    static const char *const names[] = {
        [OFFLOAD_IN_HOST] = "InHost",
        [OFFLOAD_MPTCP] = "MPTCP",
        [OFFLOAD_MPTCP_AS_TCP] = "MPTCP as TCP",
        [OFFLOAD_ESPINTCP] = "espintcp",
        [OFFLOAD_SMC] = "SMC",
        [OFFLOAD_OTHER] = "other",
    };

    if (!(offload & OFFLOAD_KTLS))
        return offload < sizeof(names) / sizeof(names[0]) ? names[offload] : NULL;
    snprintf(buf, OFFLOAD_TEXT_MAX, "kTLS tx %s rx %s",
             modes[known_mode(offload >> MODE_BITS & MODE_MASK)],
             modes[known_mode(offload & MODE_MASK)]);
    return buf;
}
