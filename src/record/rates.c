/* SPDX-License-Identifier: MIT */
/* What came and went at each service, by minutes. */
#include <errno.h>

#include "connhist/model/coverage.h"
#include "ledger_private.h"

#define PERIOD_MS 60000

/* The batch's entry of a service and a period. NULL: no memory. */
static struct rate_change *rate_at(struct ledger *ledger, uint32_t service, int64_t at_ms)
{
    struct service_slot *slot = &ledger->services.slots.items[service];
    struct rate_vec *rates = &ledger->batch->rates;
    int64_t period_ms = at_ms - at_ms % PERIOD_MS;
    struct rate_change fresh;

    for (uint32_t i = slot->rate; i; i = ledger->rate_chain.items[i - 1])
        if (rates->items[i - 1].period_ms == period_ms)
            return &rates->items[i - 1];
    if (rates->n == 0)
        vec_clear(&ledger->rate_chain);
    if (vec_push(&ledger->rate_chain, slot->rate) < 0)
        return NULL;
    fresh = (struct rate_change){.service = slot->key, .period_ms = period_ms};
    if (vec_push(rates, fresh) < 0) {
        ledger->rate_chain.n--;
        return NULL;
    }
    slot->rate = (uint32_t)rates->n;
    return &rates->items[rates->n - 1];
}

/* Of one that was aborted and that no snapshot saw the peer's port is gone, but not the service if it
 * was ours. */
static bool is_connection(const struct ledger *ledger, const struct entry *entry)
{
    const struct service_key *service = &ledger->services.slots.items[entry->service].key;

    if ((entry->flags & ENTRY_LISTENED) ||
        ledger_is_left(entry->protocol, entry->state, entry->remote_port))
        return false;
    return entry->remote_port != 0 ||
           (entry->protocol == PROTOCOL_TCP && service->role == ROLE_SERVER && entry->local_port &&
            !address_is_any(entry->family, &entry->remote));
}

int rates_opened(struct ledger *ledger, const struct entry *entry)
{
    struct rate_change *rate;

    if (!ledger_opening_known(ledger, entry->netns) || !is_connection(ledger, entry) ||
        ledger_was_closed(ledger, entry))
        return 0;
    rate = rate_at(ledger, entry->service, entry->since_ms);
    if (!rate)
        return -ENOMEM;
    rate->opened++;
    return 0;
}

/* How old its event proves it was when it closed; -1: there was none. */
static int64_t proven_ms(const struct ending *ending, int64_t closed_ms)
{
    int64_t age_ms = ending->closing.known_age_ms;

    if (!ending->closing.has_info)
        return -1;
    /* it may have been told later */
    if (ending->at_ms > closed_ms && age_ms > ending->at_ms - closed_ms)
        return age_ms - (ending->at_ms - closed_ms);
    return age_ms;
}

/* Up to when a connection was there for certain: its end, unless that is only known to lie in a gap. */
static int64_t there_until(const struct ledger *ledger, const struct entry *entry,
                           int64_t closed_ms)
{
    int64_t complete_ms = ledger_complete_ms(ledger, entry->netns);

    if (entry->ending || entry->state == STATE_TIME_WAIT || complete_ms == TIME_UNKNOWN ||
        !coverage_is_gap(ledger->options.interval_ms, closed_ms - complete_ms))
        return closed_ms;
    return complete_ms > entry->since_ms ? complete_ms : entry->since_ms;
}

/* How long a connection lived, at least; -1: nothing is known. It may be older than the snapshot
 * that saw it first. */
static int64_t duration_ms(const struct ledger *ledger, const struct entry *entry,
                           int64_t closed_ms)
{
    int64_t proven = proven_ms(endings_get(&ledger->endings, entry->ending), closed_ms);
    int64_t seen = there_until(ledger, entry, closed_ms) - entry->since_ms;

    if (!(entry->flags & ENTRY_OPENED_KNOWN) && proven < 0)
        return -1;
    return proven > seen ? proven : seen;
}

static void add_facts(struct rate_change *rate, const struct life_facts *facts)
{
    if (!facts->known)
        return;
    rate->sent_bytes += facts->sent_bytes;
    rate->received_bytes += facts->received_bytes;
    if (facts->rtt_us)
        rate->rtt_us.counts[histogram_bucket(facts->rtt_us)]++;
}

int rates_closed(struct ledger *ledger, struct entry *entry, const struct life *life)
{
    /* with TIME_WAIT the connection closed when that began */
    int64_t closed_ms = entry->state == STATE_TIME_WAIT ? entry->changed_ms : life->ended_ms;
    int64_t lived_ms = duration_ms(ledger, entry, closed_ms);
    struct rate_change *rate;

    if ((entry->flags & ENTRY_COUNTED) || !is_connection(ledger, entry) ||
        (entry->state == STATE_TIME_WAIT && ledger_was_closed(ledger, entry)))
        return 0;
    rate = rate_at(ledger, entry->service, closed_ms);
    if (!rate)
        return -ENOMEM;
    rate->closed[life->closed_by]++;
    add_facts(rate, &life->facts);
    if (lived_ms >= 0)
        rate->duration_ms.counts[histogram_bucket((uint64_t)lived_ms)]++;
    entry->flags |= ENTRY_COUNTED;
    return 0;
}
