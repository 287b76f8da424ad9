/* SPDX-License-Identifier: MIT */
/* From the events thread to the ledger, on the dump thread. */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>

#include "connhist/kernel/tunnels.h"
#include "connhist/record/ledger_owners.h"
#include "recorder_private.h"

#define KERNEL_PORTS_MAX 1024 /* of tunnels in one namespace */

static const char *why_lost(const struct closings *closings)
{
    if (closings->failed)
        return "events could not be read";
    if (closings->crowded)
        return "snapshots were interrupted, and too many events waited for a complete one";
    return closings->dropped ? "the queue of events was full"
                             : "the kernel's buffer of events overflowed";
}

/* The ledger could not take one. */
static void lose(struct closings *closings, const struct closing *closing, int r)
{
    if (!closings->lost || closing->received_ns < closings->lost_from_ns)
        closings->lost_from_ns = closing->received_ns;
    if (!closings->lost || closing->received_ns > closings->lost_until_ns)
        closings->lost_until_ns = closing->received_ns;
    closings->lost = true;
    closings->crowded |= r == -ENOBUFS;
    closings->dropped |= r != -ENOBUFS;
    closings->n_lost++;
}

static void note_lost_events(struct recorder *recorder, const struct closings *closings)
{
    struct loss loss = {
        .from_ms = timeline_record_ms(&recorder->timeline, closings->lost_from_ns) - EVENTS_LATE_MS,
        .until_ms = timeline_record_ms(&recorder->timeline, closings->lost_until_ns),
        .count = closings->n_lost,
        .kind = LOSS_EVENTS,
    };

    snprintf(loss.text, sizeof(loss.text), "%s", why_lost(closings));
    if (!recorder->events_lost)
        recorder_notice(recorder, LOG_WARNING,
                        "events of closed sockets were lost: %s; further losses are in the record",
                        loss.text);
    recorder->events_lost = true;
    tick_add_loss(recorder, &loss);
}

void feed_note_absence(struct recorder *recorder, int64_t ended_ms)
{
    struct loss loss = {.from_ms = ended_ms - EVENTS_LATE_MS,
                        .until_ms = recorder->recording.started_ms,
                        .kind = LOSS_EVENTS,
                        .text = "the recorder was not running"};

    if (recorder->events && ended_ms != TIME_UNKNOWN)
        tick_add_loss(recorder, &loss);
}

/* A person is told when it begins to fail, and when it goes well again. */
static void tell_reading(struct recorder *recorder, int r, const struct err *err)
{
    bool failing = r < 0;

    if (failing && !recorder->events_failing)
        recorder_notice(recorder, LOG_ERR, "reading events: %s", err->text);
    if (!failing && recorder->events_failing)
        recorder_notice(recorder, LOG_NOTICE, "events are read again");
    recorder->events_failing = failing;
}

bool feed_events(struct recorder *recorder)
{
    struct closings *closings = NULL;
    struct err err = {0};
    bool lost;
    int r;

    if (!recorder->events)
        return false;
    r = events_take(recorder->events, &closings, &err);
    tell_reading(recorder, r, &err);
    if (r < 0)
        ledger_events_lost(recorder->ledger);
    if (!closings)
        return false;
    lost = closings->lost; /* of another snapshot the ledger would not have more room */
    for (size_t i = 0; i < closings->items.n; i++) {
        const struct netns_closing *one = &closings->items.items[i];

        if (i + LEDGER_EXPECT_AHEAD < closings->items.n)
            ledger_expect(recorder->ledger, one[LEDGER_EXPECT_AHEAD].netns,
                          &one[LEDGER_EXPECT_AHEAD].closing);
        r = ledger_closing(recorder->ledger, one->netns, &one->closing);
        if (r < 0)
            lose(closings, &one->closing, r);
    }
    if (closings->lost) {
        ledger_events_lost(recorder->ledger);
        note_lost_events(recorder, closings);
    }
    closings_free(closings);
    return lost;
}

static void look_for_owners(void *arg, struct owner_want *wants, size_t n, bool recheck)
{
    const struct recorder *recorder = arg;

    recorder->source.ops->owners(recorder->source.ctx, wants, n, recheck);
}

static int check_owner(void *arg, const struct owner *owner)
{
    const struct recorder *recorder = arg;

    return recorder->source.ops->check_owner(recorder->source.ctx, owner);
}

void feed_kernel_ports(struct recorder *recorder)
{
    struct tunnel_port ports[KERNEL_PORTS_MAX];
    int n;

    if (!ledger_wants_kernel_ports(recorder->ledger))
        return;
    n = recorder->source.ops->kernel_ports
            ? recorder->source.ops->kernel_ports(recorder->source.ctx, ports, KERNEL_PORTS_MAX)
            : 0;
    /* what fails here is looked for again, and makes ledger_end() fail if it is our memory */
    ledger_kernel_ports(recorder->ledger, ports, n > 0 ? (size_t)n : 0);
}

void feed_owners(struct recorder *recorder, enum snapshot_status status)
{
    const uint32_t *gone;
    size_t n = ledger_gone(recorder->ledger, &gone);

    if (n && recorder->source.ops->gone)
        recorder->source.ops->gone(recorder->source.ctx, gone, n);
    /* what fails here makes ledger_end() fail */
    if (recorder->source.ops->owners)
        ledger_find_owners(recorder->ledger, status, look_for_owners, check_owner, recorder);
}
