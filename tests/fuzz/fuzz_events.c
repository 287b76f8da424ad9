/* SPDX-License-Identifier: MIT */
/* One datagram of the destroy groups; the input is the datagram. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "kernel/decode_event.h"

/* Whatever comes in, what goes out holds together. */
static void check(const struct closing *closing)
{
    static const uint8_t zeros[12];

    assert(closing->received_ns == 77);
    assert(closing->family == AF_INET || closing->family == AF_INET6);
    assert(closing->protocol == PROTOCOL_TCP || closing->protocol == PROTOCOL_UDP);
    assert(closing->opener <= OPENER_REMOTE);
    assert(closing->wiped + closing->unconnected + closing->has_info <= 1);
    assert(!closing->fin_acked || (closing->has_info && closing->established));
    assert(!closing->bytes_received_may_include_fin || closing->bytes_received > 0);
    assert(closing->has_info ||
           (!closing->bytes_sent && !closing->bytes_received && !closing->segs_in));
    if (closing->family == AF_INET)
        assert(memcmp(closing->local.bytes + 4, zeros, 12) == 0 &&
               memcmp(closing->remote.bytes + 4, zeros, 12) == 0);
}

static void settle(struct closing closing)
{
    uint64_t before = closing.bytes_received;

    closing_settle(&closing, SEQUEL_NONE);
    assert(closing.bytes_received == before || closing.bytes_received == before - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_free_ uint8_t *datagram = malloc(n ? n : 1); /* aligned, nothing behind it */
    struct closing closing = {.cookie = 777};

    if (!datagram)
        return 0;
    if (n)
        memcpy(datagram, data, n);
    if (decode_event(datagram, n, 77, &closing) < 0) {
        assert(closing.cookie == 777);
        return 0;
    }
    check(&closing);
    settle(closing);
    return 0;
}
