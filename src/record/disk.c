/* SPDX-License-Identifier: MIT */
/* From the queue to the file. What can't be written now is held and tried again; meanwhile the
 * queue fills up to its bound. A file that was removed, replaced or damaged under the recorder is
 * opened (or made) again. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "connhist/store/upkeep.h"
#include "recorder_private.h"

#define RETRY_MS 1000

/* Tries before a file that is there is given up as damaged, or a batch as one that no file takes.
 */
#define TRIES 5

/* Upkeep waits for an empty queue, but not for more batches than this. */
#define UPKEEP_BATCHES 8

static void cleanup_batch(struct batch **batch)
{
    batch_free(*batch);
}

/* The file holds what was told to another one, or less than it was told: what waits does not fit
 * it. dump tells everything again, and all before that is lost. */
static void begin_again(struct recorder *recorder, const char *why)
{
    struct loss *lost = &recorder->lost;

    if (!recorder->awaits_full)
        *lost = (struct loss){.from_ms = recorder->written_ms, .kind = LOSS_WRITE_FAILED};
    if (lost->from_ms < recorder->recording.started_ms)
        lost->from_ms = recorder->recording.started_ms;
    snprintf(lost->text, sizeof(lost->text), "%.119s", why);
    recorder->awaits_full = true;
    recorder->again_ms = timeline_now_ms(&recorder->timeline);
    atomic_store(&recorder->resync, true);
}

/* What a bad connection wrote last may have gone nowhere. */
static void check_end(struct recorder *recorder)
{
    struct store_past past;

    if (recorder->awaits_full)
        return;
    if (store_read_past(recorder->store, recorder->recording.boot_id, &past, NULL) < 0)
        past = (struct store_past){0};
    if (past.last_snapshot_ms >= recorder->written_ms)
        return;
    recorder->written_ms = past.last_snapshot_ms;
    begin_again(recorder, "the end of the file was damaged");
}

static int begin_file(struct recorder *recorder, struct err *err)
{
    struct recording recording = recorder->recording;
    int r;

    recording.started_ms = timeline_now_ms(&recorder->timeline);
    r = store_begin_recording(recorder->store, &recording, recorder->options.names,
                              recorder->options.n_names, err);
    if (r < 0) {
        store_disconnect(recorder->store);
        return r;
    }
    if (!recorder->set_aside)
        recorder_notice(recorder, LOG_WARNING, "%s was removed or replaced: it is begun again",
                        recorder->options.store.path);
    begin_again(recorder, recorder->set_aside ? "the file was damaged and moved aside"
                                              : "the file was removed or replaced");
    recorder->set_aside = false;
    recorder->tries = 0;
    return 0;
}

/* Makes the store ready to be written: it is not after it was found damaged, nor when its file was
 * removed or replaced. */
static int make_ready(struct recorder *recorder, struct err *err)
{
    bool same;
    int r;

    if (store_is_in_place(recorder->store))
        return 0;
    r = store_reopen(recorder->store, &same, err);
    if (r < 0)
        return r;
    if (!same)
        return begin_file(recorder, err);
    check_end(recorder);
    return 0;
}

static void free_held(struct recorder *recorder)
{
    batch_free(recorder->held);
    recorder->held = NULL;
    recorder->held_tells_lost = false;
}

/* Counts what a batch that is not written would have told. */
static void lose_held(struct recorder *recorder)
{
    const struct batch *held = recorder->held;

    recorder->lost.until_ms = held->snapshot.start_ms;
    recorder->lost.count++;
    for (size_t i = 0; i < held->losses.n; i++) {
        const struct loss *loss = &held->losses.items[i];

        if (loss->kind == LOSS_TICKS_MISSED || loss->kind == LOSS_QUEUE_FULL)
            recorder->lost.count += loss->count;
    }
    free_held(recorder);
}

/* 1: what is held may be written; 0: it was of no use. */
static int fit_held(struct recorder *recorder, struct err *err)
{
    struct batch *held = recorder->held;

    if (!recorder->awaits_full)
        return 1;
    if (!held->snapshot.full || held->snapshot.start_ms < recorder->again_ms) {
        lose_held(recorder);
        return 0;
    }
    if (recorder->held_tells_lost)
        return 1;
    recorder->lost.until_ms = held->snapshot.start_ms;
    if (vec_push(&held->losses, recorder->lost) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    recorder->held_tells_lost = true;
    return 1;
}

/* A change is told, and each kind of failure once until writing goes well again. */
static void tell_change(struct recorder *recorder, int r, const struct err *err)
{
    atomic_store(&recorder->disk_error, r);
    if (r == 0 && recorder->write_errors[0])
        recorder_notice(recorder, LOG_NOTICE, "%s can be written again",
                        recorder->options.store.path);
    if (r == 0)
        memset(recorder->write_errors, 0, sizeof(recorder->write_errors));
    for (size_t i = 0; r < 0 && i < WRITE_ERRORS_TOLD; i++) {
        if (recorder->write_errors[i] == r)
            return;
        if (recorder->write_errors[i])
            continue;
        recorder->write_errors[i] = r;
        recorder_notice(recorder, LOG_ERR, "can't write: %s; snapshots wait in memory", err->text);
        return;
    }
}

/* Nothing more is to be had of the file: it is kept under another name. */
static void give_up_file(struct recorder *recorder)
{
    _cleanup_free_ char *name = NULL;
    struct err err = {0};
    int r = store_set_aside(recorder->store, &name, &err);

    recorder->tries = 0;
    if (r < 0) {
        tell_change(recorder, r, &err);
        return;
    }
    recorder->set_aside = true;
    recorder_notice(recorder, LOG_ERR, "%s is damaged: it was moved to %s, a new file is begun",
                    recorder->options.store.path, name);
}

/* A batch that the file refuses whenever it comes must not stand in the way of all that follow. */
static void give_up_held(struct recorder *recorder, const struct err *err)
{
    recorder_notice(recorder, LOG_ERR, "a snapshot was lost, the file refuses it: %s", err->text);
    recorder->tries = 0;
    begin_again(recorder, err->text);
    lose_held(recorder);
}

/* What is not in order may be so at the next try; what is wrong in itself will not. */
static void take_failure(struct recorder *recorder, int r, const struct err *err)
{
    bool damaged = r == -EBADMSG || (r == -EMEDIUMTYPE && recorder->tries > 0);
    bool refused = r == -EINVAL || r == -EOVERFLOW || r == -E2BIG;

    tell_change(recorder, r, err);
    if (damaged) /* maybe it was the connection's view alone that was bad */
        store_disconnect(recorder->store);
    if (!damaged && !refused)
        return;
    if (++recorder->tries < TRIES)
        return;
    if (damaged)
        give_up_file(recorder);
    else
        give_up_held(recorder, err);
}

int disk_write_held(struct recorder *recorder, struct err *err)
{
    struct err local = {0};
    int r;

    if (!recorder->held)
        return 0;
    if (!err)
        err = &local;
    r = make_ready(recorder, err);
    if (r == 0)
        r = fit_held(recorder, err);
    if (r == 0)
        return 0;
    if (r > 0)
        r = store_write(recorder->store, recorder->held, err);
    if (r < 0) {
        take_failure(recorder, r, err);
        return r;
    }
    tell_change(recorder, 0, NULL);
    if (recorder->held_tells_lost && recorder->lost.count)
        recorder_notice(recorder, LOG_WARNING, "%llu snapshots were lost: %s",
                        (unsigned long long)recorder->lost.count, recorder->lost.text);
    recorder->tries = 0;
    recorder->awaits_full = false;
    recorder->written_ms = recorder->held->snapshot.start_ms;
    recorder->upkeep_due = true;
    recorder->upkeep_waits++;
    free_held(recorder);
    return 0;
}

/* What fails is told once, and tried again behind the next batch: the record goes on without it. */
bool disk_upkeep(struct recorder *recorder)
{
    struct err err = {0};
    int r = 0;

    if (!recorder->upkeep_due)
        return false;
    if (store_is_in_place(recorder->store))
        r = store_upkeep(recorder->store, timeline_now_ms(&recorder->timeline), &err);
    if (r < 0 && r != recorder->upkeep_error)
        recorder_notice(recorder, LOG_WARNING, "can't tidy the file: %s", err.text);
    recorder->upkeep_error = r < 0 ? r : 0;
    recorder->upkeep_waits = 0;
    recorder->upkeep_due = r > 0;
    return r > 0;
}

/* A loss that no full batch came to tell of. */
static int write_loss(struct recorder *recorder, struct err *err)
{
    _cleanup_(cleanup_batch) struct batch *batch = batch_new();

    if (!batch || vec_push(&batch->losses, recorder->lost) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return store_write(recorder->store, batch, err);
}

int disk_end(struct recorder *recorder, struct err *err)
{
    int r = 0;

    while (r == 0 &&
           (recorder->held || queue_pop(recorder->queue, 0, (void **)&recorder->held) == 0))
        r = disk_write_held(recorder, err);
    if (r == 0)
        r = make_ready(recorder, err);
    if (r == 0 && recorder->awaits_full && recorder->lost.count)
        r = write_loss(recorder, err);
    if (r == 0)
        r = store_end_recording(
            recorder->store,
            recorder->heard_ms ? recorder->heard_ms : timeline_now_ms(&recorder->timeline), err);
    return r;
}

static bool shall_give_up(struct recorder *recorder)
{
    int64_t at_ns = atomic_load(&recorder->give_up_ns);

    return at_ns && clock_boottime_ns(&recorder->timeline.clock) >= at_ns;
}

/* Waits before the next try; shorter when the recorder is ending. */
static void wait_to_retry(const struct recorder *recorder)
{
    struct pollfd fd = {.fd = recorder->stop_fd, .events = POLLIN};

    if (poll(&fd, 1, RETRY_MS) > 0)
        poll(NULL, 0, RETRY_MS / 10);
}

/* Takes the next batch; while there is none the file is looked after. */
static int take_next(struct recorder *recorder)
{
    int r;

    if (recorder->upkeep_waits >= UPKEEP_BATCHES)
        disk_upkeep(recorder);
    do
        r = queue_pop(recorder->queue, recorder->upkeep_due ? 0 : -1, (void **)&recorder->held);
    while (r == -ETIMEDOUT && (disk_upkeep(recorder), true));
    return r;
}

void *disk_main(void *arg)
{
    struct recorder *recorder = arg;

    for (;;) {
        if (!recorder->held && take_next(recorder) < 0)
            break;
        if (disk_write_held(recorder, NULL) == 0)
            continue;
        if (shall_give_up(recorder)) {
            recorder_notice(recorder, LOG_ERR, "ending with snapshots that could not be written");
            break;
        }
        wait_to_retry(recorder);
    }
    return NULL;
}
