/* SPDX-License-Identifier: MIT */
/* What holds connections. Nearly all are ordinary, and of those nothing is told: the file knows from
 * its snapshots that sampled which were looked at. */
#include "connhist/model/offload.h"
#include "ledger_private.h"

/* Beside a value that no offload uses: it was another one than InHost before. */
#define WAS_HELD 0x40u

static uint8_t held_of(const struct entry *entry)
{
    return (uint8_t)(entry->offload & ~WAS_HELD);
}

static bool was_held(const struct entry *entry)
{
    return entry->offload > OFFLOAD_IN_HOST;
}

int ledger_learn_offload(struct ledger *ledger, uint32_t index, uint8_t offload)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    if (offload == OFFLOAD_UNKNOWN)
        return 0;
    ledger->offload_told = true;
    if (offload == held_of(entry))
        return 0;
    entry->offload = (uint8_t)(offload | (was_held(entry) ? WAS_HELD : 0));
    return was_held(entry) ? ledger_touch(ledger, index, ENTRY_DIRTY) : 0;
}

int ledger_learn_asked(struct ledger *ledger)
{
    int r = 0;

    for (size_t i = 0; i < ledger->unsure.n && r == 0; i++) {
        const struct sample *sample = &ledger->unsure.items[i];
        uint32_t index = ledger->unsure_entries.items[i];
        const struct entry *entry = lives_get(&ledger->lives, index);

        /* its place may be of another one meanwhile */
        if (sample->offload && entry->number && entry->cookie == sample->cookie)
            r = ledger_learn_offload(ledger, index, sample->offload);
    }
    return r;
}

void ledger_tell_offload(const struct entry *entry, struct life *life)
{
    life->offload = was_held(entry) ? held_of(entry) : OFFLOAD_UNKNOWN;
}

void ledger_resume_offload(struct entry *entry, const struct life *life)
{
    if (life->offload)
        entry->offload = (uint8_t)(life->offload | WAS_HELD);
}
