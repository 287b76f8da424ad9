/* SPDX-License-Identifier: MIT */
#include "connhist/model/owner.h"

#include <stdbool.h>

#include "connhist/model/state.h"

static bool is_after_close(unsigned state)
{
    return state == STATE_FIN_WAIT1 || state == STATE_FIN_WAIT2 || state == STATE_CLOSING ||
           state == STATE_LAST_ACK || state == STATE_TIME_WAIT;
}

const char *owner_source_name(unsigned source, unsigned state)
{
    switch (source) {
    case OWNER_BY_INODE:
        return is_after_close(state) ? "cookie" : "inode";
    case OWNER_BY_LISTENER:
        return "listener";
    case OWNER_BY_CGROUP:
        return "cgroup";
    case OWNER_IS_KERNEL:
        return "kernel";
    default:
        return "unknown";
    }
}
