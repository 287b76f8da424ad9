/* SPDX-License-Identifier: MIT */
/* A clock that is passed in, so that tests can make time go as they like. */
#pragma once

#include <stdint.h>

#define NS_PER_MS  INT64_C(1000000)
#define MS_PER_SEC INT64_C(1000)
#define NS_PER_SEC (NS_PER_MS * MS_PER_SEC)

struct clock {
    int64_t (*boottime_ns)(void *ctx); /* CLOCK_BOOTTIME: ns since boot, runs through suspend */
    int64_t (*realtime_ns)(void *ctx); /* CLOCK_REALTIME: ns since 1970 UTC, may be set */
    void *ctx;                         /* handed to both */
};

/* The system's clocks. */
struct clock clock_system(void);

static inline int64_t clock_boottime_ns(const struct clock *clock)
{
    return clock->boottime_ns(clock->ctx);
}

static inline int64_t clock_realtime_ns(const struct clock *clock)
{
    return clock->realtime_ns(clock->ctx);
}
