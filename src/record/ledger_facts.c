/* SPDX-License-Identifier: MIT */
/* What connections that are open carried: told when it changed, so that a quiet one costs nothing.
 * Of what was told the ledger keeps a digest alone. */
#include <errno.h>

#include "connhist/base/clock.h"
#include "ledger_private.h"

#define LAST_ROUND UINT32_C(0x80000000) /* facts of one that is over: no sampling has that round */
#define MIX        UINT64_C(0x9e3779b97f4a7c15)

void ledger_sampling(struct ledger *ledger, bool again)
{
    ledger->counts.sampled = true;
    ledger->facts_round += again;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * MIX;
    return hash ^ hash >> 29;
}

/* Never 0. Payload that comes or goes changes a counter, so the times need not be in it. */
static uint32_t digest(uint32_t round, const struct life_facts *facts)
{
    uint64_t hash = mix(round, facts->sent_bytes);

    hash = mix(hash, facts->received_bytes);
    hash = mix(hash, (uint64_t)facts->segs_out << 32 | facts->segs_in);
    hash = mix(hash, (uint64_t)facts->retrans << 32 | facts->rtt_us);
    hash >>= 32;
    return hash ? (uint32_t)hash : 1;
}

/* Record time of an instant that lies so long before a sample; what came while the kernel walked
 * counts as of the snapshot. */
static int64_t before_ms(const struct ledger *ledger, const struct sample *sample, uint32_t ago_ms)
{
    int64_t at_ms = ledger->options.base_ms + sample->sampled_ns / NS_PER_MS - ago_ms;

    return at_ms < ledger->start_ms ? at_ms : ledger->start_ms;
}

int ledger_learn_facts(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct batch *batch = ledger->batch;
    uint32_t now = digest(ledger->facts_round, &sample->facts);
    struct sampled_facts sampled = {
        .life = entry->number,
        .last_sent_ms = before_ms(ledger, sample, sample->sent_ago_ms),
        .last_received_ms = before_ms(ledger, sample, sample->received_ago_ms),
        .facts = sample->facts,
    };

    if (!ledger->counts.sampled || (entry->flags & ENTRY_LISTENED) || entry->facts_digest == now ||
        ledger->options.detail == LEDGER_DETAIL_OFF)
        return 0;
    if (vec_reserve(&ledger->sampled_entries, 1) < 0 || vec_push(&batch->sampled, sampled) < 0)
        return -ENOMEM;
    ledger->sampled_entries.items[ledger->sampled_entries.n++] = index;
    entry->facts_digest = now;
    return 0;
}

static int64_t not_after(int64_t ms, int64_t limit_ms)
{
    return ms < limit_ms ? ms : limit_ms;
}

int ledger_tell_last_facts(struct ledger *ledger, uint32_t index, bool again)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    const struct ending *ending = endings_get(&ledger->endings, entry->ending);
    const struct closing *closing = &ending->closing;
    struct sampled_facts sampled = {.life = entry->number, .is_over = true};
    uint32_t now;

    if (!entry->ending || ending->kind != ENDING_ATTACHED || !closing->has_info ||
        (entry->flags & ENTRY_LISTENED))
        return 0;
    /* what a FIN_WAIT2 is whose event came while the kernel walked, the next snapshot shows */
    if (entry->state == STATE_TIME_WAIT ||
        (entry->state == STATE_FIN_WAIT2 && ending->arrived < ledger->snapshot))
        ledger_settle(ledger, entry);
    sampled.closed_by = entry->state == STATE_TIME_WAIT ? CLOSED_BY_LOCAL : CLOSED_BY_UNKNOWN;
    sampled.facts = ledger_facts(closing);
    sampled.last_sent_ms = not_after(ending->at_ms - closing->sent_ago_ms, ledger->start_ms);
    sampled.last_received_ms =
        not_after(ending->at_ms - closing->received_ago_ms, ledger->start_ms);
    now = digest(LAST_ROUND | sampled.facts.received_uncertain | sampled.closed_by << 1,
                 &sampled.facts);
    if (now == entry->facts_digest && !again)
        return 0;
    if (vec_reserve(&ledger->sampled_entries, 1) < 0 ||
        vec_push(&ledger->batch->sampled, sampled) < 0)
        return -ENOMEM;
    ledger->sampled_entries.items[ledger->sampled_entries.n++] = index;
    entry->facts_digest = now;
    return 0;
}

void ledger_tell_facts(struct ledger *ledger)
{
    struct sampled_vec *sampled = &ledger->batch->sampled;
    size_t kept = 0;

    for (size_t i = 0; i < sampled->n; i++) {
        const struct entry *entry = lives_get(&ledger->lives, ledger->sampled_entries.items[i]);

        if (entry->number == sampled->items[i].life && (entry->flags & ENTRY_TOLD))
            sampled->items[kept++] = sampled->items[i];
    }
    sampled->n = kept;
}
