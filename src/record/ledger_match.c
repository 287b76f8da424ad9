/* SPDX-License-Identifier: MIT */
/* Matching samples to lives: which life a sample belongs to, what it changes there, and when a new
 * one begins. */
#include <errno.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/model/history.h"
#include "ledger_private.h"

static bool same_socket(const struct entry *entry, uint32_t netns, const struct sample *sample)
{
    return entry->cookie == sample->cookie && entry->netns == netns;
}

static bool same_endpoints(const struct entry *entry, const struct sample *sample)
{
    return entry->local_port == sample->local_port && entry->remote_port == sample->remote_port &&
           entry->protocol == sample->protocol && entry->family == sample->family &&
           entry->scope_ifindex == sample->scope_ifindex &&
           memcmp(&entry->remote, &sample->remote, sizeof(entry->remote)) == 0 &&
           memcmp(&entry->local, &sample->local, sizeof(entry->local)) == 0;
}

/* Whether a sample goes on with a life of its cookie. One cookie can stand for several sockets at
 * once: when a program shut a connection down and holds its socket, the kernel lists that as CLOSE,
 * still with both endpoints, beside the mini-socket in TIME_WAIT; and the program may connect it
 * elsewhere meanwhile. So what is left of a connection is a life of its own. */
static bool goes_on(const struct entry *entry, const struct sample *sample)
{
    return same_endpoints(entry, sample) &&
           ledger_is_left(entry->protocol, entry->state, entry->remote_port) ==
               ledger_is_left(sample->protocol, sample->state, sample->remote_port);
}

/* How far a TCP connection has come; it never goes back within one life. */
static unsigned progress(unsigned state)
{
    static const uint8_t order[STATE_COUNT] = {
        [STATE_SYN_SENT] = 1,  [STATE_SYN_RECV] = 2,   [STATE_ESTABLISHED] = 3,
        [STATE_FIN_WAIT1] = 4, [STATE_CLOSE_WAIT] = 4, [STATE_FIN_WAIT2] = 5,
        [STATE_CLOSING] = 5,   [STATE_LAST_ACK] = 6,   [STATE_TIME_WAIT] = 7,
        [STATE_CLOSE] = 8,     [STATE_LISTEN] = 9,
    };

    return state < STATE_COUNT ? order[state] : 0;
}

/* Whether the socket was used anew, with the same cookie and endpoints: connect() again, or
 * listen() again. One whose history is full begins a new life too, so that no state is lost. */
static bool is_reused(const struct entry *entry, const struct sample *sample)
{
    if (entry->state == sample->state)
        return false;
    if (entry->history_bytes > HISTORY_MAX_BYTES - HISTORY_CHANGE_MAX)
        return true;
    if (entry->protocol != PROTOCOL_TCP)
        return false;
    if (sample->state == STATE_LISTEN)
        return entry->flags & ENTRY_LISTENED;
    if (entry->state == STATE_LISTEN)
        return sample->state != STATE_CLOSE;
    return progress(sample->state) < progress(entry->state);
}

/* The instant a TIME_WAIT began, by its timer, within what is known: after the snapshot that did
 * not show it. */
static int64_t time_wait_entry(const struct ledger *ledger, const struct sample *sample,
                               int64_t not_before_ms)
{
    int64_t entered = ledger->start_ms;

    if (sample->timer == SAMPLE_TIMER_TIME_WAIT && sample->expires_ms <= TIME_WAIT_MS)
        entered = ledger->options.base_ms + sample->sampled_ns / NS_PER_MS + sample->expires_ms -
                  TIME_WAIT_MS;
    if (entered < not_before_ms)
        entered = not_before_ms;
    return entered < ledger->start_ms ? entered : ledger->start_ms;
}

static int64_t just_after(int64_t ms)
{
    return ms == TIME_UNKNOWN ? TIME_UNKNOWN : ms + 1;
}

int ledger_touch(struct ledger *ledger, uint32_t index, uint8_t flag)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    if (!(entry->flags & (ENTRY_DIRTY | ENTRY_QUEUE_DIRTY)) &&
        vec_push(&ledger->touched, index) < 0)
        return -ENOMEM;
    entry->flags |= flag;
    return 0;
}

static int change_state(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    int64_t at_ms = ledger->start_ms;
    int r;

    if (sample->state == STATE_TIME_WAIT) {
        int64_t floor_ms = just_after(ledger_complete_ms(ledger, entry->netns));

        at_ms = time_wait_entry(ledger, sample,
                                entry->changed_ms > floor_ms ? entry->changed_ms : floor_ms);
    }
    if (entry->state == STATE_LISTEN)
        owning_listened_unseen(ledger, entry->local_port);
    r = lives_append_state(&ledger->lives, entry, sample->state, at_ms);
    if (r < 0)
        return r;
    if (sample->state == STATE_LISTEN)
        entry->flags |= ENTRY_LISTENED;
    if (!sample->inode)
        ledger_note_gone(ledger, entry->inode);
    return ledger_touch(ledger, index, ENTRY_DIRTY);
}

static int learn_peer(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    if (memcmp(&entry->remote, &sample->remote, sizeof(entry->remote)) == 0)
        return 0;
    entry->remote = sample->remote;
    return ledger_touch(ledger, index, ENTRY_DIRTY);
}

static bool learn_owner(struct entry *entry, const struct sample *sample)
{
    bool inode = sample->inode && sample->inode != entry->inode;
    bool uid = sample->has_uid && sample->uid != entry->uid;

    if (inode) {
        entry->inode = sample->inode;
        owning_restart(entry);
    }
    if (uid)
        entry->uid = sample->uid;
    return inode || uid;
}

static bool learn_queue(struct entry *entry, const struct sample *sample)
{
    if (sample->state != STATE_LISTEN ||
        (entry->waiting == sample->recv_queue && entry->limit == sample->send_queue))
        return false;
    entry->waiting = sample->recv_queue;
    entry->limit = sample->send_queue;
    return true;
}

/* A TIME_WAIT that outlasts its planned end: its timer was set again, or fires late. */
static int replan(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    const struct entry *entry = lives_get(&ledger->lives, index);
    struct ending *ending;

    /* it is never planned for earlier; most need no look at what is planned */
    if (entry->changed_ms + TIME_WAIT_MS > ledger->start_ms)
        return 0;
    ending = endings_get(&ledger->endings, entry->ending);
    if (ending->planned_ms > ledger->start_ms)
        return 0;
    ending->planned_ms = ledger->start_ms + (sample->expires_ms ? sample->expires_ms : 1);
    return ledger_touch(ledger, index, ENTRY_DIRTY);
}

/* A known socket, seen for the first time in this snapshot. */
static int update(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    int r = 0;

    if (entry->state != sample->state)
        r = change_state(ledger, index, sample);
    if (r == 0 && learn_owner(entry, sample))
        r = ledger_touch(ledger, index, ENTRY_DIRTY);
    if (sample->v6only)
        entry->flags |= ENTRY_V6ONLY;
    if (r == 0 && learn_queue(entry, sample))
        r = ledger_touch(ledger, index, ENTRY_QUEUE_DIRTY);
    if (r == 0 && (entry->flags & ENTRY_PLANNED))
        r = replan(ledger, index, sample);
    ledger->services.slots.items[entry->service].now[entry->state]++;
    return r < 0 ? r : owning_see(ledger, index, sample);
}

static bool wants_info(const struct sample *sample)
{
    return sample->protocol == PROTOCOL_TCP && sample->opener == OPENER_UNKNOWN &&
           (sample->state == STATE_ESTABLISHED || sample->state == STATE_CLOSE_WAIT ||
            sample->state == STATE_FIN_WAIT1 ||
            (sample->state == STATE_FIN_WAIT2 && sample->inode));
}

static void fill_entry(struct ledger *ledger, struct entry *entry, const struct sample *sample)
{
    entry->since_ms = entry->changed_ms = ledger->start_ms;
    entry->local = sample->local;
    entry->remote = sample->remote;
    entry->local_port = sample->local_port;
    entry->remote_port = sample->remote_port;
    entry->scope_ifindex = sample->scope_ifindex;
    entry->inode = sample->inode;
    entry->uid = sample->has_uid ? sample->uid : UID_UNKNOWN;
    entry->family = sample->family;
    entry->protocol = sample->protocol;
    entry->state = sample->state;
    if (sample->state == STATE_TIME_WAIT)
        entry->since_ms = entry->changed_ms =
            time_wait_entry(ledger, sample, just_after(ledger_complete_ms(ledger, entry->netns)));
    else if (ledger_opening_known(ledger, entry->netns))
        entry->flags |= ENTRY_OPENED_KNOWN;
    if (sample->v6only)
        entry->flags |= ENTRY_V6ONLY;
    if (sample->state == STATE_LISTEN) {
        entry->flags |= ENTRY_LISTENED | ENTRY_QUEUE_DIRTY;
        entry->waiting = sample->recv_queue;
        entry->limit = sample->send_queue;
    }
}

/* Room for one more fresh life, so that nothing fails after it is born. */
static int reserve_fresh(struct ledger *ledger)
{
    return vec_reserve(&ledger->fresh, 1) < 0 || vec_reserve(&ledger->unsure, 1) < 0 ||
                   vec_reserve(&ledger->unsure_entries, 1) < 0
               ? -ENOMEM
               : 0;
}

int ledger_be_born(struct ledger *ledger, uint32_t netns, const struct sample *key, uint32_t *ret)
{
    struct entry *entry;
    int r = reserve_fresh(ledger);

    if (r == 0)
        r = lives_add(&ledger->lives, netns, key->cookie, ledger->next_life, ret);
    if (r < 0)
        return r;
    ledger->next_life++;
    entry = lives_get(&ledger->lives, *ret);
    fill_entry(ledger, entry, key);
    entry->history.bytes[0] = entry->state;
    entry->history_bytes = 1;
    ledger->fresh.items[ledger->fresh.n++] = *ret;
    return 0;
}

/* A new life of a sample. key: with its peer as it may be kept; sample: with the true one, which
 * the kernel wants to hear when it is asked for tcp_info. */
static int be_born(struct ledger *ledger, uint32_t netns, const struct sample *key,
                   const struct sample *sample, uint32_t *ret)
{
    int r = ledger_be_born(ledger, netns, key, ret);

    if (r < 0)
        return r;
    if (wants_info(sample) || sample->opener != OPENER_UNKNOWN) {
        ledger->unsure.items[ledger->unsure.n++] = *sample;
        ledger->unsure_entries.items[ledger->unsure_entries.n++] = *ret;
    }
    return owning_see(ledger, *ret, sample);
}

/* Finds the life of a sample; the kernel walks its tables in much the same order each time, so that
 * the one which followed last time is tried first. */
static uint32_t find_life(const struct ledger *ledger, uint32_t netns, const struct sample *sample)
{
    uint32_t i = LIVES_NONE;

    if (ledger->last_seen != LIVES_NONE)
        i = lives_get(&ledger->lives, ledger->last_seen)->follower;
    if (i != LIVES_NONE) {
        const struct entry *entry = lives_get(&ledger->lives, i);

        if (entry->number && same_socket(entry, netns, sample) && goes_on(entry, sample))
            return i;
    }
    i = lives_find(&ledger->lives, netns, sample->cookie);
    while (i != LIVES_NONE && !goes_on(lives_get(&ledger->lives, i), sample))
        i = lives_next(&ledger->lives, i);
    return i;
}

/* After anonymous detail was turned off the file has the peers of resumed lives as prefixes: the
 * first snapshot tells them in full. */
static uint32_t find_cut(const struct ledger *ledger, uint32_t netns, const struct sample *sample)
{
    struct sample cut;
    uint32_t i;

    if (ledger->snapshot > 1 || ledger->options.detail == LEDGER_DETAIL_ANONYMOUS)
        return LIVES_NONE;
    cut = *sample;
    address_cut(cut.family, &cut.remote, ledger->options.anonymous_ipv4_bits,
                ledger->options.anonymous_ipv6_bits);
    i = lives_find(&ledger->lives, netns, sample->cookie);
    while (i != LIVES_NONE &&
           (lives_get(&ledger->lives, i)->seen || !goes_on(lives_get(&ledger->lives, i), &cut)))
        i = lives_next(&ledger->lives, i);
    return i;
}

/* Whether this snapshot has the socket of a new life already, as something else: it moved on while
 * the kernel walked. Only a TIME_WAIT shares its cookie with another socket. */
static bool was_seen(const struct ledger *ledger, uint32_t netns, const struct sample *sample)
{
    uint32_t i = lives_find(&ledger->lives, netns, sample->cookie);

    for (; i != LIVES_NONE; i = lives_next(&ledger->lives, i)) {
        const struct entry *entry = lives_get(&ledger->lives, i);

        if (entry->seen == ledger->snapshot && entry->state != STATE_TIME_WAIT &&
            sample->state != STATE_TIME_WAIT)
            return true;
    }
    return false;
}

/* A flood of half-open connections is counted, not kept. */
static int tally_only(struct ledger *ledger, uint32_t netns, const struct sample *sample)
{
    struct service_key key = roles_server_key(netns, sample);
    uint32_t service;
    int r = services_get(&ledger->services, &key, &service);

    if (r < 0)
        return r;
    ledger->services.slots.items[service].now[sample->state]++;
    ledger->counts.unkept++;
    ledger->counts.sockets++;
    return 0;
}

static void mark_seen(struct ledger *ledger, uint32_t index, uint32_t peer_digest)
{
    struct entry *entry = lives_get(&ledger->lives, index);

    entry->seen = ledger->snapshot;
    entry->peer_digest = peer_digest;
    if (ledger->last_seen != LIVES_NONE)
        lives_get(&ledger->lives, ledger->last_seen)->follower = index;
    ledger->last_seen = index;
    ledger->n_seen++;
    ledger->counts.sockets++;
    ledger->n_syn_recv += entry->state == STATE_SYN_RECV;
    lives_fetch(&ledger->lives, entry->follower);
}

/* key: the sample with its peer as it may be kept. */
static int take(struct ledger *ledger, uint32_t netns, const struct sample *key,
                const struct sample *sample, uint32_t peer_digest)
{
    uint32_t index = find_life(ledger, netns, key);
    int r = 0;

    if (index == LIVES_NONE)
        index = find_cut(ledger, netns, key);
    if (index == LIVES_NONE)
        index = ledger_adopt(ledger, netns, key, peer_digest);
    if (index == LIVES_NONE ? was_seen(ledger, netns, sample)
                            : lives_get(&ledger->lives, index)->seen == ledger->snapshot) {
        ledger->counts.doubles++;
        return 0;
    }
    if (index != LIVES_NONE && is_reused(lives_get(&ledger->lives, index), key)) {
        if (ledger->last_seen != LIVES_NONE)
            lives_get(&ledger->lives, ledger->last_seen)->follower = LIVES_NONE;
        r = ledger_end_life(ledger, index, ledger->start_ms);
        index = LIVES_NONE;
    }
    if (r == 0 && index != LIVES_NONE)
        r = learn_peer(ledger, index, key);
    if (r == 0 && index != LIVES_NONE)
        r = update(ledger, index, key);
    else if (r == 0 && sample->state == STATE_SYN_RECV &&
             ledger->n_syn_recv >= ledger->options.max_syn_recv)
        return tally_only(ledger, netns, sample);
    else if (r == 0)
        r = be_born(ledger, netns, key, sample, &index);
    if (r == 0)
        mark_seen(ledger, index, peer_digest);
    if (r == 0 && sample->facts.known)
        r = ledger_learn_facts(ledger, index, sample);
    if (r == 0 && sample->offload)
        r = ledger_learn_offload(ledger, index, sample->offload);
    return r;
}

uint32_t ledger_cut_peer(const struct ledger *ledger, uint8_t family, struct address *remote)
{
    uint64_t words[2], hash = 0;

    if (ledger->options.detail != LEDGER_DETAIL_ANONYMOUS)
        return 0;
    memcpy(words, remote->bytes, sizeof(words));
    for (size_t i = 0; i < 2; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    address_cut(family, remote, ledger->options.anonymous_ipv4_bits,
                ledger->options.anonymous_ipv6_bits);
    return (uint32_t)(hash >> 32) | 1;
}

int ledger_sample(struct ledger *ledger, uint32_t netns, const struct sample *sample)
{
    int r;

    if (ledger->options.detail == LEDGER_DETAIL_ANONYMOUS) {
        struct sample key = *sample;
        uint32_t peer_digest = ledger_cut_peer(ledger, key.family, &key.remote);

        r = take(ledger, netns, &key, sample, peer_digest);
    } else {
        r = take(ledger, netns, sample, sample, 0);
    }
    if (r < 0)
        ledger->error = r;
    return r;
}
