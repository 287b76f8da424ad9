/* SPDX-License-Identifier: MIT */
/* Who closed a connection: what events, the states that were seen, and what was not seen prove
 * together. */
#include "connhist/model/history.h"
#include "ledger_private.h"

enum opener ledger_opener(const struct ledger *ledger, const struct entry *entry)
{
    if (entry->role_source == 0 || entry->role_source == ROLE_BY_PORT_CLASS)
        return OPENER_UNKNOWN;
    return ledger->services.slots.items[entry->service].key.role == ROLE_SERVER ? OPENER_REMOTE
                                                                                : OPENER_LOCAL;
}

static bool entered(const struct entry *entry, unsigned state)
{
    return history_entered(entry_history(entry), entry->history_bytes, entry->since_ms, state) !=
           INT64_MIN;
}

/* Whether what this snapshot does not show was not there: nothing was given up early, and nothing
 * that lasts for `ms` came and went since the complete snapshot before. */
static bool would_show(const struct ledger *ledger, const struct ledger_place *place, int64_t ms)
{
    int64_t complete_ms = ledger_complete_ms(ledger, place->netns);

    return !place->time_wait_lost && !place->left &&
           (complete_ms == TIME_UNKNOWN || ledger->start_ms - complete_ms < ms);
}

/* A mini-socket of either kind. */
static bool mini_would_show(const struct ledger *ledger, uint32_t netns)
{
    struct ledger_place place = ledger_place(ledger, netns);

    return would_show(ledger, &place,
                      place.fin_timeout_ms < TIME_WAIT_MS ? place.fin_timeout_ms : TIME_WAIT_MS);
}

bool ledger_is_reset(const struct closing *closing)
{
    return closing->wiped ||
           (closing->has_info && !closing->fin_acked && !closing->retrans && !closing->unanswered &&
            !closing->opener_hangs_on_fin && (closing->established || closing->segs_in > 0));
}

/* Who closed, by the event alone, when no mini-socket was seen to follow. Where the peer's FIN had
 * not come, one did follow, and only a reset ends it before it would show. */
static enum closed_by by_event(const struct ledger *ledger, uint32_t netns,
                               const struct ending *ending)
{
    const struct closing *closing = &ending->closing;

    if (ledger_is_reset(closing))
        return CLOSED_BY_RESET;
    if (!closing->fin_acked || ending->blind || !mini_would_show(ledger, netns))
        return CLOSED_BY_UNKNOWN;
    return closing->no_peer_fin ? CLOSED_BY_RESET : CLOSED_BY_REMOTE;
}

/* A FIN_WAIT2 that no TIME_WAIT followed was given up by its timer or reset. The timer runs from
 * close() on, when the event came and a mini-socket is left. */
static bool timed_out(const struct ledger *ledger, const struct entry *entry,
                      const struct ending *ending)
{
    struct ledger_place place = ledger_place(ledger, entry->netns);
    int64_t complete_ms = ledger_complete_ms(ledger, entry->netns);
    bool is_mini = entry->ending && (ending->kind == ENDING_ORPHAN ||
                                     (complete_ms != TIME_UNKNOWN && ending->at_ms <= complete_ms));

    return is_mini && !ending->blind && would_show(ledger, &place, TIME_WAIT_MS) &&
           ledger->start_ms - entry->changed_ms + ledger->options.interval_ms >=
               place.fin_timeout_ms;
}

enum closed_by ledger_closed_by(const struct ledger *ledger, const struct entry *entry)
{
    const struct ending *ending = endings_get(&ledger->endings, entry->ending);

    if (entry->protocol != PROTOCOL_TCP || (entry->flags & ENTRY_LISTENED) || !entry->remote_port)
        return entry->ending && ending->kind == ENDING_ATTACHED && ending->closing.wiped
                   ? CLOSED_BY_RESET
                   : CLOSED_BY_UNKNOWN;
    if (entry->state == STATE_TIME_WAIT)
        return CLOSED_BY_LOCAL;
    if (entered(entry, STATE_CLOSE_WAIT) || entered(entry, STATE_LAST_ACK))
        return CLOSED_BY_REMOTE;
    if (entry->state == STATE_FIN_WAIT2)
        return timed_out(ledger, entry, ending) ? CLOSED_BY_TIMEOUT : CLOSED_BY_UNKNOWN;
    if (!entry->ending || ending->kind != ENDING_ATTACHED)
        return CLOSED_BY_UNKNOWN;
    return by_event(ledger, entry->netns, ending);
}

void ledger_learn_opener(struct closing *closing, enum opener opener)
{
    if (!closing->opener_hangs_on_fin || opener == OPENER_UNKNOWN)
        return;
    closing->opener = (uint8_t)opener;
    closing->opener_hangs_on_fin = false;
    closing->fin_acked = opener == OPENER_REMOTE;
}

/* Whether the FIN_WAIT2 that was seen was a mini-socket's, which got the peer's FIN in place of the
 * full socket; and not one that the program had shut down and still held. */
static bool was_mini(const struct entry *entry, const struct ending *ending)
{
    return (!entry->inode && entry->uid == UID_UNKNOWN) ||
           ending->at_ms <= history_entered(entry_history(entry), entry->history_bytes,
                                            entry->since_ms, STATE_FIN_WAIT2) ||
           (entry->state == STATE_FIN_WAIT2 && ending->arrived < entry->seen);
}

void ledger_settle(struct ledger *ledger, const struct entry *entry)
{
    struct ending *ending = endings_get(&ledger->endings, entry->ending);

    if (!entry->ending || ending->kind != ENDING_ATTACHED || ending->settled)
        return;
    ending->settled = true;
    if (entered(entry, STATE_FIN_WAIT2)) {
        closing_settle(&ending->closing,
                       was_mini(entry, ending) ? SEQUEL_FIN_WAIT2 : SEQUEL_TIME_WAIT);
    } else if (entry->state == STATE_TIME_WAIT) {
        closing_settle(&ending->closing, SEQUEL_TIME_WAIT);
    } else {
        ledger_learn_opener(&ending->closing, ledger_opener(ledger, entry));
        if (!ending->blind && mini_would_show(ledger, entry->netns))
            closing_settle(&ending->closing, SEQUEL_NONE);
    }
}
