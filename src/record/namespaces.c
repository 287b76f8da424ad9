/* SPDX-License-Identifier: MIT */
#include "namespaces.h"

#include <errno.h>

/* The snapshot that no longer sees a namespace ends its lives; its last events may be read while
 * that is taken, and are told with the next. One more, because it costs nothing. */
#define ABSENT_MAX 3

static struct namespace *find(const struct namespaces *namespaces, uint32_t id)
{
    size_t low = 0, high = namespaces->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (namespaces->items[middle].ref.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < namespaces->n && namespaces->items[low].ref.id == id ? &namespaces->items[low]
                                                                      : NULL;
}

int namespaces_note(struct namespaces *namespaces, const struct netns_ref *refs, size_t n,
                    int64_t start_ms)
{
    for (size_t i = 0; i < namespaces->n; i++)
        namespaces->items[i].present = false;
    for (size_t i = 0; i < n; i++) {
        struct namespace *old = find(namespaces, refs[i].id);
        struct namespace added = {
            .ref = refs[i],
            .at_ms = start_ms,
            .known = refs[i].is_new || refs[i].id == 0,
            .present = true,
        };

        if (old) {
            old->ref = refs[i]; /* it may have got a name */
            old->present = true;
        } else if (vec_push(namespaces, added) < 0) { /* later ones have higher numbers */
            return -ENOMEM;
        }
    }
    return 0;
}

int namespaces_miss(struct namespaces *namespaces, const struct source *source, int64_t start_ms,
                    int64_t before_ms, struct ledger *ledger)
{
    for (size_t i = 0; i < namespaces->n; i++) {
        struct namespace *one = &namespaces->items[i];

        if (one->present || one->standing != NETNS_RECORDED)
            continue;
        one->standing = (uint8_t)source->ops->absence(source->ctx, &one->ref);
        if (one->standing == NETNS_RECORDED) /* it left, and came back as another */
            one->standing = NETNS_UNSEEN;
        one->told = false;
        one->at_ms = one->standing == NETNS_GONE || before_ms < one->at_ms ? start_ms : before_ms;
        /* its TIME_WAITs went with one that is gone: that none shows says nothing */
        if ((one->standing == NETNS_GONE ? ledger_time_wait_lost(ledger, one->ref.id)
                                         : ledger_netns_left(ledger, one->ref.id)) < 0)
            return -ENOMEM;
    }
    return 0;
}

void namespaces_known(struct namespaces *namespaces, uint32_t id)
{
    struct namespace *one = find(namespaces, id);

    if (one)
        one->known = true;
}

int namespaces_warn(struct namespaces *namespaces, struct ledger *ledger)
{
    for (size_t i = 0; i < namespaces->n; i++) {
        if (namespaces->items[i].known)
            continue;
        if (ledger_netns_strange(ledger, namespaces->items[i].ref.id) < 0)
            return -ENOMEM;
        namespaces->items[i].known = true;
    }
    return 0;
}

int namespaces_facts(struct namespaces *namespaces, uint32_t id, const struct netns_facts *facts,
                     struct ledger *ledger)
{
    struct namespace *one = find(namespaces, id);
    bool grew;

    if (!facts->known || !one)
        return 0;
    /* at the first look nobody knows when those were that it counted */
    grew = facts->time_wait_dropped != one->time_wait_dropped;
    one->time_wait_dropped = facts->time_wait_dropped;
    if (grew && ledger_time_wait_lost(ledger, id) < 0)
        return -ENOMEM;
    return ledger_netns_facts(ledger, id, &facts->ephemeral, facts->fin_timeout_ms);
}

int namespaces_put(struct namespaces *namespaces, struct batch *batch, bool full)
{
    for (size_t i = 0; i < namespaces->n; i++) {
        struct namespace *one = &namespaces->items[i];
        struct netns_change change = {.at_ms = one->at_ms,
                                      .netns = one->ref.id,
                                      .standing = one->standing,
                                      .is_new = one->ref.is_new};

        if (vec_push(&batch->netns, one->ref) < 0)
            return -ENOMEM;
        if (one->told && !full)
            continue;
        if (vec_push(&batch->standing, change) < 0)
            return -ENOMEM;
        one->told = true; /* should this batch be lost, the next one is full */
    }
    return 0;
}

void namespaces_sent(struct namespaces *namespaces, struct ledger *ledger)
{
    size_t kept = 0;

    for (size_t i = 0; i < namespaces->n; i++) {
        struct namespace *one = &namespaces->items[i];

        one->n_absent = one->present ? 0 : (uint8_t)(one->n_absent + 1);
        if (one->n_absent < ABSENT_MAX)
            namespaces->items[kept++] = *one;
        else
            ledger_netns_forget(ledger, one->ref.id);
    }
    namespaces->n = kept;
}
