/* SPDX-License-Identifier: MIT */
/* What came and went at a service within a period. */
#pragma once

#include <stdint.h>

#include "connhist/model/service.h"

/* Buckets of a histogram: bucket 0 counts 0, bucket n the values whose number of bits is n (1, 2-3,
 * 4-7 …); the last one also all above. */
#define HISTOGRAM_BUCKETS 32

struct histogram {
    uint32_t counts[HISTOGRAM_BUCKETS];
};

/* The bucket of a value. */
static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned bits = value ? 64 - (unsigned)__builtin_clzll(value) : 0;

    return bits < HISTOGRAM_BUCKETS ? bits : HISTOGRAM_BUCKETS - 1;
}

/* What came and went at a service within a period; batches carry what was added since the batch
 * before. */
struct rate_change {
    struct service_key service;
    int64_t period_ms;       /* begin of the period: a whole minute of record time */
    uint64_t opened;         /* lives that began */
    uint64_t closed[5];      /* lives that ended, by enum closed_by */
    uint64_t sent_bytes;     /* payload of those that ended */
    uint64_t received_bytes; /* payload of those that ended */
    struct histogram
        duration_ms; /* how long they lived; of those that no snapshot saw, or that ended in a
                                   * gap: at least */
    struct histogram rtt_us; /* smoothed round trips, where measured */
};
