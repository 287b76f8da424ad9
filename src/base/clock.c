/* SPDX-License-Identifier: MIT */
#include "connhist/base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec now = {0};

    clock_gettime(id, &now);
    return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static int64_t system_boottime_ns(void *ctx)
{
    (void)ctx;
    return read_ns(CLOCK_BOOTTIME);
}

static int64_t system_realtime_ns(void *ctx)
{
    (void)ctx;
    return read_ns(CLOCK_REALTIME);
}

struct clock clock_system(void)
{
    return (struct clock){.boottime_ns = system_boottime_ns, .realtime_ns = system_realtime_ns};
}
