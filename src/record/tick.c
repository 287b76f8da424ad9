/* SPDX-License-Identifier: MIT */
/* One tick after the other: source -> ledger -> queue. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <unistd.h>

#include "connhist/kernel/host.h"
#include "recorder_private.h"

#define FAILING_TOLD_EACH 60         /* failed snapshots in a row between loss records */
#define EXTRA_EVERY_NS    NS_PER_SEC /* at most one snapshot out of turn in this time */

void tick_add_loss(struct recorder *recorder, const struct loss *loss)
{
    /* without memory for a note there is none to be had for the snapshot either, which shows as a
     * gap */
    if (vec_push(&recorder->losses, *loss) < 0)
        recorder_notice(recorder, LOG_ERR, "out of memory: a loss could not be noted");
}

/* Counts the ticks that went by while the recorder was busy, stopped or suspended. */
static void account_missed(struct recorder *recorder, int64_t now_ns)
{
    int64_t interval_ns = recorder->options.interval_ms * NS_PER_MS;
    int64_t missed;

    if (!recorder->next_ns)
        recorder->next_ns = now_ns;
    missed = (now_ns - recorder->next_ns) / interval_ns;
    if (missed > 0) {
        struct loss loss = {
            .from_ms = timeline_record_ms(&recorder->timeline, recorder->next_ns),
            .until_ms = timeline_record_ms(&recorder->timeline, now_ns),
            .count = (uint64_t)missed,
            .kind = LOSS_TICKS_MISSED,
        };

        recorder->ticks_missed += loss.count;
        tick_add_loss(recorder, &loss);
        recorder->next_ns += missed * interval_ns;
    }
    recorder->next_ns = (now_ns < recorder->next_ns ? now_ns : recorder->next_ns) + interval_ns;
}

/* Keeps the file's notes of failed snapshots few: one when it begins, then one for many. */
static void account_failure(struct recorder *recorder, int r, const struct err *err, int64_t now_ms)
{
    struct loss *failing = &recorder->failing;
    bool began = r < 0 && !recorder->is_failing;

    if (began)
        recorder_notice(recorder, LOG_WARNING, "a snapshot was interrupted: %s", err->text);
    if (r == 0 && recorder->is_failing)
        recorder_notice(recorder, LOG_NOTICE, "snapshots are complete again");
    recorder->is_failing = r < 0;
    if (r < 0) {
        if (failing->count == 0)
            *failing = (struct loss){.from_ms = recorder->last_start_ms, .kind = LOSS_DUMP_FAILED};
        failing->until_ms = now_ms;
        failing->count++;
        snprintf(failing->text, sizeof(failing->text), "%.119s", err->text);
    }
    if (failing->count && (began || r == 0 || failing->count >= FAILING_TOLD_EACH)) {
        tick_add_loss(recorder, failing);
        failing->count = 0;
    }
}

static void look_at_clock(struct recorder *recorder)
{
    struct epoch epoch;
    int64_t before = recorder->timeline.offset_ms;

    if (!timeline_check(&recorder->timeline, &epoch))
        return;
    recorder_notice(recorder, LOG_NOTICE,
                    "the wall clock was set by %+.3f s; the record goes on with boot time",
                    (double)(epoch.offset_ms - before) / MS_PER_SEC);
    if (vec_push(&recorder->epochs, epoch) < 0)
        recorder->timeline.offset_ms = before; /* seen again at the next tick */
}

/* A privilege that is missing is told once, and stands in the record. */
static void tell_lacks(struct recorder *recorder, const struct source_state *state)
{
    unsigned lacks = state->lacks & ~recorder->lacks_told;

    recorder->lacks_told |= lacks;
    if (lacks & NETNS_LACKS_ADMIN)
        recorder_notice(recorder, LOG_NOTICE,
                        "only the own network namespace is recorded: CAP_SYS_ADMIN is missing");
    if (lacks & NETNS_LACKS_PTRACE)
        recorder_notice(recorder, LOG_NOTICE,
                        "network namespaces that only processes of others show are not recorded: "
                        "CAP_SYS_PTRACE is missing");
    if (lacks & NETNS_LACKS_SOME)
        recorder_notice(recorder, LOG_WARNING, "not all network namespaces are recorded: %s",
                        state->lack);
}

static void fill_cost(struct recorder *recorder, struct recorder_cost *cost)
{
    struct ledger_stats stats;
    struct source_state state;

    ledger_stats(recorder->ledger, &stats);
    host_own_cost(&cost->cpu_ms, &cost->rss_bytes);
    cost->cpu_ms -= recorder->cpu_base_ms;
    cost->queue_peak = (int64_t)queue_peak_bytes(recorder->queue);
    cost->ticks_missed = recorder->ticks_missed;
    cost->roles_guessed = stats.roles_guessed;
    cost->services_other = stats.services_other;
    cost->closings = stats.closings;
    cost->unconnected = stats.unconnected;
    cost->unresolved = stats.unresolved;
    recorder->source.ops->state(recorder->source.ctx, &state);
    tell_lacks(recorder, &state);
    cost->netns = state.n_netns;
    cost->netns_lacks = state.lacks;
    if (recorder->events) {
        cost->event_buffer = (int64_t)state.event_buffer;
        cost->event_buffer_others = (int64_t)state.event_buffer_others;
    }
    cost->owners_later = stats.owners_later;
    cost->owners_absent = stats.owners_absent;
    cost->offload_told = stats.offload_told;
    cost->owners_denied = stats.owners_denied;
}

static int put_notes(struct recorder *recorder, struct batch *batch)
{
    for (size_t i = 0; i < recorder->losses.n; i++)
        if (vec_push(&batch->losses, recorder->losses.items[i]) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < recorder->epochs.n; i++)
        if (vec_push(&batch->epochs, recorder->epochs.items[i]) < 0)
            return -ENOMEM;
    if (recorder->dropped.count && vec_push(&batch->losses, recorder->dropped) < 0)
        return -ENOMEM;
    return 0;
}

/* The batch is lost: its snapshot is noted as such, and the next one tells everything. */
static void drop_batch(struct recorder *recorder, struct batch *batch, const char *why)
{
    struct loss *dropped = &recorder->dropped;
    int disk_error = atomic_load(&recorder->disk_error);

    if (disk_error)
        why = strerrordesc_np(-disk_error) ? strerrordesc_np(-disk_error) : "it can't be written";
    if (dropped->count == 0) {
        dropped->from_ms = recorder->last_start_ms;
        recorder_notice(recorder, LOG_ERR, "%s: snapshots are being lost from now on", why);
    }
    /* the queue may still be full when the disk can be written again: what filled it stands */
    if (dropped->count == 0 || disk_error) {
        dropped->kind = disk_error ? LOSS_WRITE_FAILED : LOSS_QUEUE_FULL;
        snprintf(dropped->text, sizeof(dropped->text), "%.119s", why);
    }
    dropped->until_ms = recorder->last_start_ms;
    dropped->count++;
    recorder->full_next = true;
    batch_free(batch);
}

static void send_batch(struct recorder *recorder, struct batch *batch)
{
    bool complete = batch->snapshot.status == SNAPSHOT_COMPLETE || batch->incomplete.n > 0;
    int r = put_notes(recorder, batch);

    if (r == 0) {
        batch_seal(batch);
        r = queue_push(recorder->queue, batch, batch->bytes);
    }
    if (r < 0) {
        drop_batch(recorder, batch, r == -ENOBUFS ? "the disk does not keep up" : "out of memory");
        return;
    }
    if (recorder->dropped.count)
        recorder_notice(recorder, LOG_NOTICE, "snapshots are stored again; %llu were lost",
                        (unsigned long long)recorder->dropped.count);
    recorder->dropped.count = 0;
    recorder->full_next = false;
    if (complete)
        namespaces_sent(&recorder->namespaces, recorder->ledger);
    vec_clear(&recorder->losses);
    vec_clear(&recorder->epochs);
}

/* The file was begun again: it knows neither what is open nor how the wall clock stands. */
static void tell_all(struct recorder *recorder, int64_t start_ms)
{
    struct epoch epoch = {.from_ms = start_ms, .offset_ms = recorder->timeline.offset_ms};

    recorder->full_next = true;
    if (vec_push(&recorder->epochs, epoch) < 0)
        atomic_store(&recorder->resync, true); /* at the next tick */
}

/* At the first snapshot, then at the one nearest to the pace. After a lost batch nobody knows what
 * the file has, and all is sampled again. */
static void begin_sampling(struct recorder *recorder, int64_t now_ns, bool full)
{
    int64_t slack_ms = recorder->options.interval_ms / 2;
    int64_t pace_ns = (recorder->options.sampling_ms - slack_ms) * NS_PER_MS;

    recorder->sampling =
        recorder->options.sampling_ms &&
        (full || !recorder->sampled_ns || now_ns - recorder->sampled_ns >= pace_ns);
    if (!recorder->sampling)
        return;
    recorder->sampled_ns = now_ns;
    ledger_sampling(recorder->ledger, full);
}

static void snapshot(struct recorder *recorder, struct batch *batch, int64_t now_ns)
{
    int64_t start_ms = timeline_record_ms(&recorder->timeline, now_ns);
    enum snapshot_status status;
    struct err err = {0};
    bool full, anchor;
    int r;

    recorder->before_ms = recorder->last_start_ms;
    if (start_ms <= recorder->last_start_ms)
        start_ms = recorder->last_start_ms + 1;
    recorder->last_start_ms = start_ms;
    if (!recorder->first_start_ms)
        recorder->first_start_ms = start_ms;
    if (atomic_exchange(&recorder->resync, false))
        tell_all(recorder, start_ms);
    full = recorder->full_next;
    anchor = full || start_ms / HOUR_MS != recorder->anchor_hour;
    feed_events(recorder);
    ledger_begin(recorder->ledger, start_ms, batch);
    begin_sampling(recorder, now_ns, full);
    counting_begin(&recorder->counting, &batch->counting, start_ms, full, recorder->ending || full);
    r = dump_all(recorder, batch, &err);
    counting_end(&recorder->counting);
    /* what the walk no longer saw has its event by now; after a loss the table is looked at once
     * more */
    if (feed_events(recorder))
        eventfd_write(recorder->wake_fd, 1);
    if (recorder->ending) {
        ledger_last(recorder->ledger);
        recorder->heard_ms = start_ms;
    }
    account_failure(recorder, r, &err, timeline_now_ms(&recorder->timeline));
    status = r < 0 ? SNAPSHOT_INTERRUPTED : SNAPSHOT_COMPLETE;
    feed_owners(recorder, status);
    r = ledger_end(recorder->ledger, status, anchor, full);
    if (r < 0) {
        drop_batch(recorder, batch, "out of memory");
        return;
    }
    recorder->first_done = true;
    batch->snapshot.took_us =
        (clock_boottime_ns(&recorder->timeline.clock) - now_ns) / (NS_PER_MS / 1000);
    fill_cost(recorder, &batch->cost);
    if (batch->snapshot.anchor)
        recorder->anchor_hour = start_ms / HOUR_MS;
    else if (full) /* it was interrupted and has no counts: the next one has to tell them all */
        recorder->anchor_hour = -1;
    send_batch(recorder, batch);
}

static void take(struct recorder *recorder, bool planned)
{
    struct batch *batch = batch_new();
    int64_t now_ns;

    /* an epoch begins before the snapshot that is shown by it */
    look_at_clock(recorder);
    now_ns = clock_boottime_ns(&recorder->timeline.clock);
    atomic_store(&recorder->busy_since_ns, now_ns);
    if (planned)
        account_missed(recorder, now_ns);
    if (batch)
        snapshot(recorder, batch, now_ns);
    else
        drop_batch(recorder, NULL, "out of memory");
    atomic_store(&recorder->busy_since_ns, 0);
}

void tick_take(struct recorder *recorder)
{
    take(recorder, true);
    atomic_fetch_add(&recorder->ticks, 1);
}

/* Between two ticks: events are taken when many wait. When some were lost, a snapshot out of turn
 * shows at once what is left of the sockets that the lost ones were about. */
static void on_wake(struct recorder *recorder)
{
    int64_t now_ns = clock_boottime_ns(&recorder->timeline.clock);
    eventfd_t value;

    eventfd_read(recorder->wake_fd, &value);
    recorder->extra_due |= feed_events(recorder);
    if (!recorder->extra_due || now_ns - recorder->last_extra_ns < EXTRA_EVERY_NS)
        return;
    recorder->extra_due = false;
    recorder->last_extra_ns = now_ns;
    take(recorder, false);
}

/* Between two ticks: namespaces that have gone are let go, and their last events taken. Returns how
 * long to wait before it is called again, in ms; -1: for ever. */
static int watch_namespaces(struct recorder *recorder)
{
    int64_t now_ns = clock_boottime_ns(&recorder->timeline.clock);
    bool gone = false;
    int wait_ms;

    if (now_ns < recorder->watch_ns)
        return (int)((recorder->watch_ns - now_ns) / NS_PER_MS) + 1;
    wait_ms = recorder->source.ops->watch(recorder->source.ctx, &gone);
    if (gone && feed_events(recorder))
        eventfd_write(recorder->wake_fd, 1);
    recorder->watch_ns = now_ns + wait_ms * NS_PER_MS;
    return wait_ms;
}

/* Waits for the next tick. 1: it is due; 0: the recorder shall end; or a negative errno. */
static int wait_for_tick(struct recorder *recorder, int timer_fd)
{
    struct itimerspec at = {.it_value = {.tv_sec = recorder->next_ns / NS_PER_SEC,
                                         .tv_nsec = recorder->next_ns % NS_PER_SEC}};
    struct pollfd fds[3] = {{.fd = recorder->stop_fd, .events = POLLIN},
                            {.fd = timer_fd, .events = POLLIN},
                            {.fd = recorder->wake_fd, .events = POLLIN}};
    uint64_t expirations;

    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        return -errno;
    for (;;) {
        if (poll(fds, 3, watch_namespaces(recorder)) < 0 && errno != EINTR)
            return -errno;
        if (fds[0].revents)
            return 0;
        if (fds[1].revents)
            break;
        if (fds[2].revents)
            on_wake(recorder);
    }
    return read(timer_fd, &expirations, sizeof(expirations)) > 0 || errno == EAGAIN ? 1 : -errno;
}

void *tick_main(void *arg)
{
    struct recorder *recorder = arg;
    int timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    uint64_t max = recorder->options.max_ticks;

    int r = timer_fd < 0 ? -errno : 1;

    while (r > 0) {
        recorder->ending = max && recorder_ticks(recorder) + 1 >= max;
        tick_take(recorder);
        if (max && recorder_ticks(recorder) >= max)
            break;
        r = wait_for_tick(recorder, timer_fd);
    }
    /* events since the last tick wait for a snapshot that shows what followed them */
    if (r == 0 && recorder->events) {
        recorder->ending = true;
        take(recorder, false);
    }
    if (timer_fd >= 0)
        close(timer_fd);
    if (r < 0) {
        recorder_notice(recorder, LOG_ERR, "can't wait for the next tick: %s",
                        strerrordesc_np(-r) ? strerrordesc_np(-r) : "unknown error");
        atomic_store(&recorder->failed, true);
    }
    if (recorder->done_fd >= 0 && r != 0)
        eventfd_write(recorder->done_fd, 1);
    return NULL;
}
