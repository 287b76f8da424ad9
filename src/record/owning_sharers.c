/* SPDX-License-Identifier: MIT */
/* Those who hold a socket beside its owner. One of them that is its owner later held it all the time
 * between. */
#include <errno.h>

#include "ledger_private.h"
#include "owning.h"

#define HOLDERS_MAX 64 /* further holders kept of a socket */

void owning_forget_sharers(struct ledger *ledger, const struct entry *entry)
{
    size_t kept = 0;

    if (!entry->shared)
        return;
    for (size_t i = 0; i < ledger->sharers.n; i++)
        if (ledger->sharers.items[i].life != entry->number)
            ledger->sharers.items[kept++] = ledger->sharers.items[i];
    ledger->sharers.n = kept;
}

static int tell_holder(struct ledger *ledger, const struct entry *entry, const struct owner *owner)
{
    struct life_holder holder = {.life = entry->number};
    int r;

    holder.owner = owner_table_take(&ledger->owners, owner);
    if (!holder.owner)
        return -ENOMEM;
    r = ledger_tell_owner(ledger, holder.owner);
    if (r == 0)
        r = vec_push(&ledger->batch->holders, holder);
    owner_table_drop(&ledger->owners, holder.owner);
    return r;
}

int owning_tell_holders(struct ledger *ledger, struct entry *entry, const struct owner_want *want)
{
    int r = entry->shared
                ? vec_push(&ledger->batch->holders, ((struct life_holder){.life = entry->number}))
                : 0;

    owning_forget_sharers(ledger, entry);
    for (uint32_t i = 0; i < want->n_others && i < HOLDERS_MAX && r == 0; i++) {
        const struct owner *other = &want->others[i];
        struct sharer sharer = {
            .life = entry->number, .start_ms = other->start_ms, .pid = other->pid};

        r = tell_holder(ledger, entry, other);
        if (r == 0)
            r = vec_push(&ledger->sharers, sharer);
    }
    entry->shared |= want->n_others > 0;
    return r;
}

bool owning_is_sharer(const struct ledger *ledger, const struct entry *entry,
                      const struct owner *owner)
{
    for (size_t i = 0; entry->shared && owner->pid && i < ledger->sharers.n; i++) {
        const struct sharer *sharer = &ledger->sharers.items[i];

        if (sharer->life == entry->number && sharer->pid == owner->pid &&
            sharer->start_ms == owner->start_ms)
            return true;
    }
    return false;
}
