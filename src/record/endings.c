/* SPDX-License-Identifier: MIT */
#include "endings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256u

int endings_init(struct endings *endings)
{
    *endings = (struct endings){.mask = FIRST_BUCKETS - 1};
    endings->buckets = calloc(FIRST_BUCKETS, sizeof(*endings->buckets));
    if (!endings->buckets || vec_push(&endings->pool, (struct ending){.kind = ENDING_FREE}) < 0)
        return -ENOMEM;
    return 0;
}

void endings_finish(struct endings *endings)
{
    vec_finish(&endings->pool);
    free(endings->buckets);
    endings->buckets = NULL;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;

        memcpy(&word, p, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

static uint64_t hash_of(uint32_t netns, const struct address *local, uint16_t local_port,
                        const struct address *remote, uint16_t remote_port)
{
    uint64_t hash = (uint64_t)netns << 32 | (uint32_t)local_port << 16 | remote_port;

    hash = mix(hash * UINT64_C(0x9e3779b97f4a7c15), remote, sizeof(*remote));
    return mix(hash, local, sizeof(*local));
}

uint64_t endings_hash(uint32_t netns, const struct closing *endpoints)
{
    return hash_of(netns, &endpoints->local, endpoints->local_port, &endpoints->remote,
                   endpoints->remote_port);
}

void endings_expect(const struct endings *endings, uint32_t netns, const struct address *local,
                    uint16_t local_port, const struct address *remote, uint16_t remote_port)
{
    uint64_t hash = hash_of(netns, local, local_port, remote, remote_port);

    __builtin_prefetch(endings_get(endings, endings->buckets[hash >> 32 & endings->mask]));
}

static uint32_t short_hash(uint32_t netns, const struct closing *endpoints)
{
    return (uint32_t)(endings_hash(netns, endpoints) >> 32);
}

static bool same_endpoints(const struct closing *a, const struct closing *b)
{
    return a->local_port == b->local_port && a->remote_port == b->remote_port &&
           a->protocol == b->protocol && a->family == b->family &&
           (a->peer_digest == b->peer_digest || !a->peer_digest || !b->peer_digest) &&
           memcmp(&a->remote, &b->remote, sizeof(a->remote)) == 0 &&
           memcmp(&a->local, &b->local, sizeof(a->local)) == 0;
}

static bool is_of(const struct ending *ending, uint32_t hash, uint32_t netns,
                  const struct closing *endpoints)
{
    return ending->hash == hash && ending->netns == netns &&
           same_endpoints(&ending->closing, endpoints);
}

static void link_ending(struct endings *endings, uint32_t index)
{
    struct ending *ending = endings_get(endings, index);
    uint32_t *bucket = &endings->buckets[ending->hash & endings->mask];

    ending->next = *bucket;
    *bucket = index;
}

/* Without memory chains get longer. */
static void grow_buckets(struct endings *endings)
{
    uint32_t n = (endings->mask + 1) * 2;
    uint32_t *buckets;

    if (endings->n <= endings->mask / 2)
        return;
    buckets = calloc(n, sizeof(*buckets));
    if (!buckets)
        return;
    free(endings->buckets);
    endings->buckets = buckets;
    endings->mask = n - 1;
    for (uint32_t i = 1; i < endings->pool.n; i++)
        if (endings_get(endings, i)->kind != ENDING_FREE)
            link_ending(endings, i);
}

int endings_add(struct endings *endings, const struct ending *ending, uint32_t *ret)
{
    uint32_t index = endings->free;

    if (index) {
        endings->free = endings_get(endings, index)->next;
    } else {
        if (endings->pool.n >= UINT32_MAX || vec_push(&endings->pool, (struct ending){0}) < 0)
            return -ENOMEM;
        index = (uint32_t)endings->pool.n - 1;
    }
    *endings_get(endings, index) = *ending;
    endings_get(endings, index)->serial = ++endings->serial;
    endings_get(endings, index)->hash = short_hash(ending->netns, &ending->closing);
    endings->n++;
    endings->n_pending += ending->kind == ENDING_PENDING;
    link_ending(endings, index);
    grow_buckets(endings);
    *ret = index;
    return 0;
}

uint32_t endings_find(const struct endings *endings, enum ending_kind kind, uint32_t netns,
                      const struct closing *endpoints)
{
    uint32_t hash = short_hash(netns, endpoints), best = ENDINGS_NONE;
    uint32_t i = endings->buckets[hash & endings->mask];

    for (; i != ENDINGS_NONE; i = endings_get(endings, i)->next) {
        const struct ending *ending = endings_get(endings, i);

        if (ending->kind == kind && is_of(ending, hash, netns, endpoints) &&
            (best == ENDINGS_NONE || ending->serial > endings_get(endings, best)->serial))
            best = i;
    }
    return best;
}

/* Whether an event fits a mini-socket of that instant better than another of the same endpoints. */
static bool fits_better(const struct ending *ending, const struct ending *than, int64_t at_ms)
{
    bool after = ending->at_ms >= at_ms;

    if (after != (than->at_ms >= at_ms))
        return after;
    if (after && ending->at_ms != than->at_ms)
        return ending->at_ms < than->at_ms;
    return ending->serial > than->serial;
}

uint32_t endings_find_after(const struct endings *endings, uint32_t netns,
                            const struct closing *endpoints, int64_t not_before_ms)
{
    uint32_t hash = short_hash(netns, endpoints), best = ENDINGS_NONE;
    uint32_t i = endings->buckets[hash & endings->mask];

    for (; i != ENDINGS_NONE; i = endings_get(endings, i)->next) {
        const struct ending *ending = endings_get(endings, i);

        if (ending->kind == ENDING_PENDING && is_of(ending, hash, netns, endpoints) &&
            (best == ENDINGS_NONE ||
             fits_better(ending, endings_get(endings, best), not_before_ms)))
            best = i;
    }
    return best;
}

static void unlink_ending(struct endings *endings, uint32_t index)
{
    const struct ending *ending = endings_get(endings, index);
    uint32_t *link = &endings->buckets[ending->hash & endings->mask];

    while (*link != index)
        link = &endings_get(endings, *link)->next;
    *link = ending->next;
}

void endings_use_again(struct endings *endings, uint32_t netns, const struct closing *endpoints,
                       uint64_t cookie, uint32_t but)
{
    uint32_t hash = short_hash(netns, endpoints);
    uint32_t i = endings->buckets[hash & endings->mask];

    for (; i != ENDINGS_NONE; i = endings_get(endings, i)->next) {
        struct ending *ending = endings_get(endings, i);

        if (i != but && is_of(ending, hash, netns, endpoints) &&
            (!cookie || ending->closing.cookie != cookie))
            ending->blind = true;
    }
}

void endings_attach(struct endings *endings, uint32_t index)
{
    struct ending *ending = endings_get(endings, index);

    endings->n_pending -= ending->kind == ENDING_PENDING;
    ending->kind = ENDING_ATTACHED;
}

void endings_remove(struct endings *endings, uint32_t index)
{
    struct ending *ending = endings_get(endings, index);

    unlink_ending(endings, index);
    endings->n_pending -= ending->kind == ENDING_PENDING;
    ending->kind = ENDING_FREE;
    ending->next = endings->free;
    endings->free = index;
    endings->n--;
}

size_t endings_bytes(const struct endings *endings)
{
    return endings->pool.capacity * sizeof(struct ending) +
           (endings->mask + 1) * sizeof(*endings->buckets);
}
