/* SPDX-License-Identifier: MIT */
/* The netlink socket under sock_diag: one request at a time, buffers in and out. */
#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/clock.h"
#include "connhist/base/err.h"

/* Fixed: a read smaller than an earlier one on the same socket would lose samples, a larger one
 * gains little. */
#define LINK_READ_BYTES (32 * 1024)

/* How long the kernel may keep silent. */
#define LINK_TIMEOUT_S 10

struct sock_diag {
    const struct clock *clock;                  /* caller's */
    int fd;                                     /* connected to the kernel; -1: none */
    uint32_t portid;                            /* nl_pid of fd */
    uint32_t seq;                               /* the last sequence number used */
    bool legacy_refused;                        /* TCPDIAG_GETSOCK failed, its successor did not */
    bool dirty;                                 /* replies to the last request may be outstanding */
    alignas(8) uint8_t buffer[LINK_READ_BYTES]; /* what was received last */
};

/* Opens and connects fd in the calling thread's network namespace; errors as sock_diag_open(). */
int link_open(struct sock_diag *diag, struct err *err);

/* Rids the socket of what an aborted request left, so that the next one finds it clean.
 * The socket is not opened anew: the thread may be in another namespace by now. */
int link_drain(struct sock_diag *diag, struct err *err);

/* Takes n sequence numbers and returns the first. */
uint32_t link_take_seq(struct sock_diag *diag, uint32_t n);

/* Sends one buffer of requests; from here on the socket is dirty. 0 or as send(2). */
int link_send(struct sock_diag *diag, const void *requests, size_t n, struct err *err);

/* Waits for one buffer. -ETIMEDOUT: none came for LINK_TIMEOUT_S; -EMSGSIZE: it was larger than
 * ours; others as recvmsg(2). */
int link_receive(struct sock_diag *diag, size_t *ret, struct err *err);
