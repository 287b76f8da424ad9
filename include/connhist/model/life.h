/* SPDX-License-Identifier: MIT */
/* A life: one use of one kernel socket, from its opening over its states to its end, as it passes
 * between the ledger and the file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/address.h"
#include "connhist/model/service.h"
#include "connhist/model/state.h"

/* "Not known" for a time in ms. */
#define TIME_UNKNOWN INT64_MIN

/* "Not known" for a uid. */
#define UID_UNKNOWN UINT32_MAX

struct life {
    uint64_t number;        /* given by the recorder, grows for the file's whole life; never 0 */
    uint64_t cookie;        /* the kernel's; unique for a boot */
    int64_t since_ms;       /* first instant it is known to have existed, record time */
    int64_t ended_ms;       /* first instant it is known to be gone; TIME_UNKNOWN: alive */
    struct address local;   /* network byte order */
    struct address remote;  /* network byte order; cut to a prefix under detail: anonymous */
    uint16_t local_port;    /* host byte order */
    uint16_t remote_port;   /* host byte order */
    uint32_t scope_ifindex; /* device of a link-local or device-bound socket, else 0 */
    uint32_t inode;         /* socket inode; 0: never seen */
    uint32_t uid;           /* owner's; UID_UNKNOWN */
    struct service_key service; /* what it counts for */
    uint8_t family;             /* AF_INET or AF_INET6 */
    uint8_t state;              /* enum sock_state: now, or the last before its end */
    uint8_t role_source;        /* enum role_source */
    bool opened_known;          /* it opened between the snapshot before since_ms and since_ms */
    uint8_t history_bytes;      /* how much of history is in use */
    const uint8_t *history;     /* see model/history.h; owned by whoever owns the life */
};
