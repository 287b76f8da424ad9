/* SPDX-License-Identifier: MIT */
/* Work on a whole file: check it, save what a damaged one still holds, copy it. What is found is told
 * line by line. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/base/progress.h"

struct maintenance {
    struct progress *progress;                 /* NULL: none */
    void (*tell)(void *arg, const char *line); /* one finding, without newline */
    void *arg;
};

/* Looks whether the file is whole: as a database, and whether its rows make sense together. Reads one
 * instant of it and writes nothing. *ret_findings: lines told; 0: it is whole. -EBUSY: a recorder
 * writes it (it would have to keep its log for as long as this takes); errors as db_open(), but for
 * damage, which is a finding. */
int maintain_check(const char *path, const struct maintenance *work, int64_t *ret_findings,
                   struct err *err);

/* Makes the new file `to` of all that can still be read of `path`, which is only read: by its pages, each
 * for itself, with what its -wal holds. What lacks in the dictionaries is taken from their indexes,
 * else it becomes unknown; what makes no sense is left out; snapshots whose counts no longer add up
 * become incomplete. `to` is noted to have lost what it lost, and passes maintain_check().
 * *ret_lost: lines told; 0: nothing was lost. -EEXIST: `to` is there; -EBUSY: a recorder writes path;
 * -EMEDIUMTYPE: nothing of ours is in it. */
int maintain_repair(const char *path, const char *to, const struct maintenance *work,
                    int64_t *ret_lost, struct err *err);

/* Copies the file as it is at one instant to the new file `to`, while a recorder may be writing it. It
 * must keep its log for as long as that takes. -EEXIST: `to` is there. */
int maintain_copy(const char *path, const char *to, const struct maintenance *work,
                  struct err *err);

/* The same with what belongs to a span of time (record times, from_ms < until_ms): whole sockets that
 * were alive in it, and counts from the last full count before it on, with the names they need. */
int maintain_copy_span(const char *path, const char *to, int64_t from_ms, int64_t until_ms,
                       const struct maintenance *work, struct err *err);
