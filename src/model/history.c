/* SPDX-License-Identifier: MIT */
#include "connhist/model/history.h"

#include <errno.h>

#include "connhist/model/state.h"

size_t history_put_number(uint8_t *buf, uint64_t value)
{
    size_t n = 0;

    do {
        buf[n] = value & 0x7f;
        value >>= 7;
        if (value)
            buf[n] |= 0x80;
        n++;
    } while (value);
    return n;
}

/* Reads LEB128 at *offset and moves it behind; false when it is cut or too long. */
static int get_number(const uint8_t *bytes, size_t n, size_t *offset, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *offset < n && shift < 63; shift += 7) {
        uint8_t byte = bytes[(*offset)++];

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return 1;
        }
    }
    return 0;
}

int history_next(const uint8_t *bytes, size_t n, size_t *offset, struct history_change *change)
{
    uint64_t later = 0;

    if (*offset >= n)
        return 0;
    if (*offset > 0 && !get_number(bytes, n, offset, &later))
        return -EBADMSG;
    if (*offset >= n || later > INT64_MAX / 2 ||
        __builtin_add_overflow(change->at_ms, (int64_t)later, &change->at_ms))
        return -EBADMSG;
    /* readers index by it */
    if (bytes[*offset] == 0 || bytes[*offset] >= STATE_COUNT)
        return -EBADMSG;
    change->state = bytes[(*offset)++];
    return 1;
}

unsigned history_state_at(const uint8_t *bytes, size_t n, int64_t since_ms, int64_t at_ms,
                          int64_t *ret_since_ms)
{
    struct history_change change = {.at_ms = since_ms};
    int64_t began = since_ms;
    size_t offset = 0;
    unsigned state = 0;
    int r;

    while ((r = history_next(bytes, n, &offset, &change)) > 0 && change.at_ms <= at_ms) {
        state = change.state;
        began = change.at_ms;
    }
    if (r < 0 || state == 0)
        return 0;
    if (ret_since_ms)
        *ret_since_ms = began;
    return state;
}

int64_t history_entered(const uint8_t *bytes, size_t n, int64_t since_ms, unsigned state)
{
    struct history_change change = {.at_ms = since_ms};
    int64_t entered = INT64_MIN;
    size_t offset = 0;

    while (history_next(bytes, n, &offset, &change) > 0)
        if (change.state == state)
            entered = change.at_ms;
    return entered;
}
