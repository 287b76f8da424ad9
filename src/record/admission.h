/* SPDX-License-Identifier: MIT */
/* Which services are told apart: those that the file has of a namespace, and new ones as long as there are
 * places. What is gone takes none from what is there: its counts go by age and size, as all do, and its
 * services with them. A scan of all ports, or a program with a peer at each, must not use them up, so a day gives away no more
 * than a part of what is left, and some are kept for what is listened at below the ephemeral ports. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"
#include "connhist/model/service.h"

/* A namespace's places. */
struct admission_netns {
    uint32_t netns;  /* number within this run */
    uint32_t n;      /* given */
    uint32_t before; /* of them, before this day */
};

struct admission {
    uint64_t *known; /* hash of services that have a place, 0: empty; owned */
    size_t size;     /* of it, a power of two; 0: none yet */
    size_t n;        /* in it, with those of namespaces that are gone */
    struct {
        VEC_FIELDS(struct admission_netns);
    } netns;
    int64_t day;          /* of the record's clock, from 1970 */
    uint32_t max;         /* places in a namespace; 0: no bound, and nothing is kept */
    uint32_t all_but_own; /* places given, but for those of the recorder's own namespace */
};

/* Namespaces together have so many times the places of one; the recorder's own has its own in any case. */
#define ADMISSION_NETNS 16u

void admission_init(struct admission *admission, uint32_t max);
void admission_finish(struct admission *admission);

/* A snapshot begins at a record time: with a new day there are new shares. */
void admission_day(struct admission *admission, int64_t start_ms);

/* The file has that service already. 0 or -ENOMEM. */
int admission_know(struct admission *admission, const struct service_key *key);

/* A namespace is gone for good, and its places are free. */
void admission_leave(struct admission *admission, uint32_t netns);

/* Whether a service is told apart; one that is has its place from now on. 1, 0 or -ENOMEM. */
int admission_ask(struct admission *admission, const struct service_key *key);
