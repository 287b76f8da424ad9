/* SPDX-License-Identifier: MIT */
/* Joining destroy events to lives. An event frees the full socket; the life ends with it, or later,
 * when the mini-socket (FIN_WAIT2, TIME_WAIT) that followed leaves the table. Of a socket that no
 * snapshot saw the event is all there is: it waits for the next complete snapshot, which shows
 * whether a mini-socket followed. */
#include <errno.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/model/history.h"
#include "events.h"
#include "ledger_private.h"

/* The timer of a TIME_WAIT counts jiffies: its begin may lie so much after the event. */
#define TIMER_COARSE_MS 10

/* While no snapshot is complete nobody knows what followed an event. Between two complete ones all
 * events wait; when so many snapshots in a row were interrupted, no more than so many do. */
#define INTERRUPTED_MAX 3
#define PENDING_MAX     65536

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
        return (!closing->local_port || entry->local_port == closing->local_port) &&
               (address_is_any(closing->family, &closing->remote) ||
                memcmp(&entry->remote, &closing->remote, sizeof(entry->remote)) == 0);
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

    ledger_note_gone(ledger, lives_get(&ledger->lives, index)->inode);
    endings_use_again(&ledger->endings, netns, closing, closing->cookie, ENDINGS_NONE);
    if (ledger_touch(ledger, index, ENTRY_DIRTY) < 0)
        return -ENOMEM;
    return endings_add(&ledger->endings, &ending, &lives_get(&ledger->lives, index)->ending);
}

/* Whether an event can be of the socket that a mini-socket came from: nothing went to and fro on it
 * after that began. Of one that was there before this run the event was told then, or its program
 * held the socket; what was told at that very time may still be on its way. */
static bool can_be_of(const struct ledger *ledger, const struct entry *mini,
                      const struct closing *closing, int64_t at_ms)
{
    int64_t late_ms = mini->changed_ms < ledger->first_ms ? EVENTS_LATE_MS : READ_LATE_MS;

    return at_ms - closing->quiet_ms <= mini->changed_ms + late_ms;
}

/* The event of a socket whose mini-socket was seen before the event came. */
static bool join_orphan(struct ledger *ledger, uint32_t netns, const struct closing *closing,
                        int64_t at_ms)
{
    uint32_t index = endings_find(&ledger->endings, ENDING_ORPHAN, netns, closing);
    struct ending *ending = endings_get(&ledger->endings, index);
    const struct entry *mini;

    /* of one that an earlier run wrote as closed the event came then: this one is of a later use */
    if (index == ENDINGS_NONE)
        return false;
    mini = lives_get(&ledger->lives, ending->entry);
    if (mini->flags & ENTRY_PLANNED || !can_be_of(ledger, mini, closing, at_ms))
        return false;
    endings_use_again(&ledger->endings, netns, closing, closing->cookie, index);
    if (ledger_touch(ledger, ending->entry, ENTRY_DIRTY) < 0)
        return false;
    endings_attach(&ledger->endings, index);
    ending->closing = *closing;
    ending->at_ms = at_ms;
    ending->entry = LIVES_NONE;
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
    if (ledger_join_late(ledger, netns, closing, at_ms, &r))
        return r;
    if (closing->unconnected) {
        ledger->unconnected++;
        if (closing->protocol == PROTOCOL_TCP)
            owning_listened_unseen(ledger, closing->local_port);
        return 0;
    }
    if (closing->wiped)
        ledger->unresolved++;
    else if (join_orphan(ledger, netns, closing, at_ms))
        return 0;
    pending = ending_of(ledger, netns, closing, at_ms, ENDING_PENDING);
    endings_use_again(&ledger->endings, netns, closing, closing->cookie, ENDINGS_NONE);
    if (ledger->endings.n_pending >= PENDING_MAX &&
        ledger->n_interrupted + ledger_place(ledger, netns).n_interrupted >= INTERRUPTED_MAX)
        return -ENOBUFS;
    return endings_add(&ledger->endings, &pending, &index);
}

void ledger_expect(const struct ledger *ledger, uint32_t netns, const struct closing *closing)
{
    lives_expect(&ledger->lives, netns, closing->cookie);
    endings_expect(&ledger->endings, netns, &closing->local, closing->local_port, &closing->remote,
                   closing->remote_port);
}

int ledger_closing(struct ledger *ledger, uint32_t netns, const struct closing *closing)
{
    int64_t at_ms = ledger->options.base_ms + closing->received_ns / NS_PER_MS;
    int r;

    if (ledger->options.detail == LEDGER_DETAIL_ANONYMOUS) {
        struct closing key = *closing;

        key.peer_digest = ledger_cut_peer(ledger, key.family, &key.remote);
        r = take_closing(ledger, netns, &key, at_ms);
    } else {
        r = take_closing(ledger, netns, closing, at_ms);
    }
    if (r == 0 && !closing->unconnected)
        ledger->closings++;
    return r;
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

/* What had the endpoints of a living connection before is over. */
static void use_again(struct ledger *ledger, const struct entry *entry, uint32_t own)
{
    struct closing endpoints = ledger_endpoints(entry);

    if (entry->remote_port && !ledger_is_left(entry->protocol, entry->state, entry->remote_port))
        endings_use_again(&ledger->endings, entry->netns, &endpoints, entry->cookie, own);
}

/* A mini-socket of unknown origin takes the event that came with it, or waits for one. */
static int join_mini(struct ledger *ledger, uint32_t index)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct closing endpoints = ledger_endpoints(entry);
    uint32_t pending = endings_find_after(&ledger->endings, entry->netns, &endpoints,
                                          entry->changed_ms - TIMER_COARSE_MS);
    struct ending orphan;

    use_again(ledger, entry, pending);
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

/* Fetches what events may have told of the entries that come next. */
static void expect_endings(const struct ledger *ledger, const struct entry_vec *entries, size_t i)
{
    const struct entry *entry;

    if (i + LEDGER_AHEAD >= entries->n)
        return;
    if (i + 2 * LEDGER_AHEAD < entries->n)
        lives_fetch(&ledger->lives, entries->items[i + 2 * LEDGER_AHEAD]);
    entry = lives_get(&ledger->lives, entries->items[i + LEDGER_AHEAD]);
    endings_expect(&ledger->endings, entry->netns, &entry->local, entry->local_port, &entry->remote,
                   entry->remote_port);
}

int ledger_join_fresh(struct ledger *ledger)
{
    int r = 0;

    if (!ledger->options.events)
        return 0;
    for (size_t i = 0; i < ledger->fresh.n && r == 0; i++) {
        struct entry *entry = lives_get(&ledger->lives, ledger->fresh.items[i]);

        expect_endings(ledger, &ledger->fresh, i);
        if (ledger_was_closed(ledger, entry))
            entry->flags &= (uint8_t)~ENTRY_OPENED_KNOWN;
        if (ledger_is_mini(entry) && !entry->ending)
            r = join_mini(ledger, ledger->fresh.items[i]);
        else
            use_again(ledger, entry, entry->ending);
    }
    /* the event of the use before may come after the snapshot that shows the next one */
    for (size_t i = 0; i < ledger->fresh_before.n; i++) {
        const struct entry *entry = lives_get(&ledger->lives, ledger->fresh_before.items[i]);

        expect_endings(ledger, &ledger->fresh_before, i);
        if (entry->number)
            use_again(ledger, entry, entry->ending);
    }
    return r;
}

uint32_t ledger_adopt(struct ledger *ledger, uint32_t netns, const struct sample *key,
                      uint32_t peer_digest)
{
    struct closing endpoints = endpoints_of(key);
    uint32_t index, entry;

    /* what an earlier run left is found or over with the first complete snapshot */
    if (!ledger->options.events || key->state != STATE_TIME_WAIT ||
        ledger->complete_ms >= ledger->first_ms)
        return LIVES_NONE;
    endpoints.peer_digest = peer_digest;
    /* one whose event came in this run is of a later use of these endpoints */
    if (endings_find(&ledger->endings, ENDING_PENDING, netns, &endpoints) != ENDINGS_NONE)
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

/* Whether an event is of a connection that came and went before the last complete snapshot: its
 * program held the socket, and nothing went to and fro since. One that ended while that snapshot
 * was taken is not meant. */
static bool was_over(const struct ledger *ledger, const struct ending *ending)
{
    int64_t quiet_since_ms = ending->at_ms - ending->closing.quiet_ms;
    int64_t complete_ms = ledger_complete_ms(ledger, ending->netns);
    int64_t before_ms = ledger_complete_before_ms(ledger, ending->netns);

    if (!ending->closing.quiet_ms || complete_ms == TIME_UNKNOWN || quiet_since_ms > complete_ms)
        return false;
    return ending->at_ms > complete_ms + READ_LATE_MS ||
           (before_ms != TIME_UNKNOWN && quiet_since_ms <= before_ms);
}

static void set_times(const struct ledger *ledger, struct entry *entry, struct ending *ending)
{
    int64_t complete_ms = ledger_complete_ms(ledger, ending->netns);

    if (ending->at_ms > ledger->start_ms)
        ending->at_ms = ledger->start_ms;
    entry->since_ms = ending->at_ms - ending->closing.known_age_ms;
    if (was_over(ledger, ending)) {
        /* the last instant at which it is known to have been there; a mini-socket may have come
         * and gone */
        entry->since_ms = ending->at_ms -= ending->closing.quiet_ms;
        ending->blind = true;
    } else if (complete_ms != TIME_UNKNOWN && entry->since_ms <= complete_ms) {
        entry->since_ms = complete_ms + 1;
    }
    if (ending->at_ms < entry->since_ms)
        ending->at_ms = entry->since_ms;
    entry->changed_ms = entry->since_ms;
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
    entry->peer_digest = ending->closing.peer_digest;
    entry->flags &= (uint8_t)~ENTRY_OPENED_KNOWN;
    set_times(ledger, entry, ending);
    return 0;
}

int ledger_resolve_pending(struct ledger *ledger)
{
    int r = 0;

    for (uint32_t i = 1; i < ledger->endings.pool.n && r == 0; i++) {
        struct ending *ending = endings_get(&ledger->endings, i);
        /* one that came while the kernel walked may have a mini-socket that the walk had passed */
        bool early;

        if (ending->kind != ENDING_PENDING)
            continue;
        early = !ledger_is_whole(ledger, ending->netns) || ending->arrived == ledger->snapshot;
        if (early && !ledger->last)
            continue;
        if (ending->arrived == ledger->snapshot) {
            /* it came after the end of the recording; told now, it would be told once more by a run
             * that sees its mini-socket */
            ledger->closings--;
            endings_remove(&ledger->endings, i);
            continue;
        }
        ending->blind |= early;
        /* what was over before this run began may be in the file, closed by an earlier one */
        if (was_over(ledger, ending) && ending->at_ms - ending->closing.quiet_ms < ledger->first_ms)
            endings_remove(&ledger->endings, i);
        else
            r = be_born_of_event(ledger, i);
    }
    return r;
}
