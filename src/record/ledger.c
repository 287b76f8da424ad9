/* SPDX-License-Identifier: MIT */
/* The ledger from its making over its snapshots to its end. */
#include "ledger_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/clock.h"
#include "connhist/model/history.h"

#define SCRATCH_KEPT 1024 /* items of a working list that are kept from snapshot to snapshot */

int ledger_new(const struct ledger_options *options, struct ledger **ret)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));

    assert(options->next_life > 0);
    if (!ledger)
        return -ENOMEM;
    ledger->options = *options;
    ledger->next_life = options->next_life;
    ledger->complete_ms = ledger->complete_before_ms = TIME_UNKNOWN;
    services_init(&ledger->services, options->max_client_services, options->max_services);
    ledger->previous_ms = TIME_UNKNOWN;
    if (lives_init(&ledger->lives) < 0 || endings_init(&ledger->endings) < 0 ||
        (options->events && ledger_recent_init(ledger) < 0)) {
        ledger_free(ledger);
        return -ENOMEM;
    }
    *ret = ledger;
    return 0;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    lives_finish(&ledger->lives);
    owner_table_finish(&ledger->owners);
    services_finish(&ledger->services);
    endings_finish(&ledger->endings);
    free(ledger->recent);
    vec_finish(&ledger->late);
    vec_finish(&ledger->rate_chain);
    vec_finish(&ledger->fresh);
    vec_finish(&ledger->fresh_before);
    vec_finish(&ledger->unsure);
    vec_finish(&ledger->unsure_entries);
    vec_finish(&ledger->listeners);
    vec_finish(&ledger->touched);
    vec_finish(&ledger->sampled_entries);
    vec_finish(&ledger->places);
    vec_finish(&ledger->asks);
    vec_finish(&ledger->claims);
    vec_finish(&ledger->gone);
    vec_finish(&ledger->perhaps_kernels);
    vec_finish(&ledger->pasts);
    vec_finish(&ledger->sharers);
    free(ledger);
}

void ledger_resume_at(struct ledger *ledger, int64_t last_complete_ms)
{
    ledger->complete_ms = last_complete_ms;
}

void ledger_last(struct ledger *ledger)
{
    ledger->last = true;
}

/* What the file knows of a connection, in the form of an event. */
static struct closing closing_of(const struct life *life)
{
    return (struct closing){
        .local = life->local,
        .remote = life->remote,
        .local_port = life->local_port,
        .remote_port = life->remote_port,
        .family = life->family,
        .protocol = life->service.protocol,
        .has_info = life->facts.known,
        .fin_acked = true,
        .bytes_sent = life->facts.sent_bytes,
        .bytes_received = life->facts.received_bytes,
        .bytes_received_may_include_fin = life->facts.received_uncertain,
        .segs_out = life->facts.segs_out,
        .segs_in = life->facts.segs_in,
        .retrans = life->facts.retrans,
        .rtt_us = life->facts.rtt_us,
    };
}

/* The connection was over when the run before ended; when that was the file does not keep. */
static int resume_ending(struct ledger *ledger, struct entry *entry, const struct life *life)
{
    struct ending ending = {.closing = closing_of(life),
                            .at_ms = TIME_UNKNOWN,
                            .netns = life->service.netns,
                            .entry = LIVES_NONE,
                            .settled = true,
                            .blind = true,
                            .kind = ENDING_ATTACHED};

    ending.closing.cookie = life->cookie;
    ending.closing.remote = entry->remote;
    return endings_add(&ledger->endings, &ending, &entry->ending);
}

static uint8_t resumed_flags(const struct life *life)
{
    return ENTRY_TOLD | (life->opened_known ? ENTRY_OPENED_KNOWN : 0) |
           (life->v6only ? ENTRY_V6ONLY : 0);
}

/* *ret: its index; LIVES_NONE: it is not for this run's file, and not kept. */
static int resume(struct ledger *ledger, const struct life *life, uint32_t *ret)
{
    struct history_change change = {.at_ms = life->since_ms};
    struct entry *entry;
    uint32_t index;
    size_t offset = 0;
    int r = lives_add(&ledger->lives, life->service.netns, life->cookie, life->number, &index);

    if (r < 0)
        return r;
    entry = lives_get(&ledger->lives, index);
    entry->since_ms = life->since_ms;
    entry->local = life->local;
    entry->remote = life->remote;
    entry->local_port = life->local_port;
    entry->remote_port = life->remote_port;
    entry->scope_ifindex = life->scope_ifindex;
    entry->inode = life->inode;
    entry->uid = life->uid;
    if (ledger->options.detail == LEDGER_DETAIL_ANONYMOUS)
        address_cut(life->family, &entry->remote, ledger->options.anonymous_ipv4_bits,
                    ledger->options.anonymous_ipv6_bits);
    entry->family = life->family;
    entry->protocol = life->service.protocol;
    entry->role_source = life->role_source;
    entry->flags = resumed_flags(life);
    ledger_resume_offload(entry, life);
    r = owning_resume(ledger, entry, life);
    if (memcmp(&entry->remote, &life->remote, sizeof(entry->remote)) != 0) {
        /* it was recorded in full before: the file forgets the peer with the next batch */
        entry->flags |= ENTRY_DIRTY;
        if (r == 0)
            r = vec_push(&ledger->touched, index);
    }
    while (history_next(life->history, life->history_bytes, &offset, &change) > 0) {
        entry->state = change.state;
        entry->changed_ms = change.at_ms;
        if (change.state == STATE_LISTEN)
            entry->flags |= ENTRY_LISTENED;
    }
    if (entry->state == STATE_TIME_WAIT) /* the run before counted it */
        entry->flags |= ENTRY_COUNTED;
    if (r == 0)
        r = lives_set_history(&ledger->lives, entry, life->history, life->history_bytes);
    if (r == 0)
        r = services_get(&ledger->services, &life->service, &entry->service);
    if (r == 0 && life->facts.known)
        r = resume_ending(ledger, entry, life);
    if (r < 0) {
        ledger_remove(ledger, index);
        return r;
    }
    *ret = index;
    if (ledger_is_for_file(ledger, entry)) {
        ledger->services.slots.items[entry->service].lives++;
        return 0;
    }
    if (entry->ending)
        endings_remove(&ledger->endings, entry->ending);
    ledger_remove(ledger, index);
    *ret = LIVES_NONE;
    return 0;
}

int ledger_know_service(struct ledger *ledger, const struct service_key *key)
{
    return admission_know(&ledger->services.admission, key);
}

int ledger_resume(struct ledger *ledger, const struct life *life)
{
    uint32_t index;

    return resume(ledger, life, &index);
}

int ledger_resume_planned(struct ledger *ledger, const struct life *life)
{
    struct life copy = *life;
    struct ending ending = {.closing = closing_of(life),
                            .at_ms = life->since_ms,
                            .planned_ms = life->planned_ms,
                            .told_ms = life->planned_ms,
                            .netns = life->service.netns,
                            .kind = ENDING_ORPHAN};
    struct entry *entry;
    int r;

    /* the file keeps no cookie of it: until its sample comes it has one that the kernel never gives
     */
    copy.number = ledger->next_life++;
    copy.cookie = ~copy.number;
    copy.facts.known = false; /* its ending has them */
    r = resume(ledger, &copy, &ending.entry);
    if (r < 0 || ending.entry == LIVES_NONE)
        return r;
    entry = lives_get(&ledger->lives, ending.entry);
    entry->flags = ENTRY_PLANNED | ENTRY_COUNTED;
    return endings_add(&ledger->endings, &ending, &entry->ending);
}

void ledger_begin(struct ledger *ledger, int64_t start_ms, struct batch *batch)
{
    assert(ledger->snapshot == 0 || start_ms > ledger->start_ms);
    ledger->batch = batch;
    ledger->start_ms = start_ms;
    if (ledger->snapshot == 0)
        ledger->first_ms = start_ms;
    ledger->snapshot++;
    ledger->n_seen = ledger->n_syn_recv = ledger->n_retold = 0;
    ledger->last_seen = LIVES_NONE;
    ledger->counts = (struct snapshot){.start_ms = start_ms};
    ledger->unsure_given = 0;
    ledger->error = 0;
    vec_clear(&ledger->fresh);
    vec_clear(&ledger->unsure);
    vec_clear(&ledger->unsure_entries);
    vec_clear(&ledger->sampled_entries);
    vec_clear(&ledger->asks);
    vec_clear(&ledger->perhaps_kernels);
    memset(ledger->lacks, 0, sizeof(ledger->lacks));
    ledger->decided = ledger->interrupted = false;
    ledger->taking = true;
    ledger_places_begin(ledger);
    owner_table_sweep(&ledger->owners);
    services_begin(&ledger->services, start_ms);
}

size_t ledger_unsure(struct ledger *ledger, size_t max, struct sample **ret)
{
    size_t from = ledger->unsure_given, n = ledger->unsure.n - from;

    ledger->unsure_given = ledger->unsure.n;
    *ret = ledger->unsure.items + from;
    return n < max ? n : max;
}

/* The end of a TIME_WAIT that this snapshot did not see. */
static int64_t end_of_time_wait(const struct ledger *ledger, const struct entry *entry)
{
    int64_t planned = entry->changed_ms + TIME_WAIT_MS;

    if (entry->flags & ENTRY_PLANNED)
        planned = endings_get(&ledger->endings, entry->ending)->planned_ms;
    return planned <= ledger->start_ms && planned > entry->changed_ms &&
                   planned > ledger_complete_ms(ledger, entry->netns)
               ? planned
               : ledger->start_ms;
}

/* When a life that this snapshot did not see was over. Its event tells, unless a later snapshot saw
 * it still. */
static int64_t end_of(const struct ledger *ledger, const struct entry *entry)
{
    const struct ending *ending = endings_get(&ledger->endings, entry->ending);

    if (entry->state == STATE_TIME_WAIT)
        return end_of_time_wait(ledger, entry);
    if (!entry->ending || ending->kind != ENDING_ATTACHED)
        return ledger->start_ms;
    if (ending->at_ms < entry->changed_ms || ending->at_ms > ledger->start_ms ||
        (entry->seen && ending->at_ms <= ledger_complete_ms(ledger, entry->netns)) ||
        (entry->seen && ending->at_ms <= ledger->previous_ms))
        return ledger->start_ms;
    return ending->at_ms;
}

/* The last instant known of a life whose namespace is recorded no longer. */
static int64_t last_known(const struct ledger *ledger, const struct entry *entry)
{
    int64_t complete_ms = ledger_complete_ms(ledger, entry->netns);
    int64_t at_ms = entry->changed_ms > complete_ms ? entry->changed_ms : complete_ms;

    if (entry->seen + 1 == ledger->snapshot && ledger->previous_ms > at_ms)
        at_ms = ledger->previous_ms;
    return at_ms < ledger->start_ms ? at_ms + 1 : ledger->start_ms;
}

/* Of a namespace that is recorded no longer, only what an event told has ended. */
static int end_absent(struct ledger *ledger, uint32_t index)
{
    const struct entry *entry = lives_get(&ledger->lives, index);

    if (ledger_place(ledger, entry->netns).left &&
        (!entry->ending || endings_get(&ledger->endings, entry->ending)->kind != ENDING_ATTACHED ||
         (entry->flags & ENTRY_PLANNED)))
        return ledger_lose_life(ledger, index, last_known(ledger, entry));
    return ledger_end_life(ledger, index, end_of(ledger, entry));
}

static int end_unseen(struct ledger *ledger)
{
    if (ledger->n_seen == ledger->lives.n)
        return 0;
    for (uint32_t i = 0; i < ledger->lives.end; i++) {
        const struct entry *entry = lives_get(&ledger->lives, i);
        int r;

        if (!entry->number || entry->seen == ledger->snapshot ||
            !ledger_is_whole(ledger, entry->netns))
            continue;
        r = end_absent(ledger, i);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What the last snapshot made of events alone is over, also when it was interrupted. */
static int end_told_by_events(struct ledger *ledger)
{
    int r = 0;

    for (size_t i = 0; i < ledger->fresh.n && r == 0; i++) {
        const struct entry *entry = lives_get(&ledger->lives, ledger->fresh.items[i]);

        if (entry->number && entry->seen != ledger->snapshot)
            r = ledger_end_life(ledger, ledger->fresh.items[i], end_of(ledger, entry));
    }
    return r;
}

/* Without memory to tell what began, nothing began yet: the next snapshot sees it again. */
static void forget_fresh(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->fresh.n; i++) {
        struct entry *entry = lives_get(&ledger->lives, ledger->fresh.items[i]);

        if (entry->role_source)
            ledger->services.slots.items[entry->service].lives--;
        if (entry->ending)
            endings_remove(&ledger->endings, entry->ending);
        ledger_remove(ledger, ledger->fresh.items[i]);
    }
    vec_clear(&ledger->fresh);
}

/* Memory that only a burst of new sockets needs, the first snapshot above all, is given back. */
#define give_back(v)                      \
    do {                                  \
        if ((v)->capacity > SCRATCH_KEPT) \
            vec_finish(v);                \
    } while (0)

static void give_scratch_back(struct ledger *ledger)
{
    give_back(&ledger->fresh);
    give_back(&ledger->unsure);
    give_back(&ledger->unsure_entries);
    give_back(&ledger->listeners);
    give_back(&ledger->sampled_entries);
    give_back(&ledger->asks);
    if (ledger->claims.n == 0)
        give_back(&ledger->claims);
    if (ledger->touched.n == 0) /* else they wait to be told */
        give_back(&ledger->touched);
}

int ledger_decide(struct ledger *ledger, enum snapshot_status status)
{
    int r = ledger->error;

    if (r < 0 || ledger->decided)
        return r;
    ledger->decided = true;
    ledger->interrupted = status != SNAPSHOT_COMPLETE && !ledger->n_failed;
    r = ledger_join_fresh(ledger);
    if (r == 0 && (!ledger->interrupted || ledger->last))
        r = ledger_resolve_pending(ledger);
    return r < 0 ? r : roles_decide(ledger);
}

/* What was counted where the snapshot is not complete is no count. */
static int tell_services(struct ledger *ledger, bool anchor)
{
    for (size_t i = 0; ledger->n_failed && i < ledger->places.n; i++)
        if (ledger->places.items[i].failed)
            services_keep(&ledger->services, ledger->places.items[i].netns);
    return services_tell(&ledger->services, anchor, &ledger->batch->tallies);
}

static int end_snapshot(struct ledger *ledger, enum snapshot_status status, bool anchor, bool full)
{
    int r = ledger_decide(ledger, status);
    bool complete = !ledger->interrupted; /* somewhere */

    if (r == 0 && complete)
        r = end_unseen(ledger);
    if (r == 0 && status != SNAPSHOT_COMPLETE && ledger->last)
        r = end_told_by_events(ledger);
    if (r == 0)
        r = ledger_tell(ledger, full);
    if (r == 0 && complete)
        r = tell_services(ledger, anchor);
    if (r == 0)
        r = ledger_tell_failed(ledger);
    if (r < 0) {
        forget_fresh(ledger);
        return r;
    }
    ledger->counts.status = (uint8_t)status;
    ledger->counts.anchor = anchor && complete;
    ledger->counts.full = full;
    ledger->batch->snapshot = ledger->counts;
    ledger->batch->has_snapshot = true;
    ledger->previous_ms = ledger->start_ms;
    if (ledger->options.events) {
        struct entry_vec before = ledger->fresh_before;

        ledger->fresh_before = ledger->fresh;
        ledger->fresh = before;
        vec_clear(&ledger->fresh);
    }
    if (complete) {
        ledger_places_end(ledger);
        owning_listeners_complete(ledger);
    }
    return 0;
}

int ledger_end(struct ledger *ledger, enum snapshot_status status, bool anchor, bool full)
{
    int r = end_snapshot(ledger, status, anchor, full);

    ledger->taking = false;
    ledger->n_interrupted = r == 0 && !ledger->interrupted ? 0 : ledger->n_interrupted + 1;
    give_scratch_back(ledger);
    return r;
}

static size_t scratch_bytes(const struct ledger *ledger)
{
    return ledger->unsure.capacity * sizeof(*ledger->unsure.items) +
           (ledger->fresh.capacity + ledger->unsure_entries.capacity + ledger->listeners.capacity +
            ledger->touched.capacity + ledger->gone.capacity + ledger->perhaps_kernels.capacity +
            ledger->sampled_entries.capacity) *
               sizeof(uint32_t) +
           ledger->asks.capacity * sizeof(struct ask) +
           ledger->claims.capacity * sizeof(struct claim) +
           ledger->pasts.capacity * sizeof(struct owner_past) +
           ledger->sharers.capacity * sizeof(struct sharer);
}

void ledger_stats(const struct ledger *ledger, struct ledger_stats *ret)
{
    *ret = (struct ledger_stats){
        .lives = ledger->lives.n,
        .services = ledger->services.n,
        .services_other = ledger->services.folded,
        .roles_guessed = ledger->roles_guessed,
        .closings = ledger->closings,
        .unconnected = ledger->unconnected,
        .unresolved = ledger->unresolved,
        .owners_later = ledger->lacks[OWNER_LATER],
        .owners_absent = ledger->lacks[OWNER_ABSENT],
        .offload_told = ledger->offload_told,
        .owners_denied = ledger->lacks[OWNER_DENIED],
        .bytes = lives_bytes(&ledger->lives) + owner_table_bytes(&ledger->owners) +
                 endings_bytes(&ledger->endings) + scratch_bytes(ledger) +
                 ledger->services.slots.capacity * sizeof(struct service_slot),
    };
}
