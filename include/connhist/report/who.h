/* SPDX-License-Identifier: MIT */
/* Who held a port, and when. The answer of `connhist who`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/address.h"
#include "connhist/model/owner.h"
#include "connhist/report/coverage.h"
#include "connhist/report/filter.h"
#include "connhist/report/walltime.h"

struct db;

/* What a process does with a port. */
enum who_use {
    WHO_LISTENER,   /* TCP LISTEN; UDP without a remote end */
    WHO_SHARER,     /* it holds a listener's socket, too, and is not its owner */
    WHO_BOUND,      /* TCP, bound, neither listening nor connected */
    WHO_CONNECTION, /* connections with this local port */
    WHO_CLIENT,     /* connections to this remote port */
};

/* "listener", "sharer", "bound", "connection", "client". */
const char *who_use_name(unsigned use);

/* Sockets of one owner and use without a complete snapshot between them. Times are wall times in ms
 * or TIME_UNKNOWN. */
struct who_row {
    int64_t from_ms;       /* began then, or up to one interval before; TIME_UNKNOWN: that is not
                                known, it was so already when it was first seen */
    int64_t from_after_ms; /* it was not seen yet by this complete snapshot of the same boot */
    int64_t first_seen_ms; /* first instant it is known to have been so */
    int64_t last_seen_ms;  /* last one: a complete snapshot, or the end itself */
    int64_t until_ms;      /* ended then, or up to one interval before; TIME_UNKNOWN: it is open, or
                                when it ended is not known */
    int64_t until_before_ms;    /* it had ended by this instant; TIME_UNKNOWN: it is open */
    int64_t process_started_ms; /* when the owner's process started */
    uint64_t sockets;           /* how many there were in all */
    int64_t uid;                /* -1: not known */
    const struct owner *owner;  /* as far as it is known; NULL: not at all. Valid during the call */
    const char *netns;          /* "": the recorder's own; valid during the call */
    struct address local;       /* WHO_CLIENT: meaningless */
    uint32_t scope_ifindex;     /* device of a link-local or device-bound socket, else 0 */
    uint16_t port; /* the one that was asked for: WHO_CLIENT the remote, else the local */
    uint8_t protocol;
    uint8_t family;       /* of local; WHO_CLIENT: 0 */
    uint8_t use;          /* enum who_use */
    uint8_t owner_source; /* enum owner_source: the least direct of its sockets */
    bool open;            /* at the last snapshot it still was so */
};

struct who_question {
    struct filter filter; /* ports, protocol, netns */
    int64_t from_ms;      /* record time: sockets that lived at some instant of this span */
    int64_t until_ms;     /* record time, included; >= from_ms */
};

/* Gets each row; valid during the call. A negative return ends the query with it. */
typedef int (*who_row_fn)(void *arg, const struct who_row *row);

/* Answers, rows by port, protocol, use, namespace and begin. coverage: of the span, from
 * coverage_load_in(); times: the snapshots that count where that is apart, else NULL. Call db_begin() before; it is ended before the first row is given.
 * -EBADMSG: the file is damaged. */
int who_ask(struct db *db, const struct walltime *walltime, const struct who_question *question,
            const struct snapshot_times *times, const struct coverage *coverage, who_row_fn fn,
            void *arg, struct err *err);
