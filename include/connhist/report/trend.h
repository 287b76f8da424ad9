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
#include "connhist/store/upkeep.h"

struct db;

/* What series are told apart by; a set of bits. */
enum trend_by {
    TREND_BY_PORT = 1, /* protocol and port of the service */
    TREND_BY_ROLE = 2,
    TREND_BY_STATE = 4,
    TREND_BY_NETNS = 8,
    /* from the sockets themselves, so detail must be recorded: */
    TREND_BY_PEER = 16,    /* remote address */
    TREND_BY_PROCESS = 32, /* name and program of the owner */
    TREND_BY_PID = 64,     /* ... and which process it is */
    TREND_BY_UNIT = 128,   /* systemd unit */
    TREND_BY_CONTAINER = 256,
    TREND_BY_UID = 512,
};

#define TREND_BY_OWNER \
    (TREND_BY_PROCESS | TREND_BY_PID | TREND_BY_UNIT | TREND_BY_CONTAINER | TREND_BY_UID)
#define TREND_BY_LIVES (TREND_BY_PEER | TREND_BY_OWNER)

struct trend_question {
    struct filter filter;
    int64_t since_ms; /* wall time */
    int64_t until_ms; /* wall time, > since_ms; the span ends before it */
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
    bool
        bounds; /* the count is a sum, and what it is a sum of is kept added up one by one: no fewer
                     than min, no more than max */
};

enum trend_direction { TREND_STEADY, TREND_GROWING, TREND_SHRINKING, TREND_UNCLEAR };

struct trend_series {
    uint8_t protocol;            /* 0: summed over */
    uint8_t role;                /* 0: summed over */
    uint8_t state;               /* 0: summed over */
    int32_t port;                /* -2: summed over; SERVICE_PORT_OTHER */
    uint32_t pid;                /* where all that are counted at the span's last snapshot belong to
                                    one process; by pid: the series'; 0: not so, or not known */
    char peer[ADDRESS_TEXT_MAX]; /* "": summed over */
    const char *process;   /* name; "(kernel)" for sockets of the kernel; NULL: not known, or summed
                              over. Like what follows of the trend's texts */
    const char *exe;       /* path of the program; NULL: not known */
    const char *unit;      /* "": none; NULL: not known, or summed over */
    const char *container; /* "": none; NULL: not known, or summed over */
    const char *netns;     /* "": the recorder's own; NULL: summed over */
    int64_t uid;           /* -1: not known, or summed over */
    int64_t oldest_ms; /* how long that one of those counted at the last snapshot has been in its
                              state that is in it longest, as far as it was seen; -1: not known (from
                              tallies), or there is none */
    struct {
        VEC_FIELDS(struct trend_point);
    } points;          /* one for each bucket, oldest first */
    int64_t max;       /* highest count at any complete snapshot of the span */
    int64_t max_at_ms; /* when that was first, wall time; of a period the first snapshot */
    int64_t now;       /* count at the last complete snapshot of the span */
    double per_hour; /* slope over the last third of the recorded span (least squares), sockets per
                        hour */
    enum trend_direction
        direction; /* that slope in a word; UNCLEAR: fewer than 3 snapshots there */
    bool kernel;   /* no process: the sockets are the kernel's */
};

struct trend {
    int64_t since_ms;     /* wall time, as asked; taken down to a multiple of shortest_ms */
    int64_t until_ms;     /* likewise, taken up; a snapshot at it does not count */
    int64_t step_ms;      /* as used */
    int64_t shortest_ms;  /* what was recorded at the begin is added up over periods of this length,
                            and the step is a multiple of it; 0: the snapshots are there */
    enum tier tier;       /* the coarsest that was read from */
    bool bounds;          /* points of series have bounds for min and max */
    size_t series_hidden; /* left out by `top` */
    int64_t other_sockets; /* with ports in the filter: how many sockets there were at most
                              whose service was not told apart; theirs may be among them */
    struct {
        VEC_FIELDS(struct trend_series);
    } series;       /* by port, role, state; under top or by peer: highest maximum first */
    int64_t unkept; /* counted from the sockets themselves: how many more were in the tallies of a
                       snapshot, at most, of which nothing else is known */
    struct {
        VEC_FIELDS(char *);
    } texts;          /* names in the series; owned */
    int64_t last_ms;  /* the last complete snapshot of the span, wall time; TIME_UNKNOWN: none */
    int64_t stale_ms; /* 1.5 of its intervals and 5 s later: then its counts are no longer those of
                         now */
    struct coverage coverage;
};

/* Answers; finish *ret only after 0. Call db_begin() before. A span in which nothing was recorded
 * gives 0 and no series, and coverage tells why. Series that are 0 throughout are left out.
 * until_ms should not lie in the future. By peer or owner, or with a filter for them, sockets are
 * counted that were recorded in detail (see unkept); else tallies. -EINVAL: the span is empty, more than 100,000
 * buckets, or too many points; -EBADMSG: the file is damaged. */
int trend_ask(struct db *db, const struct walltime *walltime, const struct trend_question *question,
              struct trend *ret, struct err *err);
void trend_finish(struct trend *trend);
