/* SPDX-License-Identifier: MIT */
/* What the ledger tells the file. */
#include <errno.h>

#include "ledger_private.h"

static struct life life_of(const struct ledger *ledger, const struct entry *entry, int64_t ended_ms)
{
    struct life life = {
        .number = entry->number,
        .cookie = entry->cookie,
        .since_ms = entry->since_ms,
        .ended_ms = ended_ms,
        .local = entry->local,
        .remote = entry->remote,
        .local_port = entry->local_port,
        .remote_port = entry->remote_port,
        .scope_ifindex = entry->scope_ifindex,
        .inode = entry->inode,
        .uid = entry->uid,
        .service = ledger->services.slots.items[entry->service].key,
        .family = entry->family,
        .state = entry->state,
        .role_source = entry->role_source,
        .owner = entry->owner,
        .owner_source = (uint8_t)owning_source(entry),
        .shared = entry->shared,
        .handed_on = entry->past != 0,
        .v6only = entry->flags & ENTRY_V6ONLY,
        .opened_known = entry->flags & ENTRY_OPENED_KNOWN,
        .untold = !(entry->flags & ENTRY_TOLD),
        .history_bytes = entry->history_bytes,
        .history = entry_history(entry),
        .planned_ms = TIME_UNKNOWN,
    };

    ledger_tell_offload(entry, &life);
    return life;
}

/* The life as one that is over, or whose end is foreseen. */
static struct life ended_life(struct ledger *ledger, const struct entry *entry, int64_t ended_ms)
{
    const struct ending *ending = endings_get(&ledger->endings, entry->ending);
    struct life life = life_of(ledger, entry, ended_ms);

    ledger_settle(ledger, entry);
    life.closed_by = (uint8_t)ledger_closed_by(ledger, entry);
    life.facts = ledger_facts(&ending->closing);
    life.late_facts = ledger->options.events && !life.facts.known && !ending->closing.wiped &&
                      !(entry->flags & ENTRY_PLANNED);
    if (entry->flags & ENTRY_PLANNED)
        life.planned_ms = ending->told_ms;
    return life;
}

int ledger_tell_owner(struct ledger *ledger, uint32_t owner)
{
    struct owner_slot *slot;
    int r;

    if (!owner)
        return 0;
    slot = owner_table_get(&ledger->owners, owner);
    if (slot->told == ledger->snapshot)
        return 0;
    r = batch_add_owner(ledger->batch, owner, &slot->owner);
    if (r == 0)
        slot->told = ledger->snapshot;
    return r;
}

/* A life with its owners into one of the batch's vectors. */
static int tell_life(struct ledger *ledger, const struct entry *entry, struct life_vec *to,
                     const struct life *life)
{
    int r = ledger_tell_owner(ledger, life->owner);

    if (r == 0)
        r = owning_tell_past(ledger, entry);
    return r < 0 ? r : batch_add_life(ledger->batch, to, life);
}

void ledger_remove(struct ledger *ledger, uint32_t index)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    ledger_note_gone(ledger, entry->inode);
    owning_forget_past(ledger, entry);
    owning_forget_sharers(ledger, entry);
    owner_table_drop(&ledger->owners, entry->owner);
    lives_remove(&ledger->lives, index);
}

/* Without detail only what has no peer is told: listeners, and UDP sockets that serve. */
bool ledger_is_for_file(const struct ledger *ledger, const struct entry *entry)
{
    if (ledger->options.detail != LEDGER_DETAIL_OFF)
        return true;
    if (entry->protocol == PROTOCOL_UDP)
        return entry->state == STATE_CLOSE &&
               ledger->services.slots.items[entry->service].key.role == ROLE_SERVER;
    return entry->flags & ENTRY_LISTENED;
}

int ledger_end_life(struct ledger *ledger, uint32_t index, int64_t ended_ms)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct batch *batch = ledger->batch;
    struct life life;
    int r = owning_closed(ledger, index);

    if (r < 0)
        return r;
    life = ended_life(ledger, entry, ended_ms);
    r = rates_closed(ledger, entry, &life);
    if (r < 0)
        return r;
    if (entry->flags & ENTRY_PLANNED) {
        if (life.planned_ms != ended_ms)
            r = tell_life(ledger, entry, &batch->amended, &life);
    } else if (ledger_is_for_file(ledger, entry) || (entry->flags & ENTRY_TOLD)) {
        r = tell_life(ledger, entry, &batch->closed, &life);
    }
    if (r < 0)
        return r;
    if (life.late_facts || ((entry->flags & ENTRY_PLANNED) && life.planned_ms != ended_ms))
        ledger_remember_closed(ledger, entry);
    if (entry->ending)
        endings_remove(&ledger->endings, entry->ending);
    ledger->services.slots.items[entry->service].lives--;
    ledger_remove(ledger, index);
    return 0;
}

int ledger_lose_life(struct ledger *ledger, uint32_t index, int64_t ended_ms)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct life life;
    int r = 0;

    if (entry->flags & ENTRY_PLANNED) { /* its TIME_WAIT may last, but nobody sees it there */
        life = ended_life(ledger, entry, ended_ms);
        if (life.planned_ms != ended_ms)
            r = tell_life(ledger, entry, &ledger->batch->amended, &life);
    } else if (ledger_is_for_file(ledger, entry) || (entry->flags & ENTRY_TOLD)) {
        life = life_of(ledger, entry, ended_ms);
        r = tell_life(ledger, entry, &ledger->batch->closed, &life);
    }
    if (r < 0)
        return r;
    if (entry->ending)
        endings_remove(&ledger->endings, entry->ending);
    ledger->services.slots.items[entry->service].lives--;
    ledger_remove(ledger, index);
    return 0;
}

/* A TIME_WAIT of which all is known but the end is written once, as closed at the end that its
 * timer foresees. */
static bool can_plan(const struct ledger *ledger, const struct entry *entry)
{
    return entry->state == STATE_TIME_WAIT && entry->ending && !(entry->flags & ENTRY_TOLD) &&
           endings_get(&ledger->endings, entry->ending)->kind == ENDING_ATTACHED;
}

static int tell_planned(struct ledger *ledger, struct entry *entry, bool full)
{
    struct ending *ending = endings_get(&ledger->endings, entry->ending);
    struct batch *batch = ledger->batch;
    bool is_new = !(entry->flags & ENTRY_PLANNED);
    struct life life;
    int r;

    if (is_new) {
        ending->planned_ms = entry->changed_ms + TIME_WAIT_MS;
        if (ending->planned_ms <= ledger->start_ms)
            ending->planned_ms = ledger->start_ms + 1;
        ending->told_ms = ending->planned_ms;
    } else if (!full && ending->told_ms == ending->planned_ms) {
        return 0;
    }
    life = ended_life(ledger, entry, ending->planned_ms);
    /* whether the file has it is not certain after a batch was lost: amending makes it so */
    life.planned_ms = is_new ? TIME_UNKNOWN : ending->told_ms;
    r = rates_closed(ledger, entry, &life);
    if (r == 0)
        r = tell_life(ledger, entry, is_new ? &batch->closed : &batch->amended, &life);
    if (r < 0)
        return r;
    ending->told_ms = ending->planned_ms;
    entry->flags |= ENTRY_PLANNED;
    entry->flags &= (uint8_t)~ENTRY_DIRTY;
    return 0;
}

static int tell_queue(struct ledger *ledger, const struct entry *entry)
{
    return vec_push(&ledger->batch->queues,
                    ((struct queue_change){
                        .life = entry->number, .waiting = entry->waiting, .limit = entry->limit}));
}

static int tell_entry(struct ledger *ledger, uint32_t index, bool full)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct batch *batch = ledger->batch;
    struct life life;
    bool for_file;
    int r = 0;

    /* a touched place may have been given up since, or be of a new life */
    if (!entry->number)
        return 0;
    for_file = ledger_is_for_file(ledger, entry);
    if (for_file && ((entry->flags & ENTRY_PLANNED) || can_plan(ledger, entry)))
        return tell_planned(ledger, entry, full);
    if (entry->state == STATE_TIME_WAIT && !(entry->flags & ENTRY_COUNTED)) {
        life = ended_life(ledger, entry, ledger->start_ms);
        r = rates_closed(ledger, entry, &life);
        if (r < 0)
            return r;
    }
    if (!for_file) {
        entry->flags &= (uint8_t) ~(ENTRY_DIRTY | ENTRY_QUEUE_DIRTY);
        return 0;
    }
    life = life_of(ledger, entry, TIME_UNKNOWN);
    if (full || !(entry->flags & ENTRY_TOLD))
        r = tell_life(ledger, entry, &batch->opened, &life);
    else if (entry->flags & ENTRY_DIRTY)
        r = tell_life(ledger, entry, &batch->changed, &life);
    if (r == 0 && entry->state == STATE_LISTEN && (full || (entry->flags & ENTRY_QUEUE_DIRTY)))
        r = tell_queue(ledger, entry);
    if (r == 0)
        r = ledger_tell_last_facts(ledger, index, full);
    if (r < 0)
        return r;
    if (full)
        owning_tell_again(entry);
    entry->flags |= ENTRY_TOLD;
    entry->flags &= (uint8_t) ~(ENTRY_DIRTY | ENTRY_QUEUE_DIRTY);
    return 0;
}

int ledger_tell(struct ledger *ledger, bool full)
{
    int r = 0;

    if (full) {
        for (uint32_t i = 0; i < ledger->lives.end && r == 0; i++)
            r = tell_entry(ledger, i, true);
    } else {
        for (size_t i = 0; i < ledger->fresh.n && r == 0; i++) {
            ledger_fetch_ahead(ledger, &ledger->fresh, i);
            r = tell_entry(ledger, ledger->fresh.items[i], false);
        }
        for (size_t i = 0; i < ledger->touched.n && r == 0; i++)
            r = tell_entry(ledger, ledger->touched.items[i], false);
    }
    vec_clear(&ledger->touched);
    ledger_tell_facts(ledger);
    for (size_t i = 0; i < ledger->late.n && r == 0; i++)
        r = vec_push(&ledger->batch->late, ledger->late.items[i]);
    vec_clear(&ledger->late);
    return r;
}
