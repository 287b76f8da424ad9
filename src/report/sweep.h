/* SPDX-License-Identifier: MIT */
/* Counts of many series over the complete snapshots of a span, held as their changes: a series
 * costs what it moves, not what it lasts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/address.h"
#include "connhist/report/coverage.h"
#include "connhist/report/trend.h"
#include "labels.h"

/* A port that is summed over. */
#define SERIES_ANY_PORT (-2)

/* What tells series apart; without padding, so that memory can be compared. */
struct series_key {
    int32_t port;        /* SERIES_ANY_PORT: summed over */
    uint8_t protocol;    /* 0: summed over */
    uint8_t role;        /* 0: summed over */
    uint8_t state;       /* 0: summed over */
    uint8_t peer_family; /* AF_INET or AF_INET6; 0: summed over */
    uint32_t uid;        /* UID_UNKNOWN; 0 if summed over, too */
    struct label_set labels;
    struct address peer; /* zero if summed over */
};

_Static_assert(sizeof(struct series_key) == 44, "padding in the key of a series");

/* Of the sockets that a series counts at the last snapshot. */
struct present {
    int64_t since_ms;   /* when that one entered its state that is in it longest, record time */
    int64_t started_ms; /* start of the process that has them all, record time */
    uint32_t pid;       /* ... its id; 0: not known, or several */
    bool any;           /* there is one */
};

struct change {
    size_t at;     /* index of the snapshot from which on it holds */
    int64_t delta; /* sockets more (or less) than at the snapshot before */
};

struct counted {
    struct series_key key;
    struct {
        VEC_FIELDS(struct change);
    } changes;         /* in any order until sweep_settle(); owned */
    size_t compact_at; /* when this many changes are there, those of one snapshot are merged */
    struct present present;
    int64_t max;     /* sweep_measure(): highest count */
    size_t max_at;   /* snapshot where that was first */
    int64_t now;     /* count at the last snapshot */
    double per_hour; /* slope over the last third */
    enum trend_direction direction;
};

struct sweep {
    const int64_t *times; /* complete snapshots, record time, ascending; not owned */
    size_t n_times;       /* at least 1 */
    struct {
        VEC_FIELDS(struct counted);
    } series; /* owned */
    struct {
        VEC_FIELDS(size_t);
    } places; /* hash table: index in series + 1, 0: free; its size is a power of 2; owned */
};

/* The key of a series for a socket of a service in a state; what only the socket itself knows is 0.
 */
struct series_key series_key_make(unsigned by, const struct service_key *service, uint8_t state);

/* Sets the key's peer. */
void series_key_set_peer(struct series_key *key, uint8_t family, const struct address *peer);

/* Index of the first snapshot not before an instant (record time), from `low` on; n_times: none. */
size_t sweep_index(const struct sweep *sweep, size_t low, int64_t at_ms);

/* From snapshot `at` on, delta sockets more. at >= n_times changes nothing. 0 or -ENOMEM. */
int sweep_add(struct sweep *sweep, const struct series_key *key, size_t at, int64_t delta);

/* Notes a socket that a series counts at the last snapshot: since when it has been in its state, and
 * whose it is (pid 0: not known). 0 or -ENOMEM. */
int sweep_note(struct sweep *sweep, const struct series_key *key, int64_t since_ms, uint32_t pid,
               int64_t started_ms);

/* Puts each series' changes in order. Once, when all is in. */
void sweep_settle(struct sweep *sweep);

/* Sets maximum, now and direction of every series. 0 or -ENOMEM. */
int sweep_measure(struct sweep *sweep);

void sweep_finish(struct sweep *sweep);
