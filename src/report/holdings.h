/* SPDX-License-Identifier: MIT */
/* Stretches of time in which somebody held a port, sorted by who and how, and merged. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/address.h"

/* Who holds what, and how; without padding, so that memory can be compared. */
struct holder_key {
    int64_t owner;          /* owners.id; 0: not known */
    int64_t netns;          /* netns.id */
    uint32_t scope_ifindex; /* as in struct who_row */
    uint16_t port;
    uint8_t protocol;
    uint8_t family; /* 0: any address */
    uint8_t use;    /* enum who_use */
    uint8_t kernel; /* 1: a socket of the kernel */
    uint8_t unused[6];
    struct address local; /* zero for any */
};

struct holder {
    struct holder_key key;
    uint8_t source; /* enum owner_source: the least direct so far */
};

/* One stretch; later all that merge with it. Record time. */
struct holding {
    int64_t from_ms;
    int64_t until_ms; /* first instant it is over; INT64_MAX: open */
    int64_t after_ms; /* it began after this instant, when is not known; 0: at from_ms */
    int64_t by_ms;    /* it ended by this instant, when is not known; 0: at until_ms */
    uint64_t sockets;
    uint32_t holder; /* index */
    bool from_known; /* it began within one interval before from_ms */
    bool exact;      /* the kernel told of its end */
};

struct holdings {
    struct {
        VEC_FIELDS(struct holder);
    } holders;
    struct {
        VEC_FIELDS(uint32_t);
    } places; /* hash table: index in holders + 1, 0: free; its size is a power of 2 */
    struct {
        VEC_FIELDS(struct holding);
    } items;
};

void holdings_finish(struct holdings *holdings);

/* Adds a stretch; its `holder` is set. 0 or -ENOMEM. */
int holdings_add(struct holdings *holdings, const struct holder_key *key, unsigned source,
                 const struct holding *holding);

/* Whether a stretch that ended and one that began, first_ms <= second_ms, may be one: 1, 0 or a
 * negative errno. */
typedef int (*holdings_joined_fn)(void *arg, int64_t first_ms, int64_t second_ms, struct err *err);

/* Merges stretches of a holder that overlap or are joined. 0, or an error of `joined`. */
int holdings_merge(struct holdings *holdings, holdings_joined_fn joined, void *arg,
                   struct err *err);
