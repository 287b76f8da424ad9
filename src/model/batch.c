/* SPDX-License-Identifier: MIT */
#include "connhist/model/batch.h"

#include <errno.h>
#include <string.h>

struct batch *batch_new(void)
{
    return calloc(1, sizeof(struct batch));
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    vec_finish(&batch->netns);
    vec_finish(&batch->incomplete);
    vec_finish(&batch->standing);
    vec_finish(&batch->opened);
    vec_finish(&batch->changed);
    vec_finish(&batch->closed);
    vec_finish(&batch->amended);
    vec_finish(&batch->late);
    vec_finish(&batch->sampled);
    vec_finish(&batch->rates);
    vec_finish(&batch->tallies);
    vec_finish(&batch->queues);
    vec_finish(&batch->losses);
    vec_finish(&batch->epochs);
    vec_finish(&batch->histories);
    vec_finish(&batch->owners);
    vec_finish(&batch->holders);
    vec_finish(&batch->owner_changes);
    vec_finish(&batch->texts);
    counting_finish(&batch->counting);
    free(batch);
}

int batch_add_life(struct batch *batch, struct life_vec *to, const struct life *life)
{
    if (vec_reserve(&batch->histories, life->history_bytes) < 0 || vec_push(to, *life) < 0)
        return -ENOMEM;
    if (life->history_bytes > 0)
        memcpy(batch->histories.items + batch->histories.n, life->history, life->history_bytes);
    /* histories may still move: until batch_seal() the place is kept as an offset */
    to->items[to->n - 1].history = (const uint8_t *)(uintptr_t)batch->histories.n;
    batch->histories.n += life->history_bytes;
    return 0;
}

/* The strings of an owner, one after the other. */
static const char **strings_of(struct owner *owner, size_t i)
{
    const char **const all[] = {&owner->comm, &owner->exe, &owner->unit, &owner->container,
                                &owner->cgroup};

    return i < sizeof(all) / sizeof(all[0]) ? all[i] : NULL;
}

int batch_add_owner(struct batch *batch, uint32_t number, const struct owner *owner)
{
    struct owner_ref ref = {.owner = *owner, .number = number};
    const char **string;
    size_t n = 0;

    for (size_t i = 0; (string = strings_of(&ref.owner, i)); i++)
        n += strlen(*string) + 1;
    if (vec_reserve(&batch->texts, n) < 0 || vec_reserve(&batch->owners, 1) < 0)
        return -ENOMEM;
    for (size_t i = 0; (string = strings_of(&ref.owner, i)); i++) {
        n = strlen(*string) + 1;
        memcpy(batch->texts.items + batch->texts.n, *string, n);
        *string = (const char *)(uintptr_t)batch->texts.n; /* as histories above */
        batch->texts.n += n;
    }
    batch->owners.items[batch->owners.n++] = ref;
    return 0;
}

static void seal_owners(struct batch *batch)
{
    const char **string;

    for (size_t i = 0; i < batch->owners.n; i++)
        for (size_t j = 0; (string = strings_of(&batch->owners.items[i].owner, j)); j++)
            *string = batch->texts.items + (uintptr_t)*string;
}

static void seal_lives(struct batch *batch, struct life_vec *lives)
{
    for (size_t i = 0; i < lives->n; i++) {
        struct life *life = &lives->items[i];

        life->history =
            life->history_bytes ? batch->histories.items + (uintptr_t)life->history : NULL;
    }
}

void batch_seal(struct batch *batch)
{
    seal_owners(batch);
    seal_lives(batch, &batch->opened);
    seal_lives(batch, &batch->changed);
    seal_lives(batch, &batch->closed);
    seal_lives(batch, &batch->amended);
    batch->bytes = sizeof(*batch) + counting_bytes(&batch->counting) + batch->histories.capacity +
                   batch->texts.capacity + batch->owners.capacity * sizeof(struct owner_ref) +
                   batch->holders.capacity * sizeof(struct life_holder) +
                   batch->owner_changes.capacity * sizeof(struct owner_change) +
                   (batch->opened.capacity + batch->changed.capacity + batch->closed.capacity +
                    batch->amended.capacity) *
                       sizeof(struct life) +
                   batch->rates.capacity * sizeof(struct rate_change) +
                   batch->late.capacity * sizeof(struct late_facts) +
                   batch->sampled.capacity * sizeof(struct sampled_facts) +
                   batch->tallies.capacity * sizeof(struct tally_change) +
                   batch->queues.capacity * sizeof(struct queue_change) +
                   batch->losses.capacity * sizeof(struct loss) +
                   batch->epochs.capacity * sizeof(struct epoch) +
                   batch->netns.capacity * sizeof(struct netns_ref) +
                   batch->incomplete.capacity * sizeof(uint32_t) +
                   batch->standing.capacity * sizeof(struct netns_change);
}

void batch_drop_detail(struct batch *batch)
{
    vec_finish(&batch->opened);
    vec_finish(&batch->changed);
    vec_finish(&batch->closed);
    vec_finish(&batch->amended);
    vec_finish(&batch->late);
    vec_finish(&batch->sampled);
    vec_finish(&batch->queues);
    vec_finish(&batch->owners);
    vec_finish(&batch->holders);
    vec_finish(&batch->histories);
    vec_finish(&batch->texts);
    batch->snapshot.unkept = batch->snapshot.sockets;
    batch->snapshot.full = batch->snapshot.sampled = false;
    batch_seal(batch);
}
