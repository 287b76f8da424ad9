/* SPDX-License-Identifier: MIT */
/* What came and went over time: the answer of `connhist report --measure`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/vec.h"
#include "connhist/model/coverage.h"
#include "connhist/report/filter.h"
#include "connhist/report/trend.h"
#include "connhist/report/walltime.h"
#include "connhist/store/upkeep.h"

struct db;

#define RATE_PERIOD_MS INT64_C(60000) /* what the file has is by the minute */
#define RATE_LEAST_MS  1000           /* what was counted for less makes no rate */

enum rate_measure {
    RATE_OPENED = 1, /* sockets that began */
    RATE_CLOSED,     /* sockets that ended, by how */
    RATE_BYTES,      /* payload of those that ended */
    RATE_DURATION,   /* how long they had lived, in ms */
    RATE_RTT,        /* their smoothed round trips, in us */
};

/* The filter's states and addresses do not count: minutes know neither. */
struct rate_question {
    struct filter filter;
    int64_t
        since_ms; /* wall time; taken down to a whole minute, hour or day: the shortest that is kept */
    int64_t
        until_ms; /* wall time, > since_ms; a minute that begins before it counts whole, as does the shortest period that is kept */
    int64_t step_ms; /* width of a bucket, taken up to whole minutes; 0: chosen, about 60 buckets
                         of a round width */
    unsigned by;     /* TREND_BY_PORT and TREND_BY_ROLE alone */
    unsigned top;    /* only the N series with the highest total; 0: all */
    enum rate_measure measure;
};

/* Of what is not the measure's, everything is 0. */
struct rate_point {
    int64_t at_ms;      /* begin of the bucket, wall time */
    int64_t covered_ms; /* how much of the bucket was recorded; more than its width where the clock
                           was set back and both passes count */
    bool recorded;      /* false: nothing of it was, the rest is meaningless */
    bool at_least;      /* something may lack: a part was not recorded, events were lost, or the
                           kernel was not asked for them */
    uint64_t opened;
    uint64_t closed[5]; /* by enum closed_by */
    uint64_t sent_bytes;
    uint64_t received_bytes;
    uint64_t n;            /* durations or round trips */
    int64_t p50, p90, p99; /* upper bounds of the buckets they lie in; meaningless if n is 0 */
};

struct rate_series {
    uint8_t protocol; /* 0: summed over */
    uint8_t role;     /* 0: summed over */
    int32_t port;     /* -2: summed over; SERVICE_PORT_OTHER */
    struct {
        VEC_FIELDS(struct rate_point);
    } points; /* one for each bucket, oldest first */
};

struct rates {
    int64_t since_ms; /* wall time, as used */
    int64_t until_ms;
    int64_t step_ms;
    int64_t shortest_ms; /* length of the shortest periods that are there at the begin: since_ms and
                              step_ms are multiples of it */
    enum tier tier;      /* the coarsest that was read from */
    size_t series_hidden;  /* left out by `top` */
    int64_t other_sockets; /* with ports in the filter: how many sockets came, or went, whose
                              service was not told apart; theirs may be among them */
    struct {
        VEC_FIELDS(struct rate_series);
    } series; /* by port, protocol, role; under top: highest total first */
    struct coverage coverage;
};

/* All ends of a point, however it ended. */
uint64_t rate_closed(const struct rate_point *point);

/* n a second, over what was recorded of the bucket; NAN: too little to tell. */
double rate_per_second(const struct rate_point *point, uint64_t n);

/* Answers; finish *ret only after 0. Call db_begin() before. A span in which nothing was recorded
 * gives 0 and no series, and coverage tells why; its gaps are also the times of runs that did not
 * count what is asked. Series of which nothing is to be told are left out. until_ms should not lie
 * in the future. A minute of the record counts for the minute of the wall clock in which its middle
 * lies.
 * -EINVAL: the span is empty, more than 100,000 buckets, or too many points; -ENODATA: the file is
 * of an edition that has no rates; -EBADMSG: it is damaged. */
int rate_ask(struct db *db, const struct walltime *walltime, const struct rate_question *question,
             struct rates *ret, struct err *err);
void rates_finish(struct rates *rates);
