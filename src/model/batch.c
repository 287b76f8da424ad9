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
    seal_lives(batch, &batch->opened);
    seal_lives(batch, &batch->changed);
    seal_lives(batch, &batch->closed);
    seal_lives(batch, &batch->amended);
    batch->bytes = sizeof(*batch) + batch->histories.capacity +
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
                   batch->netns.capacity * sizeof(struct netns_ref);
}
