/* SPDX-License-Identifier: MIT */
/* A sample: one socket in one snapshot, as the kernel reported it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/address.h"
#include "connhist/model/life.h"
#include "connhist/model/state.h"

/* Which end sent the first SYN, as told by tcp_info (sample_opener()). */
enum opener {
    OPENER_UNKNOWN = 0, /* no tcp_info, or the counters don't tell */
    OPENER_LOCAL = 1,   /* active open: this end called connect() */
    OPENER_REMOTE = 2,  /* passive open: this end accepted */
};

/* What a TIME_WAIT or FIN_WAIT2 mini-socket's timer field means (idiag_timer). */
#define SAMPLE_TIMER_TIME_WAIT 3

struct sample {
    uint64_t cookie;         /* idiag_cookie; unique for a boot */
    uint64_t cgroup;         /* INET_DIAG_CGROUP_ID: cgroup v2 id; 0: not reported */
    int64_t sampled_ns;      /* CLOCK_BOOTTIME when the message was received */
    struct life_facts facts; /* of connections, if tcp_info was asked for: see sample_facts() */
    struct address local;    /* idiag_src */
    struct address remote;   /* idiag_dst */
    uint16_t local_port;     /* idiag_sport, host byte order */
    uint16_t remote_port;    /* idiag_dport, host byte order */
    uint32_t scope_ifindex;  /* idiag_if; 0: not bound to a device and not link-local */
    uint32_t inode;          /* idiag_inode; 0: none reported (mini-socket, orphan, not accepted) */
    uint32_t uid;            /* idiag_uid; meaningful only if has_uid */
    uint32_t recv_queue;     /* idiag_rqueue; LISTEN: connections waiting for accept() */
    uint32_t send_queue;     /* idiag_wqueue; LISTEN: the limit of that queue */
    uint32_t expires_ms;     /* idiag_expires; TIME_WAIT with timer 3: time left, ms */
    uint32_t sent_ago_ms;    /* facts.known: since payload was sent last, or else the opening */
    uint32_t received_ago_ms; /* facts.known: since it was received last, or else the opening */
    uint8_t family;           /* AF_INET or AF_INET6; mapped addresses come with AF_INET6 */
    uint8_t protocol;         /* enum protocol */
    uint8_t state;            /* enum sock_state */
    uint8_t timer;            /* idiag_timer */
    uint8_t opener;           /* enum opener */
    uint8_t offload;          /* enum offload, if tcp_info was asked for: INET_DIAG_ULP_INFO */
    bool has_uid;             /* uid is the owner's: false for mini-sockets and orphans */
    bool v6only;              /* INET_DIAG_SKV6ONLY of an IPv6 listener */
    bool v6only_told;         /* v6only is known: of IPv6 sockets in LISTEN and CLOSE */
};

/* Opener from tcp_info: acked - sent + retransmitted is 1 for the end that sent the first SYN and
 * 0 for the other while all is acknowledged; an acknowledged FIN adds 1, so `state` is needed.
 * bytes_*: tcpi_bytes_acked, tcpi_bytes_sent, tcpi_bytes_retrans; unacked: tcpi_unacked;
 * returns OPENER_UNKNOWN wherever the counters can't tell. */
enum opener sample_opener(enum sock_state state, uint64_t bytes_acked, uint64_t bytes_sent,
                          uint64_t bytes_retrans, uint32_t unacked);

/* Payload put on the wire once: tcpi_bytes_sent - tcpi_bytes_retrans. Neither counts SYN or FIN. */
uint64_t sample_payload_sent(uint64_t bytes_sent, uint64_t bytes_retrans);

/* Payload received of a socket in `state`: tcpi_bytes_received without the peer's FIN, which is in
 * it from CLOSE_WAIT, LAST_ACK and CLOSING on. */
uint64_t sample_payload_received(enum sock_state state, uint64_t bytes_received);

/* Whether tcp_info of a full socket in this state tells what a connection carried: from the
 * handshake's end on while it is one. What is left of it, in CLOSE, is none. */
bool sample_carries(enum sock_state state);
