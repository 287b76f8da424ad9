/* SPDX-License-Identifier: MIT */
/* The namespaces that the batches tell of: those that are dumped now, and those that have gone until
 * nothing more can come of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/batch.h"
#include "connhist/record/ledger.h"
#include "connhist/record/source.h"

struct namespace
{
    struct netns_ref ref;
    uint64_t time_wait_dropped; /* the kernel's counter at the last look */
    int64_t at_ms;    /* record time from which on it is recorded, or up to which it was */
    bool known;       /* what a snapshot shows first there has opened since the one before */
    bool present;     /* it was there at the latest tick */
    bool told;        /* the file knows its standing */
    uint8_t standing; /* enum netns_standing */
    uint8_t n_absent; /* complete snapshots sent since it went */
};

struct namespaces {
    VEC_FIELDS(struct namespace); /* sorted by id */
};

/* Takes what the source told at a snapshot. 0 or -ENOMEM. */
int namespaces_note(struct namespaces *namespaces, const struct netns_ref *refs, size_t n,
                    int64_t start_ms);

/* Asks the source why some are not there any more, and tells the ledger of those that may still be.
 * before_ms: the snapshot before. 0 or -ENOMEM. */
int namespaces_miss(struct namespaces *namespaces, const struct source *source, int64_t start_ms,
                    int64_t before_ms, struct ledger *ledger);

/* An earlier run in the same boot had lives in this namespace. */
void namespaces_known(struct namespaces *namespaces, uint32_t id);

/* Tells the ledger of those that it must not know the age of. 0 or -ENOMEM. */
int namespaces_warn(struct namespaces *namespaces, struct ledger *ledger);

/* Tells the ledger what holds in a namespace now. 0 or -ENOMEM. */
int namespaces_facts(struct namespaces *namespaces, uint32_t id, const struct netns_facts *facts,
                     struct ledger *ledger);

/* All of them into the batch, with what changed of their standing; full: of all. 0 or -ENOMEM. */
int namespaces_put(struct namespaces *namespaces, struct batch *batch, bool full);

/* A complete snapshot was sent: forgets those of which nothing more can come. */
void namespaces_sent(struct namespaces *namespaces, struct ledger *ledger);
