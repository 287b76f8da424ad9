/* SPDX-License-Identifier: MIT */
/* The recorder: source -> ledger -> store, at the ticks of a clock.
 *
 * Threads: `dump` takes snapshots and owns source and ledger; `disk` owns the store. Between them
 * is a queue of batches with a bound in bytes: a batch that does not fit is dropped, the loss
 * noted, and the next batch tells everything in full, so that the file is right again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/base/err.h"
#include "connhist/record/ledger.h"
#include "connhist/record/source.h"
#include "connhist/store/store.h"
#include "connhist/store/upkeep.h"

struct recorder;

/* A change that a person should know of; called from any of the recorder's threads. level:
 * syslog's. */
typedef void (*recorder_notice_fn)(void *arg, int level, const char *text);

struct recorder_options {
    struct store_options store;
    struct ledger_options ledger; /* ephemeral and next_life are found by the recorder */
    const char *detail;           /* as ledger.detail, in words, for the file */
    const struct service_name *names;
    size_t n_names;
    struct store_retention retention; /* max_bytes 0: all is kept, whatever it takes */
    int64_t interval_ms;
    int64_t sampling_ms; /* from one sampling of tcp_info to the next; 0: never */
    uint64_t max_ticks;  /* end after this many ticks; 0: never */
    size_t events_bytes; /* receive buffer for events that source asked for, to be noted */
    size_t queue_bytes;  /* bound of what may wait for the disk */
    const char *version; /* of the program */
    const char *boot_id; /* the boot that samples are of; NULL: this host's */
    struct clock clock;
    recorder_notice_fn notice;
    void *notice_arg;
};

/* Opens the file, reads what earlier runs left, notes the new recording. Takes source (also on
 * error). Everything that options points to must outlive the recorder. Errors as store_open(). */
int recorder_new(const struct recorder_options *options, struct source *source,
                 struct recorder **ret, struct err *err);
void recorder_free(struct recorder *recorder);
DEFINE_CLEANUP(struct recorder *, recorder_free)

/* One tick on the calling thread, written at once: for --once and tests; not between start and
 * stop. Returns the store's error, if any (the batch is kept and retried with the next). */
int recorder_tick(struct recorder *recorder, struct err *err);

/* Starts the threads. done_fd: an eventfd that is written to when max_ticks are done, or
 * the dump thread failed; -1: none. */
int recorder_start(struct recorder *recorder, int done_fd, struct err *err);

/* From the next batch on another bound and other ages; any thread. */
void recorder_set_retention(struct recorder *recorder, const struct store_retention *retention);

/* Ends the threads, after what waits was written or wait_ms went by in trying, and writes the
 * closing note. Also to be called in the end without recorder_start(). A recorder that is freed
 * without it leaves a file like one that died. Returns the store's error, if what waits or the note
 * could not be written. */
int recorder_stop(struct recorder *recorder, int64_t wait_ms, struct err *err);

/* Whether the dump thread ended by a failure, which was told; any thread. */
bool recorder_failed(struct recorder *recorder);

/* Ticks taken so far, for the watchdog; any thread. */
uint64_t recorder_ticks(struct recorder *recorder);

/* How long the dump thread has been at work on its current tick, ns; 0: it waits for the next. Any
 * thread. */
int64_t recorder_busy_ns(struct recorder *recorder);
