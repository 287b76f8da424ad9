/* SPDX-License-Identifier: MIT */
/* Owners of lives. What was found is kept for the life; it is looked for anew when the process has
 * ended or changed its name, and now and then whether it still holds the socket. */
#include "owning.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_private.h"

#define CHECKS_MAX    32  /* processes looked at in a snapshot whether they are still there */
#define LISTENING_MAX 64  /* … and as many more of those that listen */
#define RETOLD_MAX    256 /* sockets whose further holders are told once more, in a snapshot */
#define LOOKS_AGAIN   2   /* looks more for listeners, where one did not come to its end */

int owning_resume(struct ledger *ledger, struct entry *entry, const struct life *life)
{
    if (life->stored_owner && life->owner_source != OWNER_BY_NOTHING)
        entry->owner = owner_table_take(&ledger->owners, life->stored_owner);
    if (entry->owner)
        owning_set(entry, life->owner_source, OWNER_LATER, 0);
    else if (life->owner_source == OWNER_IS_KERNEL)
        owning_set(entry, OWNER_IS_KERNEL, OWNER_LATER, 0);
    entry->shared = life->shared;
    /* who they are is in the file, but not looked at here */
    entry->mixed = life->shared;
    return owning_resume_past(ledger, entry, life);
}

/* Why the owner is not known, of a life without one. */
static unsigned lack_of(const struct entry *entry)
{
    unsigned lack = owning_lack(entry);

    return lack == OWNER_LATER && !entry->inode ? OWNER_ABSENT : lack;
}

/* Whether its process ended or changed its name, though the socket is held still. */
static bool is_stale(const struct ledger *ledger, const struct entry *entry)
{
    return ledger->owners.n_stale && entry->owner &&
           owner_table_get(&ledger->owners, entry->owner)->stale;
}

/* Whether it is this life's turn to be held against what is now. */
static bool is_rechecked(const struct ledger *ledger, const struct entry *entry, uint32_t index)
{
    uint32_t users;

    if (!entry->owner || entry->owner != ledger->recheck)
        return false;
    users = owner_table_get(&ledger->owners, entry->owner)->users;
    return (index + ledger->recheck_pass) % (1 + users / OWNING_RECHECKS_MAX) == 0;
}

/* Whether its further holders are looked for, which may not be in the file any more. */
static bool is_retold(struct ledger *ledger, const struct entry *entry, const struct sample *sample)
{
    return entry->retell && sample->inode && ledger->n_retold++ < RETOLD_MAX;
}

/* Without detail no others than these are told. */
static bool is_kept(const struct ledger *ledger, const struct sample *sample)
{
    return ledger->options.detail != LEDGER_DETAIL_OFF || sample->state == STATE_LISTEN ||
           (sample->protocol == PROTOCOL_UDP && sample->state == STATE_CLOSE);
}

int owning_see(struct ledger *ledger, uint32_t index, const struct sample *sample)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    struct ask ask = {.cgroup = sample->cgroup,
                      .number = entry->number,
                      .index = index,
                      .has_inode = sample->inode != 0};
    bool turn = entry->pending || ledger->snapshot % (1u << owning_pause(entry)) == 0;
    unsigned source;
    int r;

    if (!ledger->options.owners || !is_kept(ledger, sample))
        return 0;
    if (sample->state == STATE_LISTEN && entry->owner)
        owner_table_get(&ledger->owners, entry->owner)->listened = (uint32_t)ledger->snapshot;
    r = sample->inode ? 0 : owning_closed(ledger, index);
    if (r < 0)
        return r;
    source = owning_source(entry);
    if (source == OWNER_BY_NOTHING)
        ledger->lacks[lack_of(entry)]++;
    if (source == OWNER_BY_INODE) {
        ask.doubtful = entry->suspect || is_stale(ledger, entry);
        ask.recheck = sample->inode && (ask.doubtful || is_rechecked(ledger, entry, index));
        if (!ask.recheck && !is_retold(ledger, entry, sample))
            return 0;
    } else if (owning_is_queued(entry)) { /* its listener may be another's by now */
        ask.cgroup = turn && source == OWNER_BY_NOTHING ? sample->cgroup : 0;
    } else if ((!sample->inode && (!sample->cgroup || source != OWNER_BY_NOTHING)) || !turn) {
        return 0;
    } else if (owning_kernel_see(ledger, index, sample) < 0) {
        return -ENOMEM;
    }
    return vec_push(&ledger->asks, ask);
}

/* Gives a life another owner, or none. */
static int set_owner(struct ledger *ledger, uint32_t index, uint32_t owner, unsigned source)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    bool changed = entry->owner != owner || owning_source(entry) != source;
    bool is_lost = owning_source(entry) != OWNER_BY_NOTHING && source == OWNER_BY_NOTHING &&
                   entry->seen == ledger->snapshot;

    if (owning_source(entry) == OWNER_BY_NOTHING && source != OWNER_BY_NOTHING &&
        entry->seen == ledger->snapshot)
        ledger->lacks[lack_of(entry)]--;
    owner_table_keep(&ledger->owners, owner);
    owner_table_drop(&ledger->owners, entry->owner);
    entry->owner = owner;
    entry->suspect = false;
    entry->pending &= source != OWNER_BY_INODE;
    if (source == OWNER_BY_INODE || source == OWNER_BY_NOTHING)
        owning_set(entry, source, OWNER_LATER, 0);
    else /* the process is looked for all the same, when it is its turn */
        owning_set(entry, source, owning_lack(entry), owning_pause(entry));
    if (is_lost)
        ledger->lacks[lack_of(entry)]++;
    return changed && (entry->flags & ENTRY_TOLD) ? ledger_touch(ledger, index, ENTRY_DIRTY) : 0;
}

int owning_closed(struct ledger *ledger, uint32_t index)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    const struct ending *ending = endings_get(&ledger->endings, entry->ending);
    int64_t closed_ms = TIME_UNKNOWN;
    int r;

    if (entry->state == STATE_TIME_WAIT)
        closed_ms = entry->changed_ms;
    else if (entry->ending && ending->kind == ENDING_ATTACHED)
        closed_ms = ending->at_ms;
    if (!entry->suspect || closed_ms == TIME_UNKNOWN ||
        closed_ms <= ledger->previous_ms + READ_LATE_MS)
        return 0;
    r = owning_part(ledger, entry);
    return r < 0 ? r : set_owner(ledger, index, 0, OWNER_BY_NOTHING);
}

/* Nothing that was known of it before is told otherwise. In the file the uid is the socket's. */
static bool adds_to(const struct owner *before, const struct owner *now)
{
    return (!*before->comm || strcmp(before->comm, now->comm) == 0) &&
           (!*before->exe || strcmp(before->exe, now->exe) == 0) &&
           (!*before->unit || strcmp(before->unit, now->unit) == 0) &&
           (!*before->container || strcmp(before->container, now->container) == 0) &&
           (!*before->cgroup || strcmp(before->cgroup, now->cgroup) == 0);
}

/* A process was found with it: keeps what is known of those that had it before. */
static int keep_past(struct ledger *ledger, struct entry *entry, const struct owner_want *want)
{
    const struct owner *before;

    if (owning_source(entry) != OWNER_BY_INODE)
        return owning_regain(ledger, entry, want->owner);
    before = &owner_table_get(&ledger->owners, entry->owner)->owner;
    if (owner_is_same_process(before, want->owner))
        return adds_to(before, want->owner) ? 0 : owning_rename(ledger, entry);
    /* both hold it: which of them is its owner was only not known yet */
    for (uint32_t i = 0; i < want->n_others; i++)
        if (owner_is_same_process(before, &want->others[i]))
            return 0;
    return owning_is_sharer(ledger, entry, want->owner) ? owning_hand_over(ledger, entry)
                                                        : owning_part(ledger, entry);
}

static int on_found(struct ledger *ledger, uint32_t index, const struct owner_want *want)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    unsigned source = want->owner->pid ? OWNER_BY_INODE : OWNER_BY_CGROUP;
    uint32_t owner = owner_table_take(&ledger->owners, want->owner);
    bool changed = owner != entry->owner;
    int r = 0;

    if (!owner) /* no room for it: looked for again */
        return 0;
    if (changed && (source == OWNER_BY_INODE || owning_source(entry) == OWNER_BY_INODE))
        r = keep_past(ledger, entry, want);
    if (r == 0)
        r = set_owner(ledger, index, owner, source);
    if (source == OWNER_BY_INODE) {
        owning_seen(ledger, entry);
        owning_see_holders(entry, want);
    }
    owner_table_drop(&ledger->owners, owner);
    if (r == 0 && source == OWNER_BY_INODE && (changed || !entry->shared || want->all_holders) &&
        ledger_is_for_file(ledger, entry))
        r = owning_tell_holders(ledger, entry, want);
    return r;
}

/* Its owner was looked for and not found. */
static int on_lack(struct ledger *ledger, uint32_t index, const struct owner_want *want)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    unsigned pause = owning_pause(entry);

    entry->pending = want->answer == OWNER_LATER;
    if (entry->pending)
        return 0;
    if (owning_source(entry) == OWNER_BY_NOTHING && entry->seen == ledger->snapshot)
        ledger->lacks[lack_of(entry)]--;
    owning_set(entry, owning_source(entry), want->answer,
               pause < OWNING_PAUSE_MAX ? pause + 1 : pause);
    if (owning_source(entry) == OWNER_BY_NOTHING && entry->seen == ledger->snapshot)
        ledger->lacks[lack_of(entry)]++;
    return 0;
}

/* Whether the owner still holds it: it was not found. Once may be a socket that was closed
 * meanwhile: so it is looked for again, if it is there at the next snapshot. */
static int on_lost(struct ledger *ledger, uint32_t index, const struct owner_want *want)
{
    struct entry *entry = lives_get(&ledger->lives, index);
    bool stale = is_stale(ledger, entry);
    int r;

    if (!entry->owner) /* it was asked for twice */
        return 0;
    /* one that has ended holds nothing, whoever it is that does */
    if (!stale || !owner_table_get(&ledger->owners, entry->owner)->ended) {
        if (want->answer == OWNER_LATER || (want->answer == OWNER_DENIED && !stale))
            return 0;
        if (!stale && !entry->suspect) {
            entry->suspect = true;
            return 0;
        }
    }
    r = owning_part(ledger, entry);
    return r < 0 ? r : set_owner(ledger, index, 0, OWNER_BY_NOTHING);
}

static int apply(struct ledger *ledger, struct ask *ask, const struct owner_want *want)
{
    ask->later = want->answer == OWNER_LATER;
    ledger->n_later += ask->later && ask->quick;
    if (!ask->recheck && want->inode && want->answer != OWNER_LATER)
        lives_get(&ledger->lives, ask->index)->retell = false;
    if (want->answer == OWNER_FOUND && want->owner)
        return on_found(ledger, ask->index, want);
    /* that the cgroup tells nothing is no news of the inode */
    if (!want->inode && ask->has_inode)
        return 0;
    return ask->recheck ? on_lost(ledger, ask->index, want) : on_lack(ledger, ask->index, want);
}

enum round { ROUND_INODES, ROUND_CGROUPS, ROUND_RECHECKS };

/* What is asked of a life in a round. False: nothing. */
static bool make_want(struct ledger *ledger, const struct ask *ask, enum round round,
                      struct owner_want *ret)
{
    const struct entry *entry = lives_get(&ledger->lives, ask->index);

    if (entry->number != ask->number ||
        (ask->recheck && !ask->doubtful) != (round == ROUND_RECHECKS))
        return false;
    *ret = (struct owner_want){.cgroup = ask->cgroup, .inode = entry->inode, .uid = entry->uid};
    if (round == ROUND_CGROUPS) {
        ret->inode = 0;
        return ask->cgroup && owning_source(entry) == OWNER_BY_NOTHING;
    }
    ret->all_holders = entry->state == STATE_LISTEN && !ask->quick;
    if (ask->recheck && entry->owner)
        ret->hint = owner_table_get(&ledger->owners, entry->owner)->owner.pid;
    else
        ret->hint = owning_listener_pid(ledger, entry);
    return ask->has_inode;
}

/* again: only what the look before did not come to. */
static int look(struct ledger *ledger, enum round round, bool again, ledger_look_fn fn, void *arg)
{
    size_t n = 0, n_asks = ledger->asks.n;
    _cleanup_free_ struct owner_want *wants = NULL;
    _cleanup_free_ uint32_t *asked = NULL;
    int r = 0;

    if (n_asks == 0 && !ledger->looked)
        return 0;
    wants = reallocarray(NULL, n_asks + 1, sizeof(*wants));
    asked = reallocarray(NULL, n_asks + 1, sizeof(*asked));
    if (!wants || !asked)
        return -ENOMEM;
    for (size_t i = 0; i < n_asks; i++)
        if ((!again || ledger->asks.items[i].later) &&
            make_want(ledger, &ledger->asks.items[i], round, &wants[n]))
            asked[n++] = (uint32_t)i;
    /* that nothing is wanted any more is told once, so that nothing is kept for it */
    if (n > 0 || (round == ROUND_INODES && ledger->looked))
        fn(arg, wants, n, round == ROUND_RECHECKS);
    if (round == ROUND_INODES)
        ledger->looked = n > 0;
    ledger->n_later = 0;
    for (size_t i = 0; i < n && r == 0; i++)
        r = apply(ledger, &ledger->asks.items[asked[i]], &wants[i]);
    return r;
}

/* Who listened when a life began is told by the snapshot that shows it first or, where that one is not
 * sure of it, by the next. Later on it can't be told any more. */
enum arrival { ARRIVED_NOW, ARRIVED_JUST_BEFORE, ARRIVED_EARLIER };

static int inherit(struct ledger *ledger, uint32_t index, enum arrival arrival)
{
    const struct entry *entry = lives_get(&ledger->lives, index);
    struct claim claim = {.number = entry->number, .index = index};
    unsigned source = owning_source(entry);
    bool put_off;
    uint32_t owner = 0;
    int r = 0;

    if (!entry->number || entry->past || /* a process was seen to have it */
        (arrival == ARRIVED_EARLIER && !owning_is_queued(entry)) ||
        (source != OWNER_BY_NOTHING && (source != OWNER_BY_LISTENER || !owning_is_queued(entry))))
        return 0;
    owner = owning_of_listener(ledger, entry);
    put_off = owner && arrival != ARRIVED_EARLIER &&
              owning_is_early(ledger, entry, arrival == ARRIVED_NOW);
    if (put_off)
        r = vec_push(&ledger->claims, claim);
    if (r < 0 || put_off || owner == entry->owner || (!owner && !is_stale(ledger, entry))) {
        owner_table_drop(&ledger->owners, owner);
        return r;
    }
    r = set_owner(ledger, index, owner, owner ? OWNER_BY_LISTENER : OWNER_BY_NOTHING);
    owner_table_drop(&ledger->owners, owner);
    return r;
}

/* What was accepted and not seen in any process belongs to what listens there; what waits to be
 * accepted to what listens there now. */
static int inherit_all(struct ledger *ledger)
{
    size_t n_claims = ledger->claims.n;
    int r = 0;

    for (size_t i = 0; i < n_claims && r == 0; i++) {
        struct claim claim = ledger->claims.items[i];

        if (lives_get(&ledger->lives, claim.index)->number == claim.number)
            r = inherit(ledger, claim.index, ARRIVED_JUST_BEFORE);
    }
    /* those that were put off once more stand behind */
    ledger->claims.n -= n_claims;
    if (ledger->claims.n)
        memmove(ledger->claims.items, ledger->claims.items + n_claims,
                ledger->claims.n * sizeof(ledger->claims.items[0]));
    for (size_t i = 0; i < ledger->fresh.n && r == 0; i++)
        r = inherit(ledger, ledger->fresh.items[i], ARRIVED_NOW);
    for (size_t i = 0; i < ledger->asks.n && r == 0; i++)
        if (lives_get(&ledger->lives, ledger->asks.items[i].index)->number ==
            ledger->asks.items[i].number)
            r = inherit(ledger, ledger->asks.items[i].index, ARRIVED_EARLIER);
    return r;
}

/* Looks at some processes whether they are still what they were. */
static void check_some(struct ledger *ledger, bool listening, uint32_t *next, uint32_t most,
                       ledger_check_fn check, void *arg)
{
    struct owner_table *table = &ledger->owners;
    int64_t before_ms =
        ledger->previous_ms != TIME_UNKNOWN ? ledger->previous_ms : ledger->complete_ms;
    int r;

    for (uint32_t i = 0, n = 0; i < table->slots.n && n < most; i++) {
        uint32_t number = 1 + (*next)++ % (uint32_t)table->slots.n;
        struct owner_slot *slot = owner_table_get(table, number);

        if (!slot->texts || !slot->users || !slot->owner.pid || slot->stale ||
            slot->checked_ms == ledger->start_ms ||
            (listening && slot->listened != (uint32_t)ledger->snapshot))
            continue;
        n++;
        r = check(arg, &slot->owner);
        if (r == 0)
            slot->checked_ms = ledger->start_ms;
        else
            owner_table_mark_stale(table, number, r < 0, ledger->start_ms, before_ms);
    }
}

/* Chooses the process whose sockets are held against what is now at the next snapshot. */
static void choose_recheck(struct ledger *ledger)
{
    const struct owner_table *table = &ledger->owners;

    ledger->recheck = 0;
    for (uint32_t i = 0;
         i < table->slots.n && !ledger->recheck && ledger->snapshot % OWNING_RECHECK_EVERY == 0;
         i++) {
        uint32_t number = 1 + ledger->next_recheck++ % (uint32_t)table->slots.n;
        const struct owner_slot *slot = owner_table_get(table, number);

        /* of its own, so that whatever the numbers divide by each socket comes up */
        ledger->recheck_pass += number == 1;
        if (slot->texts && slot->users && slot->owner.pid)
            ledger->recheck = number;
    }
}

int ledger_find_owners(struct ledger *ledger, enum snapshot_status status, ledger_look_fn fn,
                       ledger_check_fn check, void *arg)
{
    int r = ledger_decide(ledger, status);

    if (r == 0 && (ledger->fresh.n || ledger->asks.n || ledger->claims.n))
        r = roles_collect_listeners(ledger);
    if (r == 0)
        r = owning_ask_listeners(ledger);
    if (r == 0)
        r = look(ledger, ROUND_INODES, false, fn, arg);
    /* of what came to a listener nobody can tell later on whose it was */
    for (int i = 0; i < LOOKS_AGAIN && r == 0 && ledger->n_later; i++)
        r = look(ledger, ROUND_INODES, true, fn, arg);
    if (r == 0)
        r = inherit_all(ledger);
    if (r == 0)
        r = look(ledger, ROUND_CGROUPS, false, fn, arg);
    if (r == 0) /* before: of one that ended it is known when */
        check_some(ledger, true, &ledger->next_listening, LISTENING_MAX, check, arg);
    if (r == 0)
        r = look(ledger, ROUND_RECHECKS, false, fn, arg);
    if (r == 0) {
        check_some(ledger, false, &ledger->next_check, CHECKS_MAX, check, arg);
        choose_recheck(ledger);
    }
    if (r < 0)
        ledger->error = r;
    return r;
}
