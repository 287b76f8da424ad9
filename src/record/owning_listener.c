/* SPDX-License-Identifier: MIT */
/* The owner of what listens where a server's connection came from. Where it could be one of several
 * programs it is none. */
#include <string.h>

#include "ledger_private.h"
#include "owning.h"

static bool is_server(const struct ledger *ledger, const struct entry *entry)
{
    return entry->protocol == PROTOCOL_TCP && entry->state != STATE_LISTEN && entry->remote_port &&
           entry->role_source &&
           ledger->services.slots.items[entry->service].key.role == ROLE_SERVER;
}

uint32_t owning_listener_pid(const struct ledger *ledger, const struct entry *entry)
{
    const struct entry *listener;
    size_t at = SIZE_MAX;

    if (!is_server(ledger, entry))
        return 0;
    while ((listener = roles_next_listener(ledger, entry, &at)))
        if (owning_source(listener) == OWNER_BY_INODE)
            return owner_table_get(&ledger->owners, listener->owner)->owner.pid;
    return 0;
}

bool owning_is_queued(const struct entry *entry)
{
    return entry->protocol == PROTOCOL_TCP &&
           (entry->state == STATE_SYN_RECV ||
            (!entry->inode && entry->uid != UID_UNKNOWN &&
             (entry->state == STATE_ESTABLISHED || entry->state == STATE_CLOSE_WAIT)));
}

/* The same program in the same place under the same user: which of its processes is open. */
static bool same_program(const struct owner *a, const struct owner *b)
{
    return a->uid == b->uid && strcmp(a->comm, b->comm) == 0 && strcmp(a->exe, b->exe) == 0 &&
           strcmp(a->unit, b->unit) == 0 && strcmp(a->container, b->container) == 0 &&
           strcmp(a->cgroup, b->cgroup) == 0;
}

uint32_t owning_of_listener(struct ledger *ledger, const struct entry *entry)
{
    bool queued = owning_is_queued(entry), older = false, several = false;
    const struct entry *listener;
    struct owner owner;
    uint32_t number = 0;
    size_t at = SIZE_MAX;

    if (!is_server(ledger, entry))
        return 0;
    while ((listener = roles_next_listener(ledger, entry, &at))) {
        /* one that ended or changed its name may not have been there when it came */
        if (owning_source(listener) != OWNER_BY_INODE ||
            owner_table_get(&ledger->owners, listener->owner)->stale)
            return 0;
        /* one that is not older than the connection may have followed another that nobody saw */
        older |= listener->since_ms < entry->since_ms;
        if (number && listener->owner != number) {
            several = true;
            if (!same_program(&owner_table_get(&ledger->owners, listener->owner)->owner,
                              &owner_table_get(&ledger->owners, number)->owner))
                return 0;
        }
        number = listener->owner;
    }
    if (!number || (!older && !queued))
        return 0;
    if (!several) {
        owner_table_keep(&ledger->owners, number);
        return number;
    }
    owner = owner_table_get(&ledger->owners, number)->owner;
    owner.pid = 0;
    owner.start_ms = 0;
    return owner_table_take(&ledger->owners, &owner);
}
