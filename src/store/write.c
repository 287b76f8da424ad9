/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "counting.h"
#include "sql.h"
#include "writer.h"

#define AHEAD 4 /* lives; about as long as memory takes */

static int find_netns(struct store *store, const struct batch *batch, int64_t *ids, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < batch->netns.n && r >= 0; i++)
        r = dictionary_netns(store, &batch->netns.items[i], &ids[i], err);
    return r;
}

static int write_epochs(struct store *store, const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO epochs (from_ms, offset_ms) VALUES (?1, ?2)";
    int r = 0;

    for (size_t i = 0; i < batch->epochs.n && r >= 0; i++)
        r = WRITER_RUN(store, STMT_ADD_EPOCH, sql, err, batch->epochs.items[i].from_ms,
                       batch->epochs.items[i].offset_ms);
    return r;
}

static int write_snapshot(struct store *store, const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT INTO snapshots (start_ms, recording, status, anchor, "
                              "sockets, took_us, doubles, unkept, sampled) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    const struct snapshot *s = &batch->snapshot;
    int r;

    if (!batch->has_snapshot)
        return 0;
    r = pauses_look(store, s, err); /* before its row is there */
    if (r < 0)
        return r;
    return WRITER_RUN(store, STMT_ADD_SNAPSHOT, sql, err, s->start_ms, store->recording, s->status,
                      s->anchor, s->sockets, s->took_us, s->doubles, s->unkept, s->sampled);
}

/* Closes what the file holds as open and a full batch doesn't name. */
static int close_unnamed(struct store *store, const struct batch *batch, struct err *err)
{
    size_t n = batch->opened.n;
    _cleanup_free_ uint64_t *numbers = NULL;

    if (!batch->has_snapshot || !batch->snapshot.full)
        return 0;
    numbers = reallocarray(NULL, n ? n : 1, sizeof(*numbers));
    if (!numbers)
        return err_errno(err, -ENOMEM, "%s", store->path);
    for (size_t i = 0; i < n; i++)
        numbers[i] = batch->opened.items[i].number;
    qsort(numbers, n, sizeof(*numbers), lives_compare_numbers);
    return lives_close_others(store, numbers, n, batch->snapshot.start_ms, true, err);
}

/* A full batch follows one that was lost, and with it ends that came otherwise than foreseen. So all ends that
 * are still to come are taken back, and those that the batch names are written again. */
static int amend_all(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                     struct err *err)
{
    int64_t start_ms = batch->snapshot.start_ms;
    int r = planned_cut(store, start_ms, err);

    for (size_t i = 0; i < batch->amended.n && r >= 0; i++) {
        struct life life = batch->amended.items[i];

        if (life.planned_ms > start_ms)
            life.planned_ms = start_ms > life.since_ms ? start_ms : life.since_ms + 1;
        r = lives_amend_closed(store, ids, &life, err);
    }
    return r;
}

static int amend(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                 struct err *err)
{
    int r = 0;

    if (batch->has_snapshot && batch->snapshot.full)
        return amend_all(store, ids, batch, err);
    for (size_t i = 0; i < batch->amended.n && r >= 0; i++)
        r = lives_amend_closed(store, ids, &batch->amended.items[i], err);
    return r;
}

struct place {
    int64_t key;  /* in `closed`, without serial */
    size_t index; /* in the batch */
};

/* By one byte of the keys; those with the same keep their order. */
static void sort_by_byte(const struct place *from, struct place *to, size_t n, unsigned shift)
{
    size_t starts[257] = {0};

    for (size_t i = 0; i < n; i++)
        starts[(from[i].key >> shift & 0xff) + 1]++;
    for (size_t i = 1; i < 257; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < n; i++)
        to[starts[from[i].key >> shift & 0xff]++] = from[i];
}

/* From the lowest byte on, but only by those in which they differ: of a few seconds' lives three. */
static void sort_places(struct place *places, struct place *spare, size_t n)
{
    int64_t differing = 0;

    for (size_t i = 1; i < n; i++)
        differing |= places[i].key ^ places[0].key;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (!(differing >> shift & 0xff))
            continue;
        sort_by_byte(places, spare, n, shift);
        memcpy(places, spare, n * sizeof(*places));
    }
}

/* Lives and their histories are read in another order than they were written in. */
static void fetch_ahead(const struct life_vec *lives, const struct place *places, size_t i)
{
    const char *life;

    if (i + AHEAD < lives->n)
        __builtin_prefetch(lives->items[places[i + AHEAD].index].history);
    if (i + 2 * AHEAD >= lives->n)
        return;
    life = (const char *)&lives->items[places[i + 2 * AHEAD].index];
    for (size_t at = 0; at < sizeof(struct life); at += 64)
        __builtin_prefetch(life + at);
}

/* In the order of their keys, so that they are appended. */
static int add_closed(struct store *store, const struct batch_ids *ids,
                      const struct life_vec *lives, struct err *err)
{
    _cleanup_free_ struct place *places = calloc(lives->n + 1, 2 * sizeof(*places));
    int r = 0;

    if (!places)
        return err_errno(err, -ENOMEM, "%s", store->path);
    for (size_t i = 0; i < lives->n; i++) {
        int64_t ended_ms = lives->items[i].ended_ms;

        places[i].key =
            file_closed_key(file_closed_class(ended_ms - lives->items[i].since_ms), ended_ms, 0);
        places[i].index = i;
    }
    sort_places(places, places + lives->n, lives->n);
    for (size_t i = 0; i < lives->n && r >= 0; i++) {
        fetch_ahead(lives, places, i);
        r = lives_add_closed(store, ids, &lives->items[places[i].index], err);
    }
    return r < 0 ? r : lives_flush_closed(store, err);
}

/* Opened first and closed last: a life may be in both. What is closed with an end to come is not amended. */
static int write_lives(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                       struct err *err)
{
    int r = amend(store, ids, batch, err);

    for (size_t i = 0; i < batch->opened.n && r >= 0; i++)
        r = lives_put_open(store, ids, &batch->opened.items[i], err);
    for (size_t i = 0; i < batch->changed.n && r >= 0; i++)
        r = lives_put_open(store, ids, &batch->changed.items[i], err);
    for (size_t i = 0; i < batch->sampled.n && r >= 0; i++)
        r = sampled_put(store, &batch->sampled.items[i], batch->snapshot.start_ms, err);
    if (r >= 0)
        r = add_closed(store, ids, &batch->closed, err);
    for (size_t i = 0; i < batch->late.n && r >= 0; i++)
        r = lives_add_late(store, &batch->late.items[i], err);
    return r < 0 ? r : close_unnamed(store, batch, err);
}

static int write_tallies(struct store *store, const struct batch_ids *ids,
                         const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO tallies (service, state, at_ms, count) "
                              "VALUES (?1, ?2, ?3, ?4)";
    int64_t service;
    int r = 0;

    for (size_t i = 0; i < batch->tallies.n && r >= 0; i++) {
        const struct tally_change *t = &batch->tallies.items[i];

        r = lives_find_service(store, ids, &t->service, &service, err);
        if (r >= 0)
            r = WRITER_RUN(store, STMT_ADD_TALLY, sql, err, service, t->state,
                           batch->snapshot.start_ms, t->count);
    }
    return r;
}

static int write_queues(struct store *store, const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO queues (life, at_ms, waiting, backlog) "
                              "VALUES (?1, ?2, ?3, ?4)";
    int r = 0;

    for (size_t i = 0; i < batch->queues.n && r >= 0; i++) {
        const struct queue_change *q = &batch->queues.items[i];

        r = WRITER_RUN(store, STMT_ADD_QUEUE, sql, err, (int64_t)q->life, batch->snapshot.start_ms,
                       q->waiting, q->limit);
    }
    return r;
}

static int write_rates(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                       struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < batch->rates.n && r >= 0; i++)
        r = rates_add(store, ids, &batch->rates.items[i], err);
    return r;
}

static int write_holders(struct store *store, const struct batch_ids *ids,
                         const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT OR IGNORE INTO holders (life, owner) VALUES (?1, ?2)";
    static const char drop_sql[] = "DELETE FROM holders WHERE life = ?1";
    int r = 0;

    for (size_t i = 0; i < batch->holders.n && r >= 0; i++) {
        const struct life_holder *h = &batch->holders.items[i];
        int64_t owner = 0;

        if (!h->owner) {
            r = WRITER_RUN(store, STMT_DROP_HOLDERS, drop_sql, err, (int64_t)h->life);
            continue;
        }
        r = lives_find_owner(store, ids, UID_UNKNOWN, h->owner, &owner, err);
        if (r >= 0 && owner)
            r = WRITER_RUN(store, STMT_ADD_HOLDER, sql, err, (int64_t)h->life, owner);
    }
    return r;
}

static int write_owner_changes(struct store *store, const struct batch_ids *ids,
                               const struct batch *batch, struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO owner_changes (life, until_ms, owner) "
                              "VALUES (?1, ?2, nullif(?3, 0))";
    static const char drop_sql[] = "DELETE FROM owner_changes WHERE life = ?1";
    int r = 0;

    for (size_t i = 0; i < batch->owner_changes.n && r >= 0; i++) {
        const struct owner_change *change = &batch->owner_changes.items[i];
        int64_t owner = 0;

        if (change->until_ms == TIME_UNKNOWN) {
            r = WRITER_RUN(store, STMT_DROP_OWNER_CHANGES, drop_sql, err, (int64_t)change->life);
            continue;
        }
        r = lives_find_owner(store, ids, change->uid, change->owner, &owner, err);
        if (r >= 0)
            r = WRITER_RUN(store, STMT_ADD_OWNER_CHANGE, sql, err, (int64_t)change->life,
                           change->until_ms, owner);
    }
    return r;
}

static int write_losses(struct store *store, const struct batch *batch, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < batch->losses.n && r >= 0; i++)
        r = writer_add_loss(store, &batch->losses.items[i], err);
    return r;
}

static int64_t count_missed(const struct loss_vec *losses)
{
    uint64_t missed = 0;

    for (size_t i = 0; i < losses->n; i++)
        if (loss_kind_misses(losses->items[i].kind))
            missed += losses->items[i].count;
    return (int64_t)missed;
}

/* The run's cost so far, and its snapshots counted on, so that nobody needs to count rows. */
static int write_recording(struct store *store, const struct batch *batch, struct err *err)
{
    static const char sql[] = "UPDATE recordings SET cpu_ms = ?2, rss_bytes = ?3, "
                              "queue_peak_bytes = ?4, roles_guessed = ?5, services_other = ?6, "
                              "closings = ?7, unconnected = ?8, unresolved = ?9, "
                              "event_buffer = ?10, done = done + ?11, "
                              "interrupted = interrupted + ?12, missed = missed + ?13, "
                              "event_buffer_others = ?14, netns = ?15, netns_lacks = ?16, "
                              "owners_later = ?17, owners_absent = ?18, owners_denied = ?19, "
                              "offload_told = max(offload_told, ?20) "
                              "WHERE id = ?1";
    const struct recorder_cost *cost = &batch->cost;
    bool complete = batch->snapshot.status == SNAPSHOT_COMPLETE;

    return WRITER_RUN(store, STMT_SET_COST, sql, err, store->recording, cost->cpu_ms,
                      cost->rss_bytes, cost->queue_peak, (int64_t)cost->roles_guessed,
                      (int64_t)cost->services_other, (int64_t)cost->closings,
                      (int64_t)cost->unconnected, (int64_t)cost->unresolved, cost->event_buffer,
                      batch->has_snapshot && complete, batch->has_snapshot && !complete,
                      count_missed(&batch->losses), cost->event_buffer_others, (int64_t)cost->netns,
                      cost->netns_lacks, cost->owners_later, cost->owners_absent,
                      cost->owners_denied, cost->offload_told);
}

/* Ends do not count: none is later than the snapshot but planned ones, which are in the future. */
static void look_at_lives(const struct life_vec *lives, uint64_t *next_life, int64_t *last_ms)
{
    for (size_t i = 0; i < lives->n; i++) {
        const struct life *life = &lives->items[i];

        if (life->number >= *next_life)
            *next_life = life->number + 1;
        if (life->since_ms > *last_ms)
            *last_ms = life->since_ms;
    }
}

static int write_program(struct store *store, const struct batch *batch, struct err *err)
{
    int64_t last_ms = batch->has_snapshot ? batch->snapshot.start_ms : 0;
    uint64_t next_life = 1;

    look_at_lives(&batch->opened, &next_life, &last_ms);
    look_at_lives(&batch->changed, &next_life, &last_ms);
    look_at_lives(&batch->closed, &next_life, &last_ms);
    look_at_lives(&batch->amended, &next_life, &last_ms);
    for (size_t i = 0; i < batch->losses.n; i++)
        if (batch->losses.items[i].until_ms > last_ms)
            last_ms = batch->losses.items[i].until_ms;
    for (size_t i = 0; i < batch->epochs.n; i++)
        if (batch->epochs.items[i].from_ms > last_ms)
            last_ms = batch->epochs.items[i].from_ms;
    return writer_set_program(store, next_life, last_ms, err);
}

static int write_all(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                     struct err *err)
{
    int r = write_epochs(store, batch, err);

    if (r >= 0)
        r = write_snapshot(store, batch, err);
    if (r >= 0)
        r = write_lives(store, ids, batch, err);
    if (r >= 0)
        r = standing_write(store, ids, batch, err);
    if (r >= 0 && batch->has_snapshot)
        r = write_tallies(store, ids, batch, err);
    if (r >= 0 && batch->has_snapshot)
        r = write_queues(store, batch, err);
    if (r >= 0)
        r = write_rates(store, ids, batch, err);
    if (r >= 0)
        r = write_holders(store, ids, batch, err);
    if (r >= 0)
        r = write_owner_changes(store, ids, batch, err);
    if (r >= 0)
        r = offloads_write(store, batch, err);
    if (r >= 0 && batch->has_snapshot)
        r = counting_write(store, ids, batch, err);
    if (r >= 0)
        r = write_losses(store, batch, err);
    if (r >= 0)
        r = write_recording(store, batch, err);
    if (r >= 0)
        r = write_program(store, batch, err);
    return r;
}

static int write_once(struct store *store, const struct batch *batch, struct err *err)
{
    _cleanup_free_ int64_t *ids = calloc(batch->netns.n + 1, sizeof(*ids));
    _cleanup_free_ struct owner_ids *owners = NULL;
    struct batch_ids all = {
        .refs = batch->netns.items, .ids = ids, .n = batch->netns.n, .n_owners = batch->owners.n};
    int r;

    if (!ids)
        return err_errno(err, -ENOMEM, "%s", store->path);
    r = writer_begin(store, err);
    if (r < 0)
        return r;
    r = find_netns(store, batch, ids, err);
    if (r >= 0)
        r = owners_find_all(store, batch, &owners, err);
    all.owners = owners;
    if (r >= 0)
        r = write_all(store, &all, batch, err);
    return writer_end(store, r, err);
}

int store_write(struct store *store, const struct batch *batch, struct err *err)
{
    struct budget_need need;
    int r;

    if (!store->recording)
        return err_set(err, -EINVAL, "%s: no recording was begun", store->path);
    if (batch->has_snapshot) /* what closed at the one before may go for this one */
        store->retention.last_ms = batch->snapshot.start_ms;
    budget_note_crowd(store, batch);
    need = budget_estimate(store, batch);
    r = budget_make_room(store, &need, err);
    if (r >= 0)
        r = write_once(store, batch, err);
    while (r == -ENOSPC) {
        r = budget_squeeze(store, &need, err);
        if (r == 0)
            r = budget_no_room(store, &need, err);
        if (r < 0)
            break;
        r = write_once(store, batch, err);
    }
    return r;
}
