/* SPDX-License-Identifier: MIT */
/* Socket states and protocols with the kernel's numbers (enum in linux/tcp_states.h of the kernel,
 * netinet/tcp.h of libc). */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum sock_state {
    STATE_ESTABLISHED = 1,
    STATE_SYN_SENT = 2,
    STATE_SYN_RECV = 3,
    STATE_FIN_WAIT1 = 4,
    STATE_FIN_WAIT2 = 5,
    STATE_TIME_WAIT = 6,
    STATE_CLOSE = 7, /* TCP: bound, neither listening nor connected; UDP: not connected */
    STATE_CLOSE_WAIT = 8,
    STATE_LAST_ACK = 9,
    STATE_LISTEN = 10,
    STATE_CLOSING = 11,
};

/* Size of an array that is indexed by state; index 0 is unused. */
#define STATE_COUNT 12

enum protocol {
    PROTOCOL_TCP = 6,  /* IPPROTO_TCP */
    PROTOCOL_UDP = 17, /* IPPROTO_UDP */
};

/* The kernel's name without TCP_, e.g. "TIME_WAIT"; "?" for a number that is no state. */
const char *state_name(unsigned state);

/* Reads any usual spelling: TIME_WAIT, time-wait, TIMEWAIT, LISTENING, SYN_RECEIVED, FIN_WAIT_1,
 * CLOSED, UNCONN … -EINVAL when it is none. */
int state_parse(const char *text, enum sock_state *ret);

/* All names in the order of the numbers; *ret_n is 11. */
const char *const *state_names(size_t *ret_n);

/* "tcp" or "udp"; "?" otherwise. */
const char *protocol_name(unsigned protocol);

/* Reads tcp or udp in any case. -EINVAL when it is neither. */
int protocol_parse(const char *text, enum protocol *ret);
