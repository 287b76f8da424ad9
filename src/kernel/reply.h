/* SPDX-License-Identifier: MIT */
/* What a received buffer holds for the request that waits. Pure: bytes in, what to do out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/kernel/sock_diag.h"

/* What replies must match; all others are left over from an earlier request and are skipped. */
struct request {
    uint32_t portid; /* nlmsg_pid: our netlink socket's */
    uint32_t seq;    /* first of the sequence numbers */
    uint32_t n;      /* how many sequence numbers; a dump has 1 */
    uint16_t type;   /* nlmsg_type of the replies */
};

enum reply_kind {
    REPLY_NONE,   /* the buffer has no more replies */
    REPLY_SOCKET, /* payload is what was asked for: a struct inet_diag_msg with attributes … */
    REPLY_DONE,   /* NLMSG_DONE: the dump is over, with `error` */
    REPLY_ERROR,  /* NLMSG_ERROR: the request failed with `error` */
};

struct reply {
    enum reply_kind kind;
    uint32_t index;      /* which of the request's sequence numbers is answered, from 0 */
    bool interrupted;    /* NLM_F_DUMP_INTR */
    int error;           /* DONE: 0 or a negative errno; ERROR: a negative errno */
    const void *payload; /* SOCKET: in the buffer, 4-byte aligned */
    size_t payload_bytes;
};

/* The part of a buffer not yet looked at. */
struct reply_cursor {
    const void *at; /* 4-byte aligned */
    size_t left;    /* bytes */
};

/* Takes the next message that answers the request. -EPROTO: a length or type that can't be; how the
 * buffer goes on is then unknown, and the cursor stays. */
int reply_next(struct reply_cursor *cursor, const struct request *request, struct reply *ret);

/* A dump under way. */
struct dump_walk {
    struct request request;
    enum protocol protocol;
    sample_fn fn;
    void *arg;          /* handed to fn */
    int64_t sampled_ns; /* when the buffer was received, CLOCK_BOOTTIME */
    uint64_t n_samples; /* handed to fn */
    int kernel_error;   /* once ended: what NLMSG_DONE or NLMSG_ERROR said, 0 or a negative errno */
    bool ended;         /* the kernel sends no more */
    bool interrupted;   /* NLM_F_DUMP_INTR was seen */
    bool fn_failed;     /* the error returned is fn's */
};

/* Hands all samples of one received buffer to walk->fn and notes whether the dump has ended.
 * 0, fn's error, or -EPROTO. After fn's error the rest of the buffer is only searched for the end.
 */
int dump_buffer(struct dump_walk *walk, const void *buffer, size_t n);
