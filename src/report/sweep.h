/* SPDX-License-Identifier: MIT */
/* Counts of many series over the moments of a span: at snapshots held as their changes, so that a series
 * costs what it moves, not what it lasts; of periods held one by one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/address.h"
#include "connhist/report/trend.h"
#include "labels.h"
#include "moments.h"

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

/* The sockets of a period; where there were none there is none of these. */
struct period_count {
    size_t at;    /* which moment */
    int64_t min;  /* fewest at a snapshot */
    int64_t max;  /* most */
    int64_t last; /* at its last snapshot */
    int64_t sum;  /* over its snapshots */
    size_t
        moving; /* how many of the counts that this is a sum of were not the same throughout: with
                        more than one min and max are bounds */
};

struct counted {
    struct series_key key;
    struct {
        VEC_FIELDS(struct change);
    } changes; /* at snapshots; in any order until sweep_settle(); owned */
    struct {
        VEC_FIELDS(struct period_count);
    } periods;         /* likewise; owned */
    size_t compact_at; /* when this many changes are there, those of one snapshot are merged */
    struct present present;
    int64_t max;     /* sweep_measure(): highest count */
    size_t max_at;   /* moment where that was first */
    int64_t now;     /* count at the last snapshot */
    double per_hour; /* slope over the last third */
    enum trend_direction direction;
};

struct sweep {
    const struct moments *moments; /* not owned */
    const int64_t *times;          /* of them; not owned */
    size_t n_times;                /* at least 1 */
    struct {
        VEC_FIELDS(struct counted);
    } series; /* owned */
    struct {
        VEC_FIELDS(size_t);
    } places; /* hash table: index in series + 1, 0: free; its size is a power of 2; owned */
};

/* What a series was for a while: the same at the snapshots [first, end), or a period. */
struct stretch {
    size_t first; /* the first moment */
    size_t end;   /* behind the last one */
    int64_t n;    /* snapshots */
    int64_t min;
    int64_t max;
    int64_t last;
    double sum;  /* over the snapshots */
    bool bounds; /* min and max are no more than bounds */
};

/* Where a walk over a series is; begins as {0}. */
struct sweep_walk {
    size_t at;           /* the next moment */
    size_t change;       /* the next change */
    size_t period;       /* the next of the moments that are periods */
    size_t period_count; /* the next of the series' own */
    int64_t count;       /* of sockets, at the last snapshot */
};

/* A sweep over moments, which stay the caller's. */
void sweep_init(struct sweep *sweep, const struct moments *moments);

/* The next stretch of a settled series, which does not reach over the moment `end`; false: end is
 * reached. */
bool sweep_next(const struct sweep *sweep, const struct counted *counted, struct sweep_walk *walk,
                size_t end, struct stretch *ret);

/* The key of a series for a socket of a service in a state; what only the socket itself knows is 0.
 */
struct series_key series_key_make(unsigned by, const struct service_key *service, uint8_t state);

/* Sets the key's peer. */
void series_key_set_peer(struct series_key *key, uint8_t family, const struct address *peer);

/* Index of the first snapshot not before an instant (record time), from `low` on; n_times: none. */
size_t sweep_index(const struct sweep *sweep, size_t low, int64_t at_ms);

/* From snapshot `at` on, delta sockets more. at >= n_times changes nothing. 0 or -ENOMEM. */
int sweep_add(struct sweep *sweep, const struct series_key *key, size_t at, int64_t delta);

/* What a series was in a period more. 0 or -ENOMEM. */
int sweep_add_period(struct sweep *sweep, const struct series_key *key,
                     const struct period_count *count);

/* Notes a socket that a series counts at the last snapshot: since when it has been in its state, and
 * whose it is (pid 0: not known). 0 or -ENOMEM. */
int sweep_note(struct sweep *sweep, const struct series_key *key, int64_t since_ms, uint32_t pid,
               int64_t started_ms);

/* Puts each series' changes in order. Once, when all is in. */
void sweep_settle(struct sweep *sweep);

/* Sets maximum, now and direction of every series. 0 or -ENOMEM. */
int sweep_measure(struct sweep *sweep);

void sweep_finish(struct sweep *sweep);
