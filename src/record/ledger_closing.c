/* SPDX-License-Identifier: MIT */
/* Joining destroy events to lives. An event frees the full socket; the life ends with it, or later,
 * when the mini-socket (FIN_WAIT2, TIME_WAIT) that followed leaves the table. Of a socket that no
 * snapshot saw the event is all there is: it waits for the next complete snapshot, which shows
 * whether a mini-socket followed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/model/history.h"
#include "ledger_private.h"

/* Lives that closed without an event, by cookie: their event may come late, when the program closes
 * at last. A newer one takes the place of an older one with the same hash: then a late event is one
 * of an unknown socket's. */
#define RECENT_SLOTS 16384u

struct recently {
    uint64_t cookie;
    uint64_t number; /* the life's; 0: free */
    uint32_t netns;
    uint8_t opener; /* enum opener */
};

int ledger_recent_init(struct ledger *ledger)
{
    ledger->recent = calloc(RECENT_SLOTS, sizeof(*ledger->recent));
    return ledger->recent ? 0 : -ENOMEM;
}

static struct recently *recent_slot(const struct ledger *ledger, uint32_t netns, uint64_t cookie)
{
    uint64_t hash = (cookie ^ (uint64_t)netns << 40) * UINT64_C(0x9e3779b97f4a7c15);

    return &ledger->recent[(hash >> 32) % RECENT_SLOTS];
}

void ledger_remember_closed(struct ledger *ledger, const struct entry *entry)
{
    if (ledger->recent)
        *recent_slot(ledger, entry->netns, entry->cookie) = (struct recently){
            entry->cookie, entry->number, entry->netns, (uint8_t)ledger_opener(ledger, entry)};
}

struct life_facts ledger_facts(const struct closing *closing)
{
    if (!closing->has_info)
        return (struct life_facts){0};
    return (struct life_facts){
        .known = true,
        .received_uncertain = closing->bytes_received_may_include_fin,
        .sent_bytes = closing->bytes_sent,
        .received_bytes = closing->bytes_received,
        .segs_out = closing->segs_out,
        .segs_in = closing->segs_in,
        .retrans = closing->retrans,
        .rtt_us = closing->rtt_us,
    };
}

static bool is_same_connection(const struct entry *entry, const struct closing *closing)
{
    if (closing->wiped || closing->unconnected)
        return true;
    return entry->local_port == closing->local_port && entry->remote_port == closing->remote_port &&
           memcmp(&entry->remote, &closing->remote, sizeof(entry->remote)) == 0 &&
           memcmp(&entry->local, &closing->local, sizeof(entry->local)) == 0;
}

/* The life that an event is about, by its cookie: the connection itself rather than what is left of
 * it. */
static uint32_t find_known(const struct ledger *ledger, uint32_t netns,
                           const struct closing *closing)
{
    uint32_t i = lives_find(&ledger->lives, netns, closing->cookie), left = LIVES_NONE;

    for (; i != LIVES_NONE; i = lives_next(&ledger->lives, i)) {
        const struct entry *entry = lives_get(&ledger->lives, i);

        if (entry->ending || entry->protocol != closing->protocol ||
            !is_same_connection(entry, closing))
            continue;
        if (!ledger_is_left(entry->protocol, entry->state, entry->remote_port))
            return i;
        left = i;
    }
    return left;
}

static struct ending ending_of(const struct ledger *ledger, uint32_t netns,
                               const struct closing *closing, int64_t at_ms, enum ending_kind kind)
{
    return (struct ending){.closing = *closing,
                           .at_ms = at_ms,
                           .netns = netns,
                           .arrived = ledger->snapshot,
                           .entry = LIVES_NONE,
                           .kind = (uint8_t)kind};
}

static int attach(struct ledger *ledger, uint32_t netns, uint32_t index,
                  const struct closing *closing, int64_t at_ms)
{
    struct ending ending = ending_of(ledger, netns, closing, at_ms, ENDING_ATTACHED);

    return endings_add(&ledger->endings, &ending, &lives_get(&ledger->lives, index)->ending);
}

/* The event of a socket whose mini-socket was seen before the event came. */
static bool join_orphan(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                        int64_t at_ms)
{
    uint32_t index = endings_find(&ledger->endings, ENDING_ORPHAN, netns, closing);
    struct ending *ending = endings_get(&ledger->endings, index);

    if (index == ENDINGS_NONE)
        return false;
    endings_attach(&ledger->endings, index);
    ending->closing = *closing;
    ending->at_ms = at_ms;
    ending->entry = LIVES_NONE;
    return true;
}

static bool join_recent(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                        int *ret)
{
    struct recently *slot = recent_slot(ledger, netns, closing->cookie);
    struct closing told = *closing;
    struct late_facts late;

    if (!slot->number || slot->cookie != closing->cookie || slot->netns != netns)
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

static int take_closing(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                        int64_t at_ms)
{
    uint32_t index = find_known(ledger, netns, closing);
    struct ending pending;
    int r = 0;

    if (index != LIVES_NONE)
        return attach(ledger, netns, index, closing, at_ms);
    if (join_recent(ledger, netns, closing, &r))
        return r;
    if (closing->unconnected) {
        ledger->unconnected++;
        return 0;
    }
    if (closing->wiped)
        ledger->unresolved++;
    else if (join_orphan(ledger, netns, closing, at_ms))
        return 0;
    pending = ending_of(ledger, netns, closing, at_ms, ENDING_PENDING);
    return endings_add(&ledger->endings, &pending, &index);
}

int ledger_closing(struct ledger *ledger, uint32_t netns, const struct closing *closing)
{
    int64_t at_ms = ledger->options.base_ms + closing->received_ns / NS_PER_MS;
    struct closing key = *closing;

    if (!closing->unconnected)
        ledger->closings++;
    if (ledger->options.detail == LEDGER_DETAIL_ANONYMOUS)
        address_cut(key.family, &key.remote, ledger->options.anonymous_ipv4_bits,
                    ledger->options.anonymous_ipv6_bits);
    return take_closing(ledger, netns, &key, at_ms);
}

static struct closing endpoints_of(const struct sample *sample)
{
    return (struct closing){.local = sample->local,
                            .remote = sample->remote,
                            .local_port = sample->local_port,
                            .remote_port = sample->remote_port,
                            .family = sample->family,
                            .protocol = sample->protocol};
}

static bool is_mini(const struct sample *sample)
{
    return sample->protocol == PROTOCOL_TCP &&
           (sample->state == STATE_TIME_WAIT ||
            (sample->state == STATE_FIN_WAIT2 && !sample->inode && !sample->has_uid));
}

int ledger_join_mini(struct ledger *ledger, uint32_t index, const struct sample *key)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct closing endpoints = endpoints_of(key);
    struct ending orphan;
    uint32_t pending;

    if (!ledger->options.events || !is_mini(key))
        return 0;
    pending = endings_find(&ledger->endings, ENDING_PENDING, entry->netns, &endpoints);
    if (pending != ENDINGS_NONE) {
        endings_attach(&ledger->endings, pending);
        entry->ending = pending;
        ledger_settle(ledger, entry);
        return 0;
    }
    orphan = ending_of(ledger, entry->netns, &endpoints, ledger->start_ms, ENDING_ORPHAN);
    orphan.entry = index;
    return endings_add(&ledger->endings, &orphan, &entry->ending);
}

uint32_t ledger_adopt(struct ledger *ledger, uint32_t netns, const struct sample *key)
{
    struct closing endpoints = endpoints_of(key);
    uint32_t index, entry;

    if (!ledger->options.events || key->state != STATE_TIME_WAIT)
        return LIVES_NONE;
    index = endings_find(&ledger->endings, ENDING_ORPHAN, netns, &endpoints);
    if (index == ENDINGS_NONE)
        return LIVES_NONE;
    entry = endings_get(&ledger->endings, index)->entry;
    if (lives_get(&ledger->lives, entry)->seen ||
        !(lives_get(&ledger->lives, entry)->flags & ENTRY_PLANNED))
        return LIVES_NONE;
    endings_attach(&ledger->endings, index);
    lives_set_cookie(&ledger->lives, entry, key->cookie);
    return entry;
}

/* The life of an event that nothing followed. It was over before this snapshot began, and had not
 * begun when the complete one before was taken, for that did not see it. */
static int be_born_of_event(struct ledger *ledger, uint32_t index)
{
    struct ending *ending = endings_get(&ledger->endings, index);
    const struct closing *closing = &ending->closing;
    struct sample sample = {.cookie = closing->cookie,
                            .family = closing->family,
                            .protocol = closing->protocol,
                            .local = closing->local,
                            .remote = closing->remote,
                            .local_port = closing->local_port,
                            .remote_port = closing->remote_port,
                            .scope_ifindex = closing->scope_ifindex,
                            .state = STATE_ESTABLISHED};
    struct entry *entry;
    uint32_t born;
    int r;

    if (closing->protocol == PROTOCOL_TCP && (closing->has_info || closing->wiped) &&
        !closing->established)
        sample.state = STATE_SYN_SENT;
    r = ledger_be_born(ledger, ending->netns, &sample, &born);
    if (r < 0)
        return r;
    ending = endings_get(&ledger->endings, index);
    endings_attach(&ledger->endings, index);
    entry = lives_get(&ledger->lives, born);
    entry->ending = index;
    entry->flags &= (uint8_t)~ENTRY_OPENED_KNOWN;
    if (ending->at_ms > ledger->start_ms)
        ending->at_ms = ledger->start_ms;
    entry->since_ms = ending->at_ms - ending->closing.known_age_ms;
    if (ledger->complete_ms != TIME_UNKNOWN && entry->since_ms <= ledger->complete_ms)
        entry->since_ms = ledger->complete_ms + 1;
    if (ending->at_ms < entry->since_ms)
        ending->at_ms = entry->since_ms;
    entry->changed_ms = entry->since_ms;
    return 0;
}

int ledger_resolve_pending(struct ledger *ledger)
{
    int r = 0;

    for (uint32_t i = 1; i < ledger->endings.pool.n && r == 0; i++) {
        const struct ending *ending = endings_get(&ledger->endings, i);

        /* one that came while the kernel walked may have a mini-socket that the walk had passed */
        if (ending->kind == ENDING_PENDING && ending->arrived < ledger->snapshot)
            r = be_born_of_event(ledger, i);
    }
    return r;
}
