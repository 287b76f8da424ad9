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
