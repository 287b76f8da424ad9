/* SPDX-License-Identifier: MIT */
/* Who owned a life before its owner now: where it was seen to change hands. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/life.h"
#include "connhist/model/owner.h"

struct entry;
struct ledger;

/* Changes kept of a life; what came before them is not known any more. */
#define OWNER_CHANGES_MAX 8

struct past_change {
    int64_t until_ms; /* as in struct owner_change */
    uint32_t owner;   /* number in the owner table, as one of its users; 0: not known */
};

/* The earlier owners of one life. */
struct owner_past {
    struct past_change changes[OWNER_CHANGES_MAX]; /* in order */
    int64_t noticed_ms; /* of the last one, if its time reaches back: when it was noticed; else 0 */
    uint32_t n;         /* in use, from 1; 0: this place is free */
    uint32_t next;      /* list of free places; a number */
};

/* entry->owner_seen of those seen in this snapshot. */
uint32_t owning_seen_now(const struct ledger *ledger);

/* Its owner was seen to hold it in this snapshot. */
void owning_seen(const struct ledger *ledger, struct entry *entry);

/* Its owner was seen not to hold it any more, before it gets another or none: up to when it was the
 * owner's is kept. Between the last time that it was seen to hold it and this snapshot it is nobody's
 * that is known. 0 or -ENOMEM. */
int owning_part(struct ledger *ledger, struct entry *entry);

/* The same where the process goes by another name: when that changed is known from the process. */
int owning_rename(struct ledger *ledger, struct entry *entry);

/* When it was last seen to have changed hands; TIME_UNKNOWN: never. */
int64_t owning_changed_ms(const struct ledger *ledger, const struct entry *entry);

/* Its owner holds it no more, and the next one did all the time: it is that one's from when the earlier
 * one was seen last to hold it, or else, if it has ended, to be there. 0 or -ENOMEM. */
int owning_hand_over(struct ledger *ledger, struct entry *entry);

/* It has an owner again, after a time without one that nobody knows of, but for one that held it all
 * the time. 0 or -ENOMEM. */
int owning_regain(struct ledger *ledger, struct entry *entry, const struct owner *owner);

/* Tells the earlier owners of a life, if it has any. 0 or -ENOMEM. */
int owning_tell_past(struct ledger *ledger, const struct entry *entry);

/* Takes them from the file. 0 or -ENOMEM. */
int owning_resume_past(struct ledger *ledger, struct entry *entry, const struct life *life);

/* The life is over. */
void owning_forget_past(struct ledger *ledger, struct entry *entry);
