/* SPDX-License-Identifier: MIT */
/* What one tick changed, piece by piece: a batch carries them from the ledger to the store. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/life.h"
#include "connhist/model/service.h"

enum snapshot_status {
    SNAPSHOT_COMPLETE = 0,
    SNAPSHOT_INTERRUPTED =
        1, /* a dump failed or was inconsistent: nothing is concluded from absence, in the
              namespaces that batch.incomplete names, or if it is empty in any */
};

struct snapshot {
    int64_t start_ms; /* record time; grows strictly from snapshot to snapshot */
    int64_t took_us;  /* from the start of its first dump until the ledger was done */
    uint32_t sockets; /* samples after doubles were dropped */
    uint32_t doubles; /* samples of a socket that was seen already */
    uint32_t unkept;  /* samples tallied but not kept as lives (SYN_RECV flood) */
    uint8_t status;   /* enum snapshot_status */
    bool anchor;      /* tallies are written in full, not only changes */
    bool full;        /* lives are written in full: open ones not in `opened` have ended */
    bool sampled;     /* tcp_info of all connections was asked for */
};

struct tally_change {
    struct service_key service;
    uint32_t count; /* sockets in this state from this snapshot on */
    uint8_t state;  /* enum sock_state */
};

struct queue_change {
    uint64_t life;    /* number of a listener */
    uint32_t waiting; /* connections waiting for accept() */
    uint32_t limit;   /* the queue's limit */
};

/* From from_ms of record time on, wall clock = record time + offset_ms. */
struct epoch {
    int64_t from_ms;
    int64_t offset_ms;
};

/* What an event told of a life that was closed and written before. */
struct late_facts {
    uint64_t life; /* its number; it was closed with late_facts set */
    uint8_t closed_by;
    struct life_facts facts;
};

/* What tcp_info told of a connection that is open, or that is over while its socket's remains are
 * still there. Times are record time. */
struct sampled_facts {
    uint64_t life;            /* its number; in the file's `open` after this batch's lives are */
    int64_t last_sent_ms;     /* payload was sent last, or the connection opened; <= the snapshot */
    int64_t last_received_ms; /* likewise received */
    struct life_facts facts;
    bool is_over;      /* an event told it: nothing comes after that */
    uint8_t closed_by; /* if is_over: enum closed_by, as far as it is known */
};
