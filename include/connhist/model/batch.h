/* SPDX-License-Identifier: MIT */
/* What one tick changed: the ledger fills it, the store writes it in one transaction. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/changes.h"
#include "connhist/model/cost.h"
#include "connhist/model/counting.h"
#include "connhist/model/life.h"
#include "connhist/model/loss.h"
#include "connhist/model/owner.h"
#include "connhist/model/rate.h"
#include "connhist/model/service.h"

struct rate_vec {
    VEC_FIELDS(struct rate_change);
};
struct late_vec {
    VEC_FIELDS(struct late_facts);
};
struct sampled_vec {
    VEC_FIELDS(struct sampled_facts);
};
struct life_vec {
    VEC_FIELDS(struct life);
};
struct loss_vec {
    VEC_FIELDS(struct loss);
};
struct tally_vec {
    VEC_FIELDS(struct tally_change);
};
struct queue_vec {
    VEC_FIELDS(struct queue_change);
};
struct epoch_vec {
    VEC_FIELDS(struct epoch);
};
struct netns_vec {
    VEC_FIELDS(struct netns_ref);
};

struct batch {
    bool has_snapshot;        /* snapshot is meaningful (a batch may carry losses alone) */
    struct snapshot snapshot; /* what was seen, as counts and status */
    struct recorder_cost cost;
    struct netns_vec netns; /* every namespace that keys in this batch use, sorted by id */
    struct {
        VEC_FIELDS(uint32_t);
    } incomplete; /* namespaces in which alone the snapshot is not complete: ids, sorted, in netns */
    struct {
        VEC_FIELDS(struct netns_change);
    } standing;                 /* namespaces whose recording began or ended */
    struct owner_vec owners;    /* every owner that lives and holders in this batch name */
    struct life_vec opened;     /* new lives, alive; when snapshot.full: all lives alive */
    struct life_vec changed;    /* state, owner or inode changed, alive */
    struct life_vec closed;     /* ended; some were never in opened */
    struct life_vec amended;    /* closed before with a planned end (planned_ms), ended otherwise */
    struct late_vec late;       /* facts of lives that were closed before */
    struct sampled_vec sampled; /* facts of open lives that changed since they were told */
    struct rate_vec rates;      /* what came and went: to be added to what the file has */
    struct tally_vec tallies;   /* counts that changed; all that are not 0 when snapshot.anchor */
    struct queue_vec queues;    /* listeners' accept queues that changed */
    struct holder_vec holders;  /* who else holds a shared socket */
    struct owner_change_vec owner_changes; /* earlier owners; all of a life at once, in order */
    struct loss_vec losses;                /* what lacks, and when */
    struct epoch_vec epochs;               /* changes of the wall clock */
    struct counting counting;              /* counters, interfaces and routes, what changed */
    struct {
        VEC_FIELDS(uint8_t);
    } histories; /* memory behind the lives' history pointers */
    struct {
        VEC_FIELDS(char);
    } texts;      /* memory behind the owners' strings */
    size_t bytes; /* what it takes in memory, for the queue's bound; batch_seal() sets it */
};

/* NULL when memory is short. */
struct batch *batch_new(void);
void batch_free(struct batch *batch);

/* Appends life to a vector of the batch, its history copied into it (see batch_seal()). 0 or -ENOMEM. */
int batch_add_life(struct batch *batch, struct life_vec *to, const struct life *life);

/* Appends an owner with copies of its strings. number: by which lives name it, not 0. 0 or -ENOMEM. */
int batch_add_owner(struct batch *batch, uint32_t number, const struct owner *owner);

/* To be called once when all is in: sets pointers and bytes. */
void batch_seal(struct batch *batch);

/* Leaves what is counted (snapshot, tallies, rates, losses, epochs) of a sealed batch and drops what
 * tells of single sockets, which count as unkept from then on. It is no longer full, nor sampled. */
void batch_drop_detail(struct batch *batch);
