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

/* Which end closed a connection, and how. What can't be told is unknown, never guessed. */
enum closed_by {
    CLOSED_BY_UNKNOWN = 0,
    CLOSED_BY_LOCAL = 1,   /* this end sent the first FIN: TIME_WAIT is on our side */
    CLOSED_BY_REMOTE = 2,  /* the peer sent the first FIN */
    CLOSED_BY_RESET = 3,   /* an RST, from either end: abort, refusal, listener gone */
    CLOSED_BY_TIMEOUT = 4, /* FIN_WAIT2, LAST_ACK … ended without the peer */
};

/* "local", "remote", "reset", "timeout", "unknown". */
const char *closed_by_name(unsigned closed_by);

/* What a connection carried, from its last tcp_info. */
struct life_facts {
    bool known;              /* there was tcp_info; else the rest is meaningless */
    bool received_uncertain; /* received_bytes may be 1 too many (the peer's FIN) */
    uint64_t sent_bytes;     /* payload put on the wire once */
    uint64_t received_bytes; /* payload */
    uint32_t segs_out;       /* segments sent, with retransmissions and pure ACKs */
    uint32_t segs_in;        /* segments received */
    uint32_t retrans;        /* segments sent again */
    uint32_t rtt_us;         /* smoothed round trip; 0: none measured */
};

struct owner;         /* model/owner.h */
struct stored_change; /* model/owner.h */

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
    uint32_t owner;         /* number in batch.owners; 0: not known */
    struct service_key service; /* what it counts for */
    uint8_t family;             /* AF_INET or AF_INET6 */
    uint8_t state;              /* enum sock_state: now, or the last before its end */
    uint8_t role_source;        /* enum role_source */
    uint8_t owner_source;       /* enum owner_source */
    bool shared;                /* others hold it, too (batch.holders): keep its number */
    bool opened_known;          /* it opened between the snapshot before since_ms and since_ms */
    uint8_t history_bytes;      /* how much of history is in use */
    bool v6only;                /* IPv6 that does not take IPv4, of listeners and unconnected UDP */
    const uint8_t *history;     /* see model/history.h; owned by whoever owns the life */
    int64_t planned_ms;         /* batch.amended: the end that was told before; else TIME_UNKNOWN */
    uint8_t closed_by;          /* enum closed_by; of closed lives */
    bool handed_on;  /* it had other owners before (batch.owner_changes): keep its number */
    bool untold;     /* it was never told as open: the file has no row to take away */
    bool late_facts; /* it closed without an event, which may still come: keep its number */
    uint8_t n_stored_changes; /* of lives that come from the file: how many earlier owners it had */
    uint8_t offload; /* enum offload as known last, where it was another than InHost once: likewise;
                        else 0 */
    struct life_facts facts;          /* of closed lives */
    const struct owner *stored_owner; /* as the file has it, in lives that come from there; NULL */
    const struct stored_change *stored_changes; /* likewise its earlier owners, in order; NULL */
};
