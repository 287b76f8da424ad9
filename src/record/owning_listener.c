/* SPDX-License-Identifier: MIT */
/* The owner of what listens where a server's connection came from. Where it could be one of several
 * programs it is none: of those that listen there, that listened there since the connection may have
 * been accepted, or that hold a listening socket together. */
#include <errno.h>
#include <string.h>

#include "ledger_private.h"
#include "owning.h"

#define LISTENERS_MAX 64 /* looked at in a snapshot for what came to them */
#define COARSE_MS     20 /* by so much the begin of a TIME_WAIT may be later than its timer tells */

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

void owning_see_holders(struct entry *entry, const struct owner_want *want)
{
    if (!want->all_holders && !want->n_others)
        return;
    entry->mixed = owner_want_is_mixed(want);
}

void owning_listened_unseen(struct ledger *ledger, uint16_t port)
{
    ledger->unseen_ports[port / 64] |= UINT64_C(1) << port % 64;
    if (ledger->taking)
        ledger->unseen_late[port / 64] |= UINT64_C(1) << port % 64;
    ledger->any_unseen = true;
}

void ledger_events_lost(struct ledger *ledger)
{
    memset(ledger->unseen_ports, 0xff, sizeof(ledger->unseen_ports));
    if (ledger->taking)
        memset(ledger->unseen_late, 0xff, sizeof(ledger->unseen_late));
    ledger->any_unseen = true;
}

void owning_listeners_complete(struct ledger *ledger)
{
    if (ledger->n_failed) /* there it may still come to light what listened */
        return;
    if (!ledger->any_unseen)
        return;
    ledger->any_unseen = false;
    for (size_t i = 0; i < sizeof(ledger->unseen_ports) / sizeof(ledger->unseen_ports[0]); i++) {
        ledger->unseen_ports[i] = ledger->unseen_late[i];
        ledger->any_unseen |= ledger->unseen_late[i] != 0;
    }
    memset(ledger->unseen_late, 0, sizeof(ledger->unseen_late));
}

/* Whether all that listened at a connection's port since it may have been accepted is known: since
 * the last complete snapshot, which it was not in. What came and went meanwhile events tell. */
static bool all_were_seen(const struct ledger *ledger, const struct entry *entry)
{
    int64_t complete_ms = ledger_complete_ms(ledger, entry->netns);

    return ledger->options.events && complete_ms != TIME_UNKNOWN &&
           complete_ms >= ledger->first_ms &&
           !(ledger->unseen_ports[entry->local_port / 64] >> entry->local_port % 64 & 1) &&
           !ledger_was_closed(ledger, entry);
}

/* Whether a connection was surely accepted before this snapshot began: what listened then is in it,
 * or has its event by now. Listeners are walked before connections, so that one that came meanwhile
 * may be the listener of another that the walk missed. */
static bool came_before(const struct ledger *ledger, const struct entry *entry)
{
    return entry->seen != ledger->snapshot || /* of an event that was read before */
           (entry->ending &&
            endings_get(&ledger->endings, entry->ending)->arrived < ledger->snapshot) ||
           (entry->state == STATE_TIME_WAIT && entry->changed_ms + COARSE_MS <= ledger->start_ms);
}

/* Whether a listener's owner had it, alone, since the last complete snapshot. */
static bool had_it_since(const struct ledger *ledger, const struct entry *listener)
{
    int64_t changed_ms = owning_changed_ms(ledger, listener);

    return !listener->mixed && listener->owner_seen == owning_seen_now(ledger) &&
           (changed_ms == TIME_UNKNOWN ||
            changed_ms <= ledger_complete_ms(ledger, listener->netns));
}

/* Asks who holds the listeners that a connection may have come to. *n: how many were asked for. */
static int ask_for(struct ledger *ledger, const struct entry *entry, size_t *n)
{
    const struct entry *listener;
    size_t at = SIZE_MAX;
    int r = 0;

    if (!entry->number || !is_server(ledger, entry) || !all_were_seen(ledger, entry))
        return 0;
    while (r == 0 && (listener = roles_next_listener(ledger, entry, &at))) {
        struct entry *asked = lives_get(&ledger->lives, ledger->listeners.items[at]);
        struct ask ask = {.number = listener->number,
                          .index = ledger->listeners.items[at],
                          .has_inode = true,
                          .recheck = true,
                          .doubtful = true,
                          .quick = true};

        if (listener->seen != ledger->snapshot || !listener->inode ||
            owning_source(listener) != OWNER_BY_INODE || listener->asked)
            continue;
        asked->asked = true;
        ++*n;
        r = vec_push(&ledger->asks, ask);
    }
    return r;
}

static const struct entry *claimed(const struct ledger *ledger, size_t i)
{
    const struct entry *entry = lives_get(&ledger->lives, ledger->claims.items[i].index);

    return entry->number == ledger->claims.items[i].number ? entry : NULL;
}

int owning_ask_listeners(struct ledger *ledger)
{
    const struct entry *entry;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < ledger->listeners.n; i++)
        lives_get(&ledger->lives, ledger->listeners.items[i])->asked = false;
    for (size_t i = 0; i < ledger->claims.n && n < LISTENERS_MAX && r == 0; i++)
        if ((entry = claimed(ledger, i)))
            r = ask_for(ledger, entry, &n);
    for (size_t i = 0; i < ledger->fresh.n && n < LISTENERS_MAX && r == 0; i++)
        r = ask_for(ledger, lives_get(&ledger->lives, ledger->fresh.items[i]), &n);
    return r;
}

bool owning_is_early(const struct ledger *ledger, const struct entry *entry, bool fresh)
{
    return !owning_is_queued(entry) &&
           (!ledger_is_whole(ledger, entry->netns) || (fresh && !came_before(ledger, entry)));
}

uint32_t owning_of_listener(struct ledger *ledger, const struct entry *entry)
{
    int64_t complete_ms = ledger_complete_ms(ledger, entry->netns);
    bool queued = owning_is_queued(entry), older = false, several = false;
    const struct entry *listener;
    struct owner owner;
    uint32_t number = 0;
    size_t at = SIZE_MAX;

    if (!is_server(ledger, entry) || (!queued && !all_were_seen(ledger, entry)))
        return 0;
    while ((listener = roles_next_listener(ledger, entry, &at))) {
        /* one that ended, changed its name or gave it away may not have been there when it came */
        if (owning_source(listener) != OWNER_BY_INODE ||
            owner_table_get(&ledger->owners, listener->owner)->stale ||
            (!queued && !had_it_since(ledger, listener)))
            return 0;
        /* one that is not older than the connection may have followed another that nobody saw */
        older |= complete_ms != TIME_UNKNOWN && listener->changed_ms <= complete_ms;
        if (number && listener->owner != number) {
            several = true;
            if (!owner_same_program(&owner_table_get(&ledger->owners, listener->owner)->owner,
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
