/* SPDX-License-Identifier: MIT */
/* Counts of many series over the complete snapshots of a span, held as their changes: a series
 * costs what it moves, not what it lasts. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/address.h"
#include "connhist/report/coverage.h"
#include "connhist/report/trend.h"

/* A port that is summed over. */
#define SERIES_ANY_PORT (-2)

/* What tells series apart; without padding, so that memory can be compared. */
struct series_key {
    int32_t port;        /* SERIES_ANY_PORT: summed over */
    uint8_t protocol;    /* 0: summed over */
    uint8_t role;        /* 0: summed over */
    uint8_t state;       /* 0: summed over */
    uint8_t peer_family; /* AF_INET or AF_INET6; 0: summed over */
    struct address peer; /* zero if summed over */
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
    int64_t max;       /* sweep_measure(): highest count */
    size_t max_at;     /* snapshot where that was first */
    int64_t now;       /* count at the last snapshot */
    double per_hour;   /* slope over the last third */
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

/* The key of a series for a socket of a service in a state; peer may be NULL. */
struct series_key series_key_make(unsigned by, const struct service_key *service, uint8_t state,
                                  uint8_t peer_family, const struct address *peer);

/* Index of the first snapshot not before an instant (record time), from `low` on; n_times: none. */
size_t sweep_index(const struct sweep *sweep, size_t low, int64_t at_ms);

/* From snapshot `at` on, delta sockets more. at >= n_times changes nothing. 0 or -ENOMEM. */
int sweep_add(struct sweep *sweep, const struct series_key *key, size_t at, int64_t delta);

/* Puts each series' changes in order. Once, when all is in. */
void sweep_settle(struct sweep *sweep);

/* Sets maximum, now and direction of every series. 0 or -ENOMEM. */
int sweep_measure(struct sweep *sweep);

void sweep_finish(struct sweep *sweep);
