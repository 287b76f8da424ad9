/* SPDX-License-Identifier: MIT */
/* The events thread: reads destroy events as they come, so that the kernel's buffer does not
 * overflow, and waits for nothing else. What it read waits in a queue with a bound for the dump
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/clock.h"
#include "connhist/base/vec.h"
#include "connhist/model/closing.h"
#include "connhist/record/source.h"

/* The kernel tells of a closed socket a little later than it closed: 16 ms at the median and 57 ms at
 * most were seen on a busy host. What was closed so long before events were lost may be among them.
 */
#define EVENTS_LATE_MS 100

struct netns_closing {
    uint32_t netns; /* id */
    struct closing closing;
};

/* What was read at one time. */
struct closings {
    struct {
        VEC_FIELDS(struct netns_closing);
    } items;
    bool lost;                           /* some were lost in [lost_from_ns, lost_until_ns] */
    bool dropped;                        /* the loss is ours: the queue was full */
    bool failed;                         /* reading failed: what waits there may be lost */
    bool crowded;                        /* too many waited for a complete snapshot */
    uint64_t n_lost;                     /* how many, where it is known */
    int64_t lost_from_ns, lost_until_ns; /* boot time */
};

void closings_free(struct closings *closings);

struct events;

/* max_bytes: the bound of what may wait. wake_fd: an eventfd, written to when something was lost,
 * or the queue is filling up. stop_fd: readable when the thread shall end. 0 or -ENOMEM. */
int events_new(const struct source *source, const struct clock *clock, size_t max_bytes,
               int wake_fd, int stop_fd, struct events **ret);
void events_free(struct events *events);

/* Starts the thread; events_stop() ends it once stop_fd is readable. 0 or negative errno. */
int events_start(struct events *events);
void events_stop(struct events *events);

/* Takes everything that was told up to now, in order: what waits in the queue, then what the kernel
 * holds. *ret is the caller's; NULL: nothing. 0 or a negative errno of reading (what came before it
 * is in *ret). */
int events_take(struct events *events, struct closings **ret, struct err *err);
