/* SPDX-License-Identifier: MIT */
#include "connhist/model/sample.h"

/* Whether our FIN may have been acknowledged, which adds 1 to the acknowledged bytes. */
static int fin_acknowledged(enum sock_state state)
{
    return state == STATE_FIN_WAIT2 || state == STATE_TIME_WAIT || state == STATE_CLOSE;
}

enum opener sample_opener(enum sock_state state, uint64_t bytes_acked, uint64_t bytes_sent,
                          uint64_t bytes_retrans, uint32_t unacked)
{
    uint64_t extra;

    if (unacked || state == STATE_SYN_SENT || state == STATE_SYN_RECV || state == STATE_LISTEN ||
        state == STATE_CLOSE)
        return OPENER_UNKNOWN;
    extra = bytes_acked - bytes_sent + bytes_retrans;
    extra -= (uint64_t)fin_acknowledged(state);
    if (extra > 1)
        return OPENER_UNKNOWN;
    return extra == 1 ? OPENER_LOCAL : OPENER_REMOTE;
}

uint64_t sample_payload_sent(uint64_t bytes_sent, uint64_t bytes_retrans)
{
    return bytes_sent > bytes_retrans ? bytes_sent - bytes_retrans : 0;
}

uint64_t sample_payload_received(enum sock_state state, uint64_t bytes_received)
{
    bool peer_fin = state == STATE_CLOSE_WAIT || state == STATE_LAST_ACK || state == STATE_CLOSING;

    return peer_fin && bytes_received > 0 ? bytes_received - 1 : bytes_received;
}

bool sample_carries(enum sock_state state)
{
    switch (state) {
    case STATE_ESTABLISHED:
    case STATE_FIN_WAIT1:
    case STATE_FIN_WAIT2:
    case STATE_CLOSE_WAIT:
    case STATE_LAST_ACK:
    case STATE_CLOSING:
        return true;
    default:
        return false;
    }
}
