/* SPDX-License-Identifier: MIT */
/* What does not fit into the file now: it is written without its detail, so that counts and rates stay
 * whole, or waits in memory without it where somebody's long reading keeps the -wal from being begun
 * anew. When there is room again the next batch tells all that is open, and what lacks until then is
 * noted as a loss. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "recorder_private.h"

#define PAUSE_MAX 64 /* snapshots */

void recorder_set_retention(struct recorder *recorder, const struct store_retention *retention)
{
    pthread_mutex_lock(&recorder->retention_lock);
    recorder->retention = *retention;
    recorder->retention_new = true;
    pthread_mutex_unlock(&recorder->retention_lock);
}

void fitting_take_retention(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->retention_lock);
    if (recorder->retention_new) {
        store_set_retention(recorder->store, &recorder->retention);
        if (recorder->retention.max_bytes != recorder->max_bytes) /* there may be room now */
            recorder->full_waits = recorder->full_pause = 0;
        recorder->max_bytes = recorder->retention.max_bytes;
    }
    recorder->retention_new = false;
    pthread_mutex_unlock(&recorder->retention_lock);
}

/* The file's path comes first, and in the file everybody knows it. */
static const char *without_path(const char *text)
{
    const char *colon = strstr(text, ": ");

    return colon ? colon + 2 : text;
}

static void begin_thin(struct recorder *recorder, const struct err *err)
{
    recorder->lacks_detail = true;
    recorder->thin = (struct loss){.from_ms = recorder->written_ms, .kind = LOSS_DETAIL};
    if (recorder->thin.from_ms < recorder->recording.started_ms)
        recorder->thin.from_ms = recorder->recording.started_ms;
    snprintf(recorder->thin.text, sizeof(recorder->thin.text), "%.119s", without_path(err->text));
    recorder_notice(recorder, LOG_WARNING, "sockets are counted, but not recorded one by one: %s",
                    err->text);
}

static void strip_held(struct recorder *recorder)
{
    struct batch *held = recorder->held;

    if (recorder->held_thin)
        return;
    if (recorder->held_tells_thin) /* it was pushed last */
        held->losses.n--;
    recorder->held_tells_thin = false;
    recorder->held_thin = true;
    recorder->held_was_full = held->has_snapshot && held->snapshot.full;
    recorder->thin.count += held->has_snapshot;
    batch_drop_detail(held);
}

/* Once something lacks, only what tells all that is open has its place in the file. */
static int prepare_held(struct recorder *recorder, struct err *err)
{
    struct batch *held = recorder->held;

    if (!recorder->lacks_detail || recorder->held_thin || recorder->held_tells_thin)
        return 0;
    if (!held->has_snapshot || !held->snapshot.full) {
        strip_held(recorder);
        return 0;
    }
    recorder->thin.until_ms = held->snapshot.start_ms;
    if (vec_push(&held->losses, recorder->thin) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    recorder->held_tells_thin = true;
    return 0;
}

int fitting_write_parked(struct recorder *recorder, struct err *err)
{
    while (recorder->parked.n > 0) {
        struct batch *first = recorder->parked.items[0];
        int r = store_write(recorder->store, first, err);

        if (r < 0)
            return r;
        if (first->has_snapshot)
            recorder->written_ms = first->snapshot.start_ms;
        recorder->parked_bytes -= first->bytes;
        batch_free(first);
        recorder->parked.n--;
        memmove(recorder->parked.items, recorder->parked.items + 1,
                recorder->parked.n * sizeof(first));
    }
    return 0;
}

/* 1: it waits now; 0: there is no more room for what waits. */
static int park_held(struct recorder *recorder)
{
    struct batch *held = recorder->held;

    if (recorder->parked_bytes + held->bytes > recorder->options.queue_bytes ||
        vec_push(&recorder->parked, held) < 0)
        return 0;
    recorder->parked_bytes += held->bytes;
    recorder->held = NULL;
    recorder->held_thin = recorder->held_tells_lost = recorder->held_was_full = false;
    recorder->awaits_full = false;
    return 1;
}

int fitting_write_held(struct recorder *recorder, struct err *err)
{
    int r = prepare_held(recorder, err);

    if (r == 0)
        r = fitting_write_parked(recorder, err);
    if (r == 0)
        r = store_write(recorder->store, recorder->held, err);
    if (r != -EXFULL)
        return r;
    if (!recorder->lacks_detail)
        begin_thin(recorder, err);
    if (!recorder->held_thin) {
        strip_held(recorder);
        r = fitting_write_parked(recorder, err);
        if (r == 0)
            r = store_write(recorder->store, recorder->held, err);
        if (r != -EXFULL)
            return r;
    }
    return park_held(recorder) ? 1 : r;
}

/* To tell all that is open takes time and room, and what does not fit now seldom does a moment later: so it is tried
 * at growing distances, and at once when most are gone. Not so where the -wal can't be begun anew: who reads may end at any time. */
static void ask_for_all(struct recorder *recorder)
{
    if (recorder->held_was_full) {
        recorder->full_sockets = recorder->held->snapshot.sockets;
        recorder->full_pause = recorder->full_pause ? recorder->full_pause * 2 : 1;
        if (recorder->full_pause > PAUSE_MAX)
            recorder->full_pause = PAUSE_MAX;
        recorder->full_waits = recorder->full_pause;
    }
    recorder->held_was_full = false;
    if (recorder->full_waits && recorder->held->snapshot.sockets > recorder->full_sockets / 2)
        recorder->full_waits--;
    else
        atomic_store(&recorder->resync, true);
}

void fitting_written(struct recorder *recorder)
{
    if (recorder->held_tells_thin) {
        recorder_notice(recorder, LOG_NOTICE,
                        "sockets are recorded one by one again; %llu snapshots lack them",
                        (unsigned long long)recorder->thin.count);
        recorder->lacks_detail = false;
        recorder->full_waits = recorder->full_pause = 0;
    }
    if (recorder->lacks_detail)
        ask_for_all(recorder);
    recorder->held_thin = recorder->held_tells_thin = false;
}

int64_t fitting_told_ms(const struct recorder *recorder)
{
    size_t n = recorder->parked.n;

    return n ? recorder->parked.items[n - 1]->snapshot.start_ms : recorder->written_ms;
}

void fitting_lose_parked(struct recorder *recorder)
{
    for (size_t i = 0; i < recorder->parked.n; i++)
        batch_free(recorder->parked.items[i]);
    recorder->lost.count += recorder->parked.n;
    vec_finish(&recorder->parked);
    recorder->parked_bytes = 0;
}
