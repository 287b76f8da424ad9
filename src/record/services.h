/* SPDX-License-Identifier: MIT */
/* The services in use, with their counts at the snapshot being taken and as last told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "admission.h"
#include "connhist/base/vec.h"
#include "connhist/model/batch.h"
#include "connhist/model/service.h"
#include "connhist/model/state.h"

struct service_slot {
    struct service_key key;
    uint32_t rate;              /* its latest entry in the batch's rates + 1; 0: none */
    uint32_t lives;             /* lives that refer to it */
    uint32_t next;              /* hash chain, or list of free places */
    uint32_t now[STATE_COUNT];  /* sockets in each state, counted in this snapshot */
    uint32_t told[STATE_COUNT]; /* the same as the file knows it */
    uint8_t used;               /* 0: this place is free */
};

#define SERVICES_BUCKETS 1024u

struct services {
    struct {
        VEC_FIELDS(struct service_slot);
    } slots;
    uint32_t buckets[SERVICES_BUCKETS]; /* first slot of each chain */
    uint32_t free;                      /* first free place */
    uint32_t n;                         /* in use */
    uint32_t clients;                   /* client services told apart now */
    uint32_t max_clients;
    uint64_t folded; /* times that a socket was sent to `other` */
    struct admission admission;
};

/* max_services: told apart over the life of the file, see admission.h. */
void services_init(struct services *services, uint32_t max_clients, uint32_t max_services);
void services_finish(struct services *services);

/* The slot for a key, made if needed; a new one beyond a bound becomes that of
 * SERVICE_PORT_OTHER. Pointers into slots move. 0 or -ENOMEM. */
int services_get(struct services *services, const struct service_key *key, uint32_t *ret);

/* A snapshot begins: all counts of now are 0. */
void services_begin(struct services *services, int64_t start_ms);

/* What was counted in a namespace is not to be told: its counts stay those that were. */
void services_keep(struct services *services, uint32_t netns);

/* A snapshot is complete: adds what changed (all that is not 0 if anchor) to batch, and lets go of
 * slots that nothing refers to. 0 or -ENOMEM. */
int services_tell(struct services *services, bool anchor, struct tally_vec *ret);
