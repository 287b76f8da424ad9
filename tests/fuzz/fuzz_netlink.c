/* SPDX-License-Identifier: MIT */
/* One received netlink buffer. Byte 0 of the input: 0 TCP, 1 UDP; bytes 1-3 are not used; then the
 * messages, which answer sequence number 1 of port id 1 if they are of the type of the dump. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "kernel/reply.h"

#define HEAD_BYTES 4

/* Whatever comes in, what goes out holds together. */
static int check(void *arg, const struct sample *sample)
{
    static const uint8_t zeros[12];

    assert(sample->protocol == *(const uint8_t *)arg);
    assert(sample->state >= STATE_ESTABLISHED && sample->state < STATE_COUNT);
    assert(sample->family == AF_INET || sample->family == AF_INET6);
    assert(sample->opener <= OPENER_REMOTE);
    assert(sample->has_uid == (sample->inode || sample->uid));
    if (sample->family == AF_INET)
        assert(memcmp(sample->local.bytes + 4, zeros, 12) == 0 &&
               memcmp(sample->remote.bytes + 4, zeros, 12) == 0);
    return sample->local_port == 0xdead ? -ECANCELED : 0;
}

static void walk_dump(uint8_t protocol, uint16_t type, const void *messages, size_t n)
{
    struct dump_walk walk = {
        .request = {.portid = 1, .seq = 1, .n = 1, .type = type},
        .protocol = (enum protocol)protocol,
        .fn = check,
        .arg = &protocol,
    };
    int r = dump_buffer(&walk, messages, n);

    assert(r == 0 || r == -EPROTO || r == -ECANCELED);
    assert(walk.kernel_error <= 0);
    assert(walk.ended || walk.kernel_error == 0);
}

static void walk_group(const void *messages, size_t n)
{
    const struct request request = {.portid = 1, .seq = 1, .n = 8, .type = SOCK_DIAG_BY_FAMILY};
    struct reply_cursor cursor = {.at = messages, .left = n};
    struct reply reply;

    while (reply_next(&cursor, &request, &reply) == 0 && reply.kind != REPLY_NONE)
        assert(reply.index < request.n && reply.error <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t protocol = n > 0 && data[0] == 1 ? PROTOCOL_UDP : PROTOCOL_TCP;
    _cleanup_free_ uint8_t *messages = NULL;

    if (n <= HEAD_BYTES)
        return 0;
    n -= HEAD_BYTES;
    messages = malloc(n); /* aligned, and with nothing behind it */
    if (!messages)
        return 0;
    memcpy(messages, data + HEAD_BYTES, n);
    walk_dump(protocol, SOCK_DIAG_BY_FAMILY, messages, n);
    walk_dump(PROTOCOL_TCP, TCPDIAG_GETSOCK, messages, n);
    walk_group(messages, n);
    return 0;
}
