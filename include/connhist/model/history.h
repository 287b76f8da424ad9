/* SPDX-License-Identifier: MIT */
/* The states of a life in compact form, as the file stores them.
 *
 * Bytes: the state at the life's first known instant; then for each change the milliseconds since
 * the one before (unsigned LEB128) and the new state. `since_ms` of the life is the first instant.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Longest form that is kept; a socket with more changes (one that listens and stops again and
 * again) begins a new life. */
#define HISTORY_MAX_BYTES 250

/* Most bytes that one change adds. */
#define HISTORY_CHANGE_MAX 11

struct history_change {
    int64_t at_ms; /* when this state began, record time */
    uint8_t state; /* enum sock_state */
};

/* Writes up to 10 bytes of LEB128 to buf; returns how many. value >= 0. */
size_t history_put_number(uint8_t *buf, uint64_t value);

/* Walks a history: *offset starts at 0 and *change is {since_ms, 0}; each call moves both to the
 * next state. 1: moved; 0: at the end; -EBADMSG: the bytes are not a history. */
int history_next(const uint8_t *bytes, size_t n, size_t *offset, struct history_change *change);

/* The state at the instant at_ms (the last change not later); 0 when at_ms is before since_ms or
 * the bytes are damaged. *ret_since_ms (may be NULL): when that state began. */
unsigned history_state_at(const uint8_t *bytes, size_t n, int64_t since_ms, int64_t at_ms,
                          int64_t *ret_since_ms);

/* When `state` was entered last; INT64_MIN when never. */
int64_t history_entered(const uint8_t *bytes, size_t n, int64_t since_ms, unsigned state);
