/* SPDX-License-Identifier: MIT */
/* What a reading of counters, interfaces and routes changed in each namespace: once a minute, and of
 * interfaces and routes alone in between where the kernel tells of changes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/counter.h"
#include "connhist/model/interface.h"
#include "connhist/model/route.h"

#define COUNTING_PERIOD_MS  INT64_C(60000)
#define COUNTING_ROUTES_MAX 4096 /* of each class (route_class()) of a namespace, recorded */

#define COUNTED_NAMES_MAX 16384 /* of counters, in memory and in the file */
#define COUNTED_LINKS_MAX \
    (COUNTED_NAMES_MAX / 4 * 3) /* with so many the rest is the kernel's own */

/* How far apart readings are at most when none lacks: one in each minute, or with each snapshot where
 * those are rarer. The first snapshot of a minute may come late in it. */
static inline int64_t counting_late_ms(int64_t interval_ms)
{
    int64_t snapshots_ms = interval_ms + interval_ms / 2;

    return interval_ms < COUNTING_PERIOD_MS ? COUNTING_PERIOD_MS + snapshots_ms : snapshots_ms;
}

/* What a namespace has now, as the source reads it. Zeroed: nothing. */
struct counted_tables {
    struct counter_table counters;    /* owned; sorted */
    struct interface_list interfaces; /* owned; sorted */
    struct route_table routes;        /* owned; sorted */
    unsigned lacks;                   /* enum counted_part: what could not be read, or not whole */
};

void counted_tables_finish(struct counted_tables *tables);

/* Bits. The numbers stand in the file. */
enum counted_part {
    COUNTED_COUNTERS = 1,
    COUNTED_INTERFACES = 2,
    COUNTED_ROUTES = 4,
};

#define COUNTED_TABLES ((unsigned)COUNTED_INTERFACES | COUNTED_ROUTES)
#define COUNTED_ALL    (COUNTED_TABLES | COUNTED_COUNTERS)

/* How a value follows the one before. The numbers stand in the file. */
enum counter_turn {
    COUNTER_WENT_ON = 0,
    COUNTER_FIRST = 1,   /* nothing is known before it; of an interface that was met between two
                            readings it may have grown since */
    COUNTER_WRAPPED = 2, /* went on through 2^32 */
    COUNTER_RESET = 3,   /* began again from 0: what it had grown by before is not all known */
};

/* How a counter grew from one value to the next. long_bits: of the kernel's long, 32 or 64. *ret is
 * never negative. Gauges do not grow. */
enum counter_turn counter_growth(int64_t before, int64_t now, int long_bits, int64_t *ret);

/* A value that changed, or all that are not 0 where the namespace is told in full. */
struct counter_change {
    int64_t value;
    int64_t before;              /* of a gauge that went on: the value before; not in full */
    int64_t grew;                /* since the value before; 0 for gauges, and in full */
    uint16_t place;              /* as in struct counter */
    uint8_t protocol;            /* enum counter_protocol; 0: of an interface */
    uint8_t kind;                /* enum counter_kind */
    uint8_t turn;                /* enum counter_turn */
    bool named;                  /* only that there is one of this name is told: it is 0 */
    char name[COUNTER_NAME_MAX]; /* "TcpExt.ListenOverflows", "interface.eth0.rx_bytes" */
};

/* An interface begins to be like this, or ends being so: its statistics are counters. */
struct interface_change {
    struct interface interface; /* stats are not told */
    int64_t number;             /* by which it ends */
    bool ended;                 /* else it begins */
};

struct route_change {
    struct route route; /* first_hop: in counting.hops */
    int64_t number;     /* by which it ends */
    bool ended;         /* else it begins */
};

/* One namespace's share of the vectors below. */
struct counted_netns {
    uint32_t netns; /* as in the batch */
    uint32_t n_counters, n_interfaces, n_routes;
    uint8_t lacks; /* enum counted_part: nothing is told of those */
    uint8_t
        full;   /* likewise: the file may have anything of those; what is not told is 0, or ended */
    bool again; /* interfaces and routes alone, between two readings; nothing lacks, or nothing is
                      told */
};

struct counting {
    struct {
        VEC_FIELDS(struct counted_netns);
    } netns; /* in this order their shares follow each other */
    struct {
        VEC_FIELDS(struct counter_change);
    } counters;
    struct {
        VEC_FIELDS(struct interface_change);
    } interfaces;
    struct {
        VEC_FIELDS(struct route_change);
    } routes;
    struct route_hop_vec hops;
    uint32_t left_out; /* counters, interfaces and routes beyond a bound */
    bool taken;        /* there was a reading; else shares are `again`, or there are none */
};

void counting_finish(struct counting *counting);
size_t counting_bytes(const struct counting *counting);
