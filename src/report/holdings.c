/* SPDX-License-Identifier: MIT */
#include "holdings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void holdings_finish(struct holdings *holdings)
{
    vec_finish(&holdings->holders);
    vec_finish(&holdings->places);
    vec_finish(&holdings->items);
}

/* FNV-1a. */
static uint64_t hash_key(const struct holder_key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* The place of a key: its own, or the free one where it belongs. */
static uint32_t *find_place(struct holdings *holdings, const struct holder_key *key)
{
    size_t mask = holdings->places.n - 1, i = hash_key(key) & mask;

    while (holdings->places.items[i] &&
           memcmp(&holdings->holders.items[holdings->places.items[i] - 1].key, key, sizeof(*key)) !=
               0)
        i = (i + 1) & mask;
    return &holdings->places.items[i];
}

/* Keeps the hash table at most half full. */
static int make_room(struct holdings *holdings)
{
    size_t wanted = holdings->places.n ? 2 * holdings->places.n : 64;

    if (holdings->places.n >= 2 * (holdings->holders.n + 1))
        return 0;
    if (vec_reserve(&holdings->places, wanted - holdings->places.n) < 0)
        return -ENOMEM;
    holdings->places.n = wanted;
    memset(holdings->places.items, 0, wanted * sizeof(*holdings->places.items));
    for (size_t i = 0; i < holdings->holders.n; i++)
        *find_place(holdings, &holdings->holders.items[i].key) = (uint32_t)i + 1;
    return 0;
}

int holdings_add(struct holdings *holdings, const struct holder_key *key, unsigned source,
                 const struct holding *holding)
{
    struct holder fresh = {.key = *key};
    struct holding own = *holding;
    struct holder *holder;
    uint32_t *place;

    if (make_room(holdings) < 0)
        return -ENOMEM;
    place = find_place(holdings, key);
    if (!*place) {
        if (vec_push(&holdings->holders, fresh) < 0)
            return -ENOMEM;
        *place = (uint32_t)holdings->holders.n;
    }
    own.holder = *place - 1;
    holder = &holdings->holders.items[own.holder];
    if (source > holder->source)
        holder->source = (uint8_t)source;
    return vec_push(&holdings->items, own);
}

static int compare(const void *left, const void *right)
{
    const struct holding *a = left, *b = right;

    if (a->holder != b->holder)
        return a->holder < b->holder ? -1 : 1;
    if (a->from_ms != b->from_ms)
        return a->from_ms < b->from_ms ? -1 : 1;
    return a->from_known - b->from_known;
}

static void extend(struct holding *into, const struct holding *by)
{
    if (by->until_ms > into->until_ms || (by->until_ms == into->until_ms && by->exact)) {
        into->until_ms = by->until_ms;
        into->by_ms = by->by_ms;
        into->exact = by->exact;
    }
    into->sockets += by->sockets;
}

int holdings_merge(struct holdings *holdings, holdings_joined_fn joined, void *arg, struct err *err)
{
    struct holding *items = holdings->items.items;
    size_t kept = 0;

    if (holdings->items.n > 1)
        qsort(items, holdings->items.n, sizeof(*items), compare);
    for (size_t i = 0; i < holdings->items.n; i++) {
        struct holding *last = kept ? &items[kept - 1] : NULL;
        int r = 0;

        if (last && last->holder == items[i].holder)
            r = items[i].from_ms < last->until_ms
                    ? 1
                    : joined(arg, last->until_ms, items[i].from_ms, err);
        if (r < 0)
            return r;
        if (r > 0)
            extend(last, &items[i]);
        else
            items[kept++] = items[i];
    }
    holdings->items.n = kept;
    return 0;
}
