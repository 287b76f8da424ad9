/* SPDX-License-Identifier: MIT */
/* Which life is looked for among the processes, when, and what the answer does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/life.h"
#include "connhist/model/owner.h"
#include "connhist/model/sample.h"
#include "lives.h"
#include "owning_past.h"

struct ledger;

#define OWNING_RECHECKS_MAX  256 /* sockets whose owner is held against what is now, in a snapshot */
#define OWNING_RECHECK_EVERY 4   /* … once in so many snapshots */

/* A life whose owner is looked for in this snapshot. */
struct ask {
    uint64_t cgroup; /* the sample's */
    uint64_t number; /* of the life: the entry may be another's by then */
    uint32_t index;  /* entry */
    bool has_inode;  /* the sample has one */
    bool recheck;    /* it has an owner: whether that still holds it */
    bool later;      /* the look before did not come to an end */
    bool quick;      /* … for what came to it just now: nobody else is looked for */
    bool doubtful;   /* … which is in doubt: the process ended, changed its name, or lost it */
};

/* A life that is its listener's if the next snapshot shows none that may have been the listener
 * instead. */
struct claim {
    uint64_t number; /* of the life */
    uint32_t index;  /* entry */
};

/* entry->owning: how its owner is known, or else why not, and how often it is looked for. */
#define OWNING_PAUSE_MAX 6 /* at every 64th snapshot */

static inline unsigned owning_source(const struct entry *entry)
{
    return entry->owning & 7; /* enum owner_source */
}

static inline unsigned owning_lack(const struct entry *entry)
{
    return entry->owning >> 3 & 3; /* enum owner_answer of the last look */
}

static inline unsigned owning_pause(const struct entry *entry)
{
    return entry->owning >> 5; /* it is looked for at snapshots that are a multiple of 1 << this */
}

static inline void owning_set(struct entry *entry, unsigned source, unsigned lack, unsigned pause)
{
    entry->owning = (uint8_t)(source | lack << 3 | pause << 5);
}

/* An inode appeared: it is looked for at once. */
static inline void owning_restart(struct entry *entry)
{
    owning_set(entry, owning_source(entry), OWNER_LATER, 0);
    entry->pending = false;
}

/* The file may not have what was told of it before. */
static inline void owning_tell_again(struct entry *entry)
{
    entry->retell |= entry->shared;
    entry->shared = false;
}

/* A sample of a life: counts it if its owner is not known, and puts it among those that are looked
 * for if its turn has come. 0 or -ENOMEM. */
int owning_see(struct ledger *ledger, uint32_t index, const struct sample *sample);

/* Notes one that may be the kernel's: no process has it, and it is bound as a tunnel's is. 0 or
 * -ENOMEM. */
int owning_kernel_see(struct ledger *ledger, uint32_t index, const struct sample *sample);
/* A life was closed. If a look before did not find its owner with it, and it was closed well after
 * that, it may have been another's by then: it is nobody's that is known. 0 or -ENOMEM. */
int owning_closed(struct ledger *ledger, uint32_t index);

/* Half-open, or not accepted yet: it stands in the queue of what listens now. */
bool owning_is_queued(const struct entry *entry);

/* The pid of what listens where a server's connection came from; 0: not known. */
uint32_t owning_listener_pid(const struct ledger *ledger, const struct entry *entry);

/* Its owner, which has one more user now (see owner_table_take()); 0: not known, or in doubt. */
uint32_t owning_of_listener(struct ledger *ledger, const struct entry *entry);

/* Whether what a listener's connection is is for the next snapshot to decide: this one may not show all
 * that listened when it was accepted. fresh: it shows the connection first. */
bool owning_is_early(const struct ledger *ledger, const struct entry *entry, bool fresh);

/* The listeners of what came in this snapshot are looked at: the owner may have given one away. After
 * roles_collect_listeners(). 0 or -ENOMEM. */
int owning_ask_listeners(struct ledger *ledger);

/* Who else holds a listener. */
void owning_see_holders(struct entry *entry, const struct owner_want *want);

/* A TCP socket that no snapshot saw was closed without a peer, or one ceased to listen: at its port
 * not all listeners are known. */
void owning_listened_unseen(struct ledger *ledger, uint16_t port);

/* A snapshot is complete: what comes later was not accepted before. */
void owning_listeners_complete(struct ledger *ledger);

/* One who holds a socket beside its owner. */
struct sharer {
    uint64_t life;    /* its number */
    int64_t start_ms; /* as in struct owner */
    uint32_t pid;
};

/* Tells who else holds it: others than these hold it no more. 0 or -ENOMEM. */
int owning_tell_holders(struct ledger *ledger, struct entry *entry, const struct owner_want *want);

/* Whether one was seen to hold it beside its owner. */
bool owning_is_sharer(const struct ledger *ledger, const struct entry *entry,
                      const struct owner *owner);

/* The life is over. */
void owning_forget_sharers(struct ledger *ledger, const struct entry *entry);

/* Gives a life its owners of the file. 0 or -ENOMEM. */
int owning_resume(struct ledger *ledger, struct entry *entry, const struct life *life);
