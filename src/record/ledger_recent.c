/* SPDX-License-Identifier: MIT */
/* Lives that closed before their event came: it adds what it knows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_private.h"

/* Lives that closed without an event, by cookie: their event may come late, when the program closes
 * at last. Where a set is full the oldest makes room: then a late event is one of an unknown
 * socket's. */
#define RECENT_SETS 4096u
#define RECENT_WAYS 4u /* places in a set, the latest first */

struct recently {
    uint64_t cookie;    /* of a mini-socket whose event never came: orphan_key() in its place */
    uint64_t number;    /* the life's; 0: free */
    int64_t over_ms;    /* record time at which nothing more went to and fro */
    uint64_t endpoints; /* endings_hash(): one cookie can be several connections, one after the
                            other */
    uint32_t netns;
    uint16_t local_port; /* host byte order; an abort's event has it, but not the peer's */
    uint8_t opener;      /* enum opener */
    bool weak;           /* hardly anything more is to be heard of it */
};

struct recent {
    uint64_t used[RECENT_SETS / 64]; /* bits: sets in which something is or was */
    struct recently sets[RECENT_SETS][RECENT_WAYS];
};

int ledger_recent_init(struct ledger *ledger)
{
    ledger->recent = calloc(1, sizeof(*ledger->recent));
    return ledger->recent ? 0 : -ENOMEM;
}

static uint32_t set_of(uint32_t netns, uint64_t cookie)
{
    uint64_t hash = (cookie ^ (uint64_t)netns << 40) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)((hash >> 32) % RECENT_SETS);
}

/* NULL: nothing is there. Most often so, and then the large table is not looked at. */
static struct recently *recent_set(const struct ledger *ledger, uint32_t netns, uint64_t cookie)
{
    uint32_t set = set_of(netns, cookie);

    return ledger->recent->used[set / 64] >> set % 64 & 1 ? ledger->recent->sets[set] : NULL;
}

static uint64_t hash_of(const struct entry *entry)
{
    const struct closing endpoints = ledger_endpoints(entry);

    return endings_hash(entry->netns, &endpoints);
}

/* In place of a cookie, of a mini-socket that no snapshot saw before: the whole peer is in it. */
static uint64_t orphan_key(uint64_t hash, uint32_t peer_digest)
{
    return hash ^ peer_digest;
}

void ledger_remember_closed(struct ledger *ledger, const struct entry *entry)
{
    uint64_t endpoints = hash_of(entry);
    bool orphan =
        entry->ending && endings_get(&ledger->endings, entry->ending)->kind == ENDING_ORPHAN;
    uint64_t cookie = orphan ? orphan_key(endpoints, entry->peer_digest) : entry->cookie;
    /* a flood of these must not push out the others */
    bool weak = entry->state == STATE_SYN_RECV || (entry->flags & ENTRY_PLANNED);
    uint32_t number = set_of(entry->netns, cookie);
    struct recently *set;
    unsigned i = 0;

    if (!ledger->recent)
        return;
    ledger->recent->used[number / 64] |= UINT64_C(1) << number % 64;
    set = ledger->recent->sets[number];
    while (i < RECENT_WAYS - 1 && set[i].number && set[i].cookie != cookie)
        i++;
    if (weak && set[i].number && set[i].cookie != cookie && !set[i].weak)
        return;
    memmove(set + 1, set, i * sizeof(*set));
    set[0] = (struct recently){.cookie = cookie,
                               .number = entry->number,
                               .over_ms = entry->changed_ms,
                               .endpoints = endpoints,
                               .netns = entry->netns,
                               .local_port = entry->local_port,
                               .opener = (uint8_t)ledger_opener(ledger, entry),
                               .weak = weak};
}

bool ledger_was_closed(const struct ledger *ledger, const struct entry *entry)
{
    const struct recently *set;

    if (!ledger->recent)
        return false;
    set = recent_set(ledger, entry->netns, entry->cookie);
    for (unsigned i = 0; set && i < RECENT_WAYS; i++)
        if (set[i].number && set[i].cookie == entry->cookie && set[i].netns == entry->netns &&
            set[i].endpoints == hash_of(entry))
            return true;
    return false;
}

/* A mini-socket that came and went while the program held the socket it came from. A later use of
 * the endpoints had something to say after it. */
static struct recently *find_recent_orphan(const struct ledger *ledger, uint32_t netns,
                                           const struct closing *closing, int64_t at_ms)
{
    struct recently *set;
    uint64_t key;

    if (!closing->quiet_ms || closing->wiped || closing->unconnected)
        return NULL;
    key = orphan_key(endings_hash(netns, closing), closing->peer_digest);
    set = recent_set(ledger, netns, key);
    for (unsigned i = 0; set && i < RECENT_WAYS; i++)
        if (set[i].number && set[i].cookie == key && set[i].netns == netns &&
            at_ms - closing->quiet_ms <= set[i].over_ms + READ_LATE_MS)
            return &set[i];
    return NULL;
}

static struct recently *find_recent(const struct ledger *ledger, uint32_t netns,
                                    const struct closing *closing)
{
    struct recently *set = recent_set(ledger, netns, closing->cookie);

    for (unsigned i = 0; set && i < RECENT_WAYS; i++) {
        if (!set[i].number || set[i].cookie != closing->cookie || set[i].netns != netns)
            continue;
        if (closing->wiped || closing->unconnected)
            return !closing->local_port || closing->local_port == set[i].local_port ? &set[i]
                                                                                    : NULL;
        return set[i].endpoints == endings_hash(netns, closing) ? &set[i] : NULL;
    }
    return NULL;
}

struct closing ledger_endpoints(const struct entry *entry)
{
    return (struct closing){.local = entry->local,
                            .remote = entry->remote,
                            .local_port = entry->local_port,
                            .remote_port = entry->remote_port,
                            .peer_digest = entry->peer_digest,
                            .family = entry->family,
                            .protocol = entry->protocol};
}

bool ledger_join_late(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                      int64_t at_ms, int *ret)
{
    struct recently *slot = find_recent(ledger, netns, closing);
    struct closing told = *closing;
    struct late_facts late;

    if (!slot)
        slot = find_recent_orphan(ledger, netns, closing, at_ms);
    if (!slot)
        return false;
    ledger_learn_opener(&told, (enum opener)slot->opener);
    late = (struct late_facts){.life = slot->number,
                               .closed_by =
                                   ledger_is_reset(&told) ? CLOSED_BY_RESET : CLOSED_BY_UNKNOWN,
                               .facts = ledger_facts(&told)};
    slot->number = 0;
    *ret = vec_push(&ledger->late, late);
    return true;
}
