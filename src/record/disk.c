/* SPDX-License-Identifier: MIT */
/* From the queue to the file. What can't be written now is held and tried again; meanwhile the
 * queue fills up to its bound. A file that was removed, replaced or damaged under the recorder is
 * opened (or made) again. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <syslog.h>

#include "recorder_private.h"

#define RETRY_MS 1000

/* Opens the file anew. What waits for the old one does not fit the new: dump tells everything
 * again. */
static int reopen(struct recorder *recorder, struct err *err)
{
    int r;

    store_close(recorder->store);
    recorder->store = NULL;
    r = store_open(&recorder->options.store, &recorder->store, err);
    if (r == 0)
        r = store_begin_recording(recorder->store, &recorder->recording, recorder->options.names,
                                  recorder->options.n_names, err);
    if (r < 0) {
        store_close(recorder->store);
        recorder->store = NULL;
        return r;
    }
    atomic_store(&recorder->resync, true);
    recorder_notice(recorder, LOG_NOTICE, "opened %s anew", recorder->options.store.path);
    return 0;
}

static void tell_change(struct recorder *recorder, int r, const struct err *err)
{
    if (r < 0 && r != recorder->write_error)
        recorder_notice(recorder, LOG_ERR, "can't write %s: %s; snapshots wait in memory",
                        recorder->options.store.path, err->text);
    if (r == 0 && recorder->write_error)
        recorder_notice(recorder, LOG_NOTICE, "%s can be written again",
                        recorder->options.store.path);
    recorder->write_error = r;
}

int disk_write_held(struct recorder *recorder, struct err *err)
{
    struct err local = {0};
    int r = 0;

    if (!recorder->held)
        return 0;
    if (!err)
        err = &local;
    if (!recorder->store || !store_is_in_place(recorder->store))
        r = reopen(recorder, err);
    if (r == 0)
        r = store_write(recorder->store, recorder->held, err);
    if (r == -EBADMSG) {
        /* maybe it was the connection's view alone that was bad */
        store_close(recorder->store);
        recorder->store = NULL;
    }
    tell_change(recorder, r, err);
    if (r < 0)
        return r;
    batch_free(recorder->held);
    recorder->held = NULL;
    return 0;
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

void *disk_main(void *arg)
{
    struct recorder *recorder = arg;

    for (;;) {
        if (!recorder->held && queue_pop(recorder->queue, -1, (void **)&recorder->held) < 0)
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
