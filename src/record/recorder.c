/* SPDX-License-Identifier: MIT */
/* Beginning and end of a recording. */
#include "connhist/record/recorder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>

#include "connhist/kernel/host.h"
#include "connhist/store/known_services.h"
#include "recorder_private.h"

static void free_batch(void *batch)
{
    batch_free(batch);
}

void recorder_notice(const struct recorder *recorder, int level, const char *format, ...)
{
    char text[ERR_TEXT_MAX + 128];
    va_list args;

    if (!recorder->options.notice)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    recorder->options.notice(recorder->options.notice_arg, level, text);
}

static void set_recording(struct recorder *recorder)
{
    recorder->recording.boot_base_ms = recorder->timeline.base_ms;
    recorder->recording.started_ms = timeline_now_ms(&recorder->timeline);
    recorder->recording.interval_ms = recorder->options.interval_ms;
    recorder->recording.events_asked = (int64_t)recorder->options.events_bytes;
    recorder->recording.detail = recorder->options.detail;
    recorder->recording.version = recorder->options.version;
}

/* The record's clock goes on from where the file is. */
static int begin_time(struct recorder *recorder, const struct store_past *past)
{
    const struct clock *clock = &recorder->options.clock;
    struct epoch epoch;

    if (past->same_boot) {
        timeline_resume(&recorder->timeline, clock, past->boot_base_ms, past->offset_ms);
        return 0;
    }
    timeline_begin(&recorder->timeline, clock, past->last_ms, &epoch);
    return vec_push(&recorder->epochs, epoch);
}

static int know_service(void *arg, const struct service_key *key)
{
    struct recorder *recorder = arg;

    return ledger_know_service(recorder->ledger, key);
}

/* What the file tells apart it goes on telling apart, and counts against the bound. */
static int know_services(struct recorder *recorder, const struct netns_ref *netns, size_t n,
                         struct err *err)
{
    return store_each_service(recorder->store, netns, n, know_service, recorder, err);
}

static int resume_life(void *arg, const struct life *life)
{
    struct recorder *recorder = arg;

    namespaces_known(&recorder->namespaces, life->service.netns);
    return ledger_resume(recorder->ledger, life);
}

/* last_complete_ms: of a namespace in which later snapshots were not. */
static int resume_netns(void *arg, uint32_t netns, int64_t last_complete_ms)
{
    struct recorder *recorder = arg;

    return ledger_netns_resume_at(recorder->ledger, netns, last_complete_ms);
}

static enum netns_standing why_absent(void *arg, const struct netns_ref *netns)
{
    const struct recorder *recorder = arg;

    return recorder->source.ops->absence(recorder->source.ctx, netns);
}

static int resume_planned(void *arg, const struct life *life)
{
    struct recorder *recorder = arg;

    namespaces_known(&recorder->namespaces, life->service.netns);
    return ledger_resume_planned(recorder->ledger, life);
}

/* Lives that the file holds as open are still those of this boot: they are matched by cookie. Those
 * of a namespace that is not there any more are closed by telling all that is. */
static int resume_lives(struct recorder *recorder, const struct store_past *past, struct err *err)
{
    const struct netns_ref *netns;
    size_t n, skipped = 0, skipped_planned = 0;
    int r = recorder->source.ops->namespaces(recorder->source.ctx, &netns, &n, err);

    if (r < 0)
        return r;
    if (namespaces_note(&recorder->namespaces, netns, n, recorder->last_start_ms) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (past->last_complete_ms != TIME_UNKNOWN)
        ledger_resume_at(recorder->ledger, past->last_complete_ms);
    r = know_services(recorder, netns, n, err);
    if (r == 0)
        r = store_each_incomplete(recorder->store, netns, n, resume_netns, recorder, err);
    if (r == 0)
        r = store_leave_netns(recorder->store, netns, n, why_absent, recorder, err);
    if (r == 0)
        r = store_each_open(recorder->store, netns, n, resume_life, recorder, &skipped, err);
    if (r == 0)
        r = store_each_planned(recorder->store, netns, n, resume_planned, recorder,
                               &skipped_planned, err);
    if (r == 0 && (skipped > 0 || skipped_planned > 0))
        recorder->full_next = true;
    return r;
}

static int begin_ledger(struct recorder *recorder, const struct store_past *past, struct err *err)
{
    struct ledger_options options = recorder->options.ledger;

    options.base_ms = recorder->timeline.base_ms;
    options.interval_ms = recorder->options.interval_ms;
    options.next_life = past->next_life;
    options.events = recorder->events != NULL;
    options.owners = recorder->source.ops->owners != NULL;
    if (ledger_new(&options, &recorder->ledger) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    recorder->full_next = options.detail == LEDGER_DETAIL_OFF;
    if (past->same_boot)
        return resume_lives(recorder, past, err);
    /* no socket of this boot is older than what the file knows of the boot before */
    if (past->last_ms > 0)
        ledger_resume_at(recorder->ledger, past->last_ms);
    return 0;
}

/* Destroy events are listened to from before the first snapshot on, so that none slips between. */
static int begin_events(struct recorder *recorder, struct err *err)
{
    const struct source_ops *ops = recorder->source.ops;

    recorder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (recorder->wake_fd < 0)
        return err_errno(err, -errno, "eventfd");
    if (ops->events_fd(recorder->source.ctx) < 0)
        return 0;
    if (events_new(&recorder->source, &recorder->options.clock, recorder->options.queue_bytes,
                   recorder->wake_fd, recorder->stop_fd, &recorder->events) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int find_boot(struct recorder *recorder, struct err *err)
{
    if (!recorder->options.boot_id)
        return host_boot_id(recorder->recording.boot_id, err);
    snprintf(recorder->recording.boot_id, sizeof(recorder->recording.boot_id), "%s",
             recorder->options.boot_id);
    return 0;
}

static int begin(struct recorder *recorder, struct err *err)
{
    const struct recorder_options *options = &recorder->options;
    struct store_past past;
    int64_t rss_bytes;
    int r = find_boot(recorder, err);

    if (r == 0)
        r = begin_events(recorder, err);

    host_own_cost(&recorder->cpu_base_ms, &rss_bytes);
    if (r == 0)
        r = store_open(&options->store, &recorder->store, err);
    if (r == 0)
        fitting_take_retention(recorder);
    if (r == 0)
        r = store_read_past(recorder->store, recorder->recording.boot_id, &past, err);
    if (r == 0 && begin_time(recorder, &past) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    recorder->last_start_ms = past.last_ms;
    recorder->written_ms = past.has_snapshot ? past.last_snapshot_ms : 0;
    recorder->anchor_hour = -1;
    counting_state_init(&recorder->counting, &recorder->timeline.clock);
    set_recording(recorder);
    feed_note_absence(recorder, past.ended_ms);
    r = store_begin_recording(recorder->store, &recorder->recording, options->names,
                              options->n_names, err);
    if (r == 0)
        r = begin_ledger(recorder, &past, err);
    return r;
}

int recorder_new(const struct recorder_options *options, struct source *source,
                 struct recorder **ret, struct err *err)
{
    _cleanup_(cleanup_recorder_free) struct recorder *recorder = calloc(1, sizeof(*recorder));
    int r;

    if (!recorder) {
        source_finish(source);
        return err_set(err, -ENOMEM, "out of memory");
    }
    recorder->options = *options;
    recorder->source = *source;
    *source = (struct source){0};
    recorder->done_fd = recorder->wake_fd = -1;
    pthread_mutex_init(&recorder->retention_lock, NULL);
    if (options->retention.max_bytes)
        recorder_set_retention(recorder, &options->retention);
    recorder->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (recorder->stop_fd < 0)
        return err_errno(err, -errno, "eventfd");
    if (queue_new(options->queue_bytes, free_batch, &recorder->queue) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    r = begin(recorder, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(recorder);
    return 0;
}

/* The most steps of upkeep behind one tick, where no thread takes them. */
#define UPKEEP_STEPS 64

int recorder_tick(struct recorder *recorder, struct err *err)
{
    int r = disk_write_held(recorder, err);

    tick_take(recorder);
    while (r == 0 &&
           (recorder->held || queue_pop(recorder->queue, 0, (void **)&recorder->held) == 0))
        r = disk_write_held(recorder, err);
    for (int i = 0; i < UPKEEP_STEPS && disk_upkeep(recorder); i++)
        ;
    return r;
}

int recorder_start(struct recorder *recorder, int done_fd, struct err *err)
{
    int r;

    recorder->done_fd = done_fd;
    r = pthread_create(&recorder->disk_thread, NULL, disk_main, recorder);
    if (r != 0)
        return err_errno(err, -r, "can't start the disk thread");
    recorder->disk_started = true;
    if (recorder->events) {
        r = events_start(recorder->events);
        if (r < 0)
            return err_errno(err, r, "can't start the events thread");
    }
    r = pthread_create(&recorder->dump_thread, NULL, tick_main, recorder);
    if (r != 0)
        return err_errno(err, -r, "can't start the dump thread");
    recorder->dump_started = true;
    return 0;
}

static void join_threads(struct recorder *recorder, int64_t wait_ms)
{
    eventfd_write(recorder->stop_fd, 1);
    if (recorder->dump_started)
        pthread_join(recorder->dump_thread, NULL);
    events_stop(recorder->events);
    atomic_store(&recorder->give_up_ns,
                 clock_boottime_ns(&recorder->timeline.clock) + wait_ms * NS_PER_MS);
    queue_close(recorder->queue);
    if (recorder->disk_started)
        pthread_join(recorder->disk_thread, NULL);
    recorder->dump_started = recorder->disk_started = false;
}

void recorder_free(struct recorder *recorder)
{
    if (!recorder)
        return;
    if (recorder->dump_started || recorder->disk_started)
        join_threads(recorder, 0);
    batch_free(recorder->held);
    fitting_lose_parked(recorder);
    queue_free(recorder->queue);
    events_free(recorder->events);
    ledger_free(recorder->ledger);
    store_close(recorder->store);
    source_finish(&recorder->source);
    vec_finish(&recorder->namespaces);
    counting_state_finish(&recorder->counting);
    vec_finish(&recorder->losses);
    vec_finish(&recorder->epochs);
    if (recorder->wake_fd >= 0)
        close(recorder->wake_fd);
    if (recorder->stop_fd >= 0)
        close(recorder->stop_fd);
    pthread_mutex_destroy(&recorder->retention_lock);
    free(recorder);
}

int recorder_stop(struct recorder *recorder, int64_t wait_ms, struct err *err)
{
    join_threads(recorder, wait_ms);
    return disk_end(recorder, err);
}

bool recorder_failed(struct recorder *recorder)
{
    return atomic_load(&recorder->failed);
}

uint64_t recorder_ticks(struct recorder *recorder)
{
    return atomic_load(&recorder->ticks);
}

int64_t recorder_busy_ns(struct recorder *recorder)
{
    int64_t since_ns = atomic_load(&recorder->busy_since_ns);

    return since_ns ? clock_boottime_ns(&recorder->timeline.clock) - since_ns : 0;
}
