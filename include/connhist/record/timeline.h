/* SPDX-License-Identifier: MIT */
/* The record's clock: a wall anchor plus boot time. It never steps back; what the wall clock does
 * besides is noted in epochs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/clock.h"
#include "connhist/model/batch.h"

/* The wall clock counts as changed when it moved this much against boot time, ms. */
#define TIMELINE_STEP_MS 10

struct timeline {
    struct clock clock;
    int64_t base_ms;   /* record time at the boot clock's zero */
    int64_t offset_ms; /* wall clock - record time, as last noted */
};

/* The first run in this boot: record time is the wall clock's, or if that lies behind last_ms (the
 * latest record time in the file, 0: none), the time just after it. *ret_epoch must be stored. */
void timeline_begin(struct timeline *timeline, const struct clock *clock, int64_t last_ms,
                    struct epoch *ret_epoch);

/* A later run in the same boot: goes on with its base and the offset noted last. */
void timeline_resume(struct timeline *timeline, const struct clock *clock, int64_t base_ms,
                     int64_t offset_ms);

/* Record time of an instant of CLOCK_BOOTTIME. */
int64_t timeline_record_ms(const struct timeline *timeline, int64_t boottime_ns);

/* Record time now. */
int64_t timeline_now_ms(const struct timeline *timeline);

/* Looks at the wall clock. True: it was set since the last look; *ret_epoch must be stored. */
bool timeline_check(struct timeline *timeline, struct epoch *ret_epoch);
