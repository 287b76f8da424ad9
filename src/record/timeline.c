/* SPDX-License-Identifier: MIT */
#include "connhist/record/timeline.h"

#include <stdlib.h>

/* Reading both clocks takes this long at most, unless the thread was held up between them. */
#define BRACKET_NS    (1 * NS_PER_MS)
#define BRACKET_TRIES 8

/* The wall clock minus boot time, in ms, read so that a preemption between the two does not look
 * like a step. */
static int64_t wall_minus_boot_ms(const struct clock *clock)
{
    int64_t best_ns = INT64_MAX, difference_ns = 0;

    for (int i = 0; i < BRACKET_TRIES && best_ns > BRACKET_NS; i++) {
        int64_t before = clock_boottime_ns(clock), wall = clock_realtime_ns(clock);
        int64_t took = clock_boottime_ns(clock) - before;

        if (took < best_ns) {
            best_ns = took;
            difference_ns = wall - before - took / 2;
        }
    }
    return difference_ns >= 0 ? difference_ns / NS_PER_MS
                              : (difference_ns - NS_PER_MS + 1) / NS_PER_MS;
}

int64_t timeline_record_ms(const struct timeline *timeline, int64_t boottime_ns)
{
    return timeline->base_ms + boottime_ns / NS_PER_MS;
}

int64_t timeline_now_ms(const struct timeline *timeline)
{
    return timeline_record_ms(timeline, clock_boottime_ns(&timeline->clock));
}

void timeline_begin(struct timeline *timeline, const struct clock *clock, int64_t last_ms,
                    struct epoch *ret_epoch)
{
    int64_t wall_minus_boot = wall_minus_boot_ms(clock);

    *timeline = (struct timeline){.clock = *clock, .base_ms = wall_minus_boot};
    if (timeline_now_ms(timeline) <= last_ms)
        timeline->base_ms += last_ms + 1 - timeline_now_ms(timeline);
    timeline->offset_ms = wall_minus_boot - timeline->base_ms;
    *ret_epoch =
        (struct epoch){.from_ms = timeline_now_ms(timeline), .offset_ms = timeline->offset_ms};
}

void timeline_resume(struct timeline *timeline, const struct clock *clock, int64_t base_ms,
                     int64_t offset_ms)
{
    *timeline = (struct timeline){.clock = *clock, .base_ms = base_ms, .offset_ms = offset_ms};
}

bool timeline_check(struct timeline *timeline, struct epoch *ret_epoch)
{
    int64_t offset_ms = wall_minus_boot_ms(&timeline->clock) - timeline->base_ms;

    if (llabs(offset_ms - timeline->offset_ms) < TIMELINE_STEP_MS)
        return false;
    timeline->offset_ms = offset_ms;
    *ret_epoch = (struct epoch){.from_ms = timeline_now_ms(timeline), .offset_ms = offset_ms};
    return true;
}
