/* SPDX-License-Identifier: MIT */
/* Complete snapshots that follow one another further apart than planned are noted when the later one
 * is written: whoever asks for gaps need not look at every snapshot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/model/batch.h"

struct store;

/* The complete snapshot written last. */
struct pauses {
    int64_t last_ms;     /* its start, record time */
    int64_t offset_ms;   /* of the wall clock, then */
    int64_t recording;   /* recordings.id of the run that took it */
    int64_t interval_ms; /* of that run */
    int64_t interrupted; /* snapshots since that were not complete */
    bool is_known;       /* what follows was read from the file or written */
    bool has_last;       /* there is one */
};

/* It is to be read from the file again. */
void pauses_forget(struct pauses *pauses);

/* Looks at a snapshot that is about to be written, inside its transaction and behind its epochs, and
 * notes the pause that ends with it, if there was one. */
int pauses_look(struct store *store, const struct snapshot *snapshot, struct err *err);
