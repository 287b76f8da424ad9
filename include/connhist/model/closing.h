/* SPDX-License-Identifier: MIT */
/* A closing: what the kernel told of one socket when it was freed (a destroy event).
 *
 * It is not always the end of the connection: when a socket goes to FIN_WAIT2 after close(), or to
 * TIME_WAIT, a mini-socket stays in the table (kernel-facts.md), and the event of a reset socket
 * comes only when its program closes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/address.h"
#include "connhist/model/sample.h"

struct closing {
    uint64_t cookie;         /* idiag_cookie */
    int64_t received_ns;     /* CLOCK_BOOTTIME when the event was read, not when it happened */
    uint64_t bytes_sent;     /* payload put on the wire once: tcpi_bytes_sent - tcpi_bytes_retrans;
                                acknowledged or not */
    uint64_t bytes_received; /* payload in order: tcpi_bytes_received, less the FIN where known */
    struct address local;    /* idiag_src; all zero if wiped and not bound by the program */
    struct address remote;   /* idiag_dst; an abort leaves it, but not its port */
    uint16_t local_port;     /* idiag_sport, host byte order */
    uint16_t remote_port;    /* idiag_dport, host byte order */
    uint32_t scope_ifindex;  /* idiag_if */
    uint32_t
        peer_digest;   /* of the whole remote address, where the ledger cut that; 0: it did not */
    uint32_t segs_out; /* tcpi_segs_out, with retransmissions and pure ACKs, without SYN-ACK */
    uint32_t segs_in;  /* tcpi_segs_in; what came for a mini-socket is not in it */
    uint32_t retrans;  /* tcpi_total_retrans: segments sent again */
    uint32_t rtt_us;   /* tcpi_rtt: smoothed round trip, us; 0: none measured */
    uint32_t known_age_ms;    /* it was at least as old: the largest of tcpi_last_data_sent,
                              _last_data_recv, _last_ack_recv and tcpi_busy_time; the first two
                              begin at the opening, so it is the whole age of a connection on
                              which nothing was sent or nothing received */
    uint32_t sent_ago_ms;     /* tcpi_last_data_sent: since payload was sent last, or the opening */
    uint32_t received_ago_ms; /* tcpi_last_data_recv: likewise received */
    uint32_t quiet_ms;        /* since then nothing went to and fro: the smallest of
                              tcpi_last_data_sent, _last_data_recv and _last_ack_recv */
    uint8_t family;           /* idiag_family: AF_INET or AF_INET6 */
    uint8_t protocol;         /* INET_DIAG_PROTOCOL: enum protocol */
    uint8_t opener;           /* enum opener */
    bool has_info;            /* tcp_info was there, with counters: the numbers above are known */
    bool wiped;               /* disconnected first (abort, refused connect, listener's child): the
                              remote port and all counters are gone, the local address often */
    bool unconnected;         /* no remote end, as far as the event says: a listener, a bound or
                              unused socket, unconnected UDP */
    bool established;         /* TCP: the handshake was complete; survives the wiping */
    bool fin_acked;           /* our FIN was sent and acknowledged: no abort on our side */
    bool bytes_received_may_include_fin; /* bytes_received may be 1 too many: closing_settle() */
    bool
        no_peer_fin; /* the full socket never got the peer's FIN: if fin_acked, FIN_WAIT2 followed */
    bool unanswered; /* segments sent again or probes were not answered at the end: it may have
                        been given up */
    bool one_unread; /* idiag_rqueue was 1: the peer's FIN if fin_acked, else a byte or it */
    bool opener_hangs_on_fin; /* we opened it and sent no FIN, or were opened and sent one that went
                                 with data: not known which, unless the FIN is proven */
};

/* The counters of tcp_info and idiag_* that the opener and the payload are worked out from. */
struct closing_counters {
    uint64_t bytes_acked;    /* tcpi_bytes_acked */
    uint64_t bytes_sent;     /* tcpi_bytes_sent */
    uint64_t bytes_retrans;  /* tcpi_bytes_retrans */
    uint64_t bytes_received; /* tcpi_bytes_received */
    uint32_t notsent_bytes;  /* tcpi_notsent_bytes */
    uint32_t delivered;      /* tcpi_delivered */
    uint32_t data_segs_out;  /* tcpi_data_segs_out */
    uint32_t recv_queue;     /* idiag_rqueue: of TCP it is right in events */
    uint32_t send_queue;     /* idiag_wqueue: likewise */
    uint8_t retransmits;     /* tcpi_retransmits: in a row, unanswered */
    uint8_t probes;          /* tcpi_probes: likewise, of keepalive or of a closed window */
};

/* Sets opener, established, fin_acked, bytes_sent, bytes_received and its flag of a closing that
 * was not wiped. */
void closing_count(struct closing *closing, const struct closing_counters *counters);

/* What followed a closing in the kernel's table, if anybody looked. */
enum closing_sequel {
    SEQUEL_NONE,      /* surely neither FIN_WAIT2 nor TIME_WAIT: the peer closed first */
    SEQUEL_FIN_WAIT2, /* a mini-socket waited for the peer's FIN */
    SEQUEL_TIME_WAIT, /* TIME_WAIT, and nobody saw whether a mini-socket in FIN_WAIT2 came before */
};

/* Settles what the event alone left open, as far as the sequel tells: a mini-socket of ours proves
 * a FIN of ours, and with it opener and fin_acked; whether the peer's FIN is in bytes_received
 * (taken out) or not. What it does not tell keeps its flag. Once for each closing. */
void closing_settle(struct closing *closing, enum closing_sequel sequel);
