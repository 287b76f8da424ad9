/* SPDX-License-Identifier: MIT */
/* Counts over time: the answer of `connhist report`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/coverage.h"
#include "connhist/report/filter.h"
#include "connhist/report/walltime.h"

struct db;

/* What series are told apart by; a set of bits. */
enum trend_by {
    TREND_BY_PORT = 1, /* protocol and port of the service */
    TREND_BY_ROLE = 2,
    TREND_BY_STATE = 4,
    TREND_BY_PEER = 8, /* remote address; from the sockets themselves, so detail must be recorded */
};

struct trend_question {
    struct filter filter;
    int64_t since_ms; /* wall time */
    int64_t until_ms; /* wall time, > since_ms */
    int64_t step_ms;  /* width of a bucket; 0: chosen, about 60 buckets of a round width */
    unsigned by;      /* enum trend_by */
    unsigned top;     /* only the N series with the highest maximum; 0: all */
};

struct trend_point {
    int64_t at_ms; /* begin of the bucket, wall time */
    bool recorded; /* false: no complete snapshot in it, the rest is meaningless */
    int64_t min;
    int64_t max;
    int64_t last; /* at the bucket's last complete snapshot */
    double avg;   /* over the bucket's complete snapshots */
};

enum trend_direction { TREND_STEADY, TREND_GROWING, TREND_SHRINKING, TREND_UNCLEAR };

struct trend_series {
    uint8_t protocol;            /* 0: summed over */
    uint8_t role;                /* 0: summed over */
    uint8_t state;               /* 0: summed over */
    int32_t port;                /* -2: summed over; SERVICE_PORT_OTHER */
    char peer[ADDRESS_TEXT_MAX]; /* "": summed over */
    struct {
        VEC_FIELDS(struct trend_point);
    } points;          /* one for each bucket, oldest first */
    int64_t max;       /* highest count at any complete snapshot of the span */
    int64_t max_at_ms; /* when that was first, wall time */
    int64_t now;       /* count at the last complete snapshot of the span */
    double per_hour; /* slope over the last third of the recorded span (least squares), sockets per
                        hour */
    enum trend_direction
        direction; /* that slope in a word; UNCLEAR: fewer than 3 snapshots there */
};

struct trend {
    int64_t since_ms; /* wall time, as asked */
    int64_t until_ms;
    int64_t step_ms;       /* as used */
    size_t series_hidden;  /* left out by `top` */
    int64_t other_sockets; /* with ports in the filter: how many client sockets there were at most
                              whose service was not told apart; theirs may be among them */
    struct {
        VEC_FIELDS(struct trend_series);
    } series;         /* by port, role, state; under top or by peer: highest maximum first */
    int64_t last_ms;  /* the last complete snapshot of the span, wall time; TIME_UNKNOWN: none */
    int64_t stale_ms; /* 1.5 of its intervals and 5 s later: then its counts are no longer those of
                         now */
    struct coverage coverage;
};

/* Answers; finish *ret only after 0. Call db_begin() before. A span in which nothing was recorded
 * gives 0 and no series, and coverage tells why. Series that are 0 throughout are left out.
 * until_ms should not lie in the future. By peer, or with a filter for addresses, sockets are
 * counted that were recorded in detail; else tallies. -EINVAL: the span is empty, more than 100,000
 * buckets, or too many points; -EBADMSG: the file is damaged. */
int trend_ask(struct db *db, const struct walltime *walltime, const struct trend_question *question,
              struct trend *ret, struct err *err);
void trend_finish(struct trend *trend);
