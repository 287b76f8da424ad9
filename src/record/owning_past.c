/* SPDX-License-Identifier: MIT */
/* Earlier owners. A look shows who holds a socket at that moment. When the next one shows another,
 * the socket changed hands at some time between the two, and whose it was meanwhile nobody knows. */
#include "owning_past.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "ledger_private.h"
#include "owning.h"

/* Lives keep the time of the last look in so many ms since the first snapshot, rounded up: less than
 * the shortest interval, so that no other snapshot lies between, and enough for 8 years. */
#define SEEN_UNIT_MS 64

static struct owner_past *past_get(const struct ledger *ledger, uint32_t number)
{
    return &ledger->pasts.items[number - 1];
}

uint32_t owning_seen_now(const struct ledger *ledger)
{
    int64_t units = (ledger->start_ms - ledger->first_ms) / SEEN_UNIT_MS + 1;

    return units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

void owning_seen(const struct ledger *ledger, struct entry *entry)
{
    entry->owner_seen = owning_seen_now(ledger);
}

/* The snapshot before this one, of whatever run. */
static int64_t snapshot_before(const struct ledger *ledger)
{
    return ledger->previous_ms != TIME_UNKNOWN ? ledger->previous_ms : ledger->complete_ms;
}

/* How long it may take until all sockets were looked at, at most, if every look comes to its end. */
static int64_t round_ms(const struct ledger *ledger, const struct entry *entry)
{
    uint32_t users = owner_table_get(&ledger->owners, entry->owner)->users;

    return (int64_t)(ledger->owners.n + 1) * (1 + users / OWNING_RECHECKS_MAX) *
           OWNING_RECHECK_EVERY * ledger->options.interval_ms;
}

/* The first instant after the last look that showed its owner with it. */
static int64_t seen_until(const struct ledger *ledger, const struct entry *entry)
{
    if (entry->owner_seen)
        return ledger->first_ms + (int64_t)entry->owner_seen * SEEN_UNIT_MS;
    /* the run before looked at it for the last time before it ended */
    if (ledger->complete_ms == TIME_UNKNOWN)
        return entry->since_ms;
    return (ledger->complete_ms < ledger->first_ms ? ledger->complete_ms : ledger->first_ms) -
           round_ms(ledger, entry);
}

/* A number for a life's past. 0: no memory. */
static uint32_t new_past(struct ledger *ledger)
{
    uint32_t number = ledger->pasts_free;

    if (number) {
        ledger->pasts_free = past_get(ledger, number)->next;
        *past_get(ledger, number) = (struct owner_past){0};
        return number;
    }
    if (vec_push(&ledger->pasts, (struct owner_past){0}) < 0)
        return 0;
    return (uint32_t)ledger->pasts.n;
}

/* The two oldest become one, of an owner that is not known. */
static void forget_oldest(struct ledger *ledger, struct owner_past *past)
{
    owner_table_drop(&ledger->owners, past->changes[0].owner);
    owner_table_drop(&ledger->owners, past->changes[1].owner);
    past->changes[1].owner = 0;
    memmove(past->changes, past->changes + 1, --past->n * sizeof(past->changes[0]));
}

/* Up to until_ms it was the owner's. */
static int push(struct ledger *ledger, struct entry *entry, int64_t until_ms, uint32_t owner)
{
    struct owner_past *past = entry->past ? past_get(ledger, entry->past) : NULL;
    struct past_change *last = past ? &past->changes[past->n - 1] : NULL;

    if (until_ms <= (last ? last->until_ms : entry->since_ms))
        return 0;
    if (!past)
        entry->past = new_past(ledger);
    if (!entry->past)
        return -ENOMEM;
    past = past_get(ledger, entry->past);
    if (last && last->owner == owner) {
        last->until_ms = until_ms;
        return 0;
    }
    if (past->n == OWNER_CHANGES_MAX)
        forget_oldest(ledger, past);
    owner_table_keep(&ledger->owners, owner);
    past->changes[past->n++] = (struct past_change){.until_ms = until_ms, .owner = owner};
    return 0;
}

/* It was the owner's for certain up to seen_ms, and not from_ms on, before which before_ms was the
 * last snapshot. */
static int part(struct ledger *ledger, struct entry *entry, int64_t seen_ms, int64_t from_ms,
                int64_t before_ms)
{
    int r;

    if (seen_ms > before_ms)
        return push(ledger, entry, from_ms, entry->owner);
    r = push(ledger, entry, seen_ms, entry->owner);
    return r < 0 ? r : push(ledger, entry, from_ms, 0);
}

int owning_part(struct ledger *ledger, struct entry *entry)
{
    return part(ledger, entry, seen_until(ledger, entry), ledger->start_ms,
                snapshot_before(ledger));
}

int owning_rename(struct ledger *ledger, struct entry *entry)
{
    const struct owner_slot *slot = owner_table_get(&ledger->owners, entry->owner);
    int64_t seen_ms = seen_until(ledger, entry);

    if (slot->checked_ms >= seen_ms)
        seen_ms = slot->checked_ms + 1;
    return slot->stale ? part(ledger, entry, seen_ms, slot->stale_ms, slot->stale_before_ms)
                       : part(ledger, entry, seen_ms, ledger->start_ms, snapshot_before(ledger));
}

int64_t owning_changed_ms(const struct ledger *ledger, const struct entry *entry)
{
    const struct owner_past *past = entry->past ? past_get(ledger, entry->past) : NULL;

    if (!past)
        return TIME_UNKNOWN;
    return past->noticed_ms > past->changes[past->n - 1].until_ms
               ? past->noticed_ms
               : past->changes[past->n - 1].until_ms;
}

int owning_hand_over(struct ledger *ledger, struct entry *entry)
{
    const struct owner_slot *slot = owner_table_get(&ledger->owners, entry->owner);
    int64_t until_ms = seen_until(ledger, entry);
    int r;

    if (slot->stale && slot->ended && slot->checked_ms >= until_ms)
        until_ms = slot->checked_ms + 1;
    r = push(ledger, entry, until_ms, entry->owner);
    if (r == 0 && entry->past)
        past_get(ledger, entry->past)->noticed_ms = ledger->start_ms;
    return r;
}

int owning_regain(struct ledger *ledger, struct entry *entry, const struct owner *owner)
{
    struct owner_past *past = entry->past ? past_get(ledger, entry->past) : NULL;

    if (!past)
        return 0;
    if (!owning_is_sharer(ledger, entry, owner))
        return push(ledger, entry, ledger->start_ms, 0);
    if (past->n > 1 && !past->changes[past->n - 1].owner)
        past->n--;
    past->noticed_ms = ledger->start_ms;
    return 0;
}

int owning_tell_past(struct ledger *ledger, const struct entry *entry)
{
    struct owner_change change = {
        .life = entry->number, .until_ms = TIME_UNKNOWN, .uid = entry->uid};
    const struct owner_past *past;
    int r;

    if (!entry->past)
        return 0;
    past = past_get(ledger, entry->past);
    r = vec_push(&ledger->batch->owner_changes, change);
    for (uint32_t i = 0; i < past->n && r == 0; i++) {
        change.until_ms = past->changes[i].until_ms;
        change.owner = past->changes[i].owner;
        r = ledger_tell_owner(ledger, change.owner);
        if (r == 0)
            r = vec_push(&ledger->batch->owner_changes, change);
    }
    return r;
}

int owning_resume_past(struct ledger *ledger, struct entry *entry, const struct life *life)
{
    int r = 0;

    for (unsigned i = 0; i < life->n_stored_changes && r == 0; i++) {
        const struct stored_change *change = &life->stored_changes[i];
        uint32_t owner = change->owner.pid ? owner_table_take(&ledger->owners, &change->owner) : 0;

        r = push(ledger, entry, change->until_ms, owner);
        owner_table_drop(&ledger->owners, owner);
    }
    return r;
}

void owning_forget_past(struct ledger *ledger, struct entry *entry)
{
    struct owner_past *past;

    if (!entry->past)
        return;
    past = past_get(ledger, entry->past);
    for (uint32_t i = 0; i < past->n; i++)
        owner_table_drop(&ledger->owners, past->changes[i].owner);
    *past = (struct owner_past){.next = ledger->pasts_free};
    ledger->pasts_free = entry->past;
    entry->past = 0;
}
