/* SPDX-License-Identifier: MIT */
/* One RTM_NEWLINK; the input is its payload. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "kernel/decode_tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_free_ uint8_t *message = malloc(n ? n : 1); /* aligned, nothing behind it */
    struct tunnel_port tunnel = {.port = 7777};

    if (!message)
        return 0;
    if (n)
        memcpy(message, data, n);
    if (decode_tunnel(message, n, &tunnel) < 0)
        assert(tunnel.port == 7777);
    return 0;
}
