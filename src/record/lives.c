/* SPDX-License-Identifier: MIT */
#include "lives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/history.h"

#define FIRST_BUCKETS 256u

int lives_init(struct lives *lives)
{
    *lives = (struct lives){.mask = FIRST_BUCKETS - 1, .free = LIVES_NONE};
    lives->buckets = malloc(FIRST_BUCKETS * sizeof(*lives->buckets));
    if (!lives->buckets)
        return -ENOMEM;
    memset(lives->buckets, 0xff, FIRST_BUCKETS * sizeof(*lives->buckets));
    return 0;
}

void lives_finish(struct lives *lives)
{
    for (uint32_t i = 0; i < lives->end; i++) {
        struct entry *entry = lives_get(lives, i);

        if (entry->number && entry->history_bytes > ENTRY_INLINE_HISTORY)
            free(entry->history.heap);
    }
    for (size_t i = 0; i < lives->chunks.n; i++)
        free(lives->chunks.items[i]);
    vec_finish(&lives->chunks);
    free(lives->buckets);
    lives->buckets = NULL;
    lives->end = 0;
}

/* Cookies count up from few counters: their low bits alone would fill the table unevenly. */
static uint32_t bucket_of(uint32_t mask, uint32_t netns, uint64_t cookie)
{
    return (uint32_t)((cookie ^ (uint64_t)netns << 40) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
}

static uint32_t find_from(const struct lives *lives, uint32_t i, uint32_t netns, uint64_t cookie)
{
    while (i != LIVES_NONE) {
        const struct entry *entry = lives_get(lives, i);

        if (entry->cookie == cookie && entry->netns == netns)
            break;
        i = entry->next;
    }
    return i;
}

uint32_t lives_find(const struct lives *lives, uint32_t netns, uint64_t cookie)
{
    return find_from(lives, lives->buckets[bucket_of(lives->mask, netns, cookie)], netns, cookie);
}

void lives_expect(const struct lives *lives, uint32_t netns, uint64_t cookie)
{
    uint32_t i = lives->buckets[bucket_of(lives->mask, netns, cookie)];

    if (i != LIVES_NONE)
        __builtin_prefetch(lives_get(lives, i));
}

uint32_t lives_next(const struct lives *lives, uint32_t index)
{
    const struct entry *entry = lives_get(lives, index);

    return find_from(lives, entry->next, entry->netns, entry->cookie);
}

static void link_entry(struct lives *lives, uint32_t index)
{
    struct entry *entry = lives_get(lives, index);
    uint32_t *bucket = &lives->buckets[bucket_of(lives->mask, entry->netns, entry->cookie)];

    entry->next = *bucket;
    *bucket = index;
}

/* Doubles the buckets when there is more than one life for each; without memory chains get longer.
 */
static void grow_buckets(struct lives *lives)
{
    uint32_t n = (lives->mask + 1) * 2;
    uint32_t *buckets;

    if (lives->n <= lives->mask || n == 0)
        return;
    buckets = malloc(n * sizeof(*buckets));
    if (!buckets)
        return;
    memset(buckets, 0xff, n * sizeof(*buckets));
    free(lives->buckets);
    lives->buckets = buckets;
    lives->mask = n - 1;
    for (uint32_t i = 0; i < lives->end; i++)
        if (lives_get(lives, i)->number)
            link_entry(lives, i);
}

static int new_place(struct lives *lives, uint32_t *ret)
{
    if (lives->free != LIVES_NONE) {
        *ret = lives->free;
        lives->free = lives_get(lives, *ret)->next;
        return 0;
    }
    if (lives->end == lives->chunks.n << LIVES_CHUNK_BITS) {
        struct entry *chunk;

        if (lives->end >= LIVES_NONE - LIVES_CHUNK)
            return -ENOMEM;
        chunk = calloc(LIVES_CHUNK, sizeof(*chunk));
        if (!chunk || vec_push(&lives->chunks, chunk) < 0) {
            free(chunk);
            return -ENOMEM;
        }
    }
    *ret = lives->end++;
    return 0;
}

int lives_add(struct lives *lives, uint32_t netns, uint64_t cookie, uint64_t number, uint32_t *ret)
{
    uint32_t index;
    int r = new_place(lives, &index);

    if (r < 0)
        return r;
    *lives_get(lives, index) =
        (struct entry){.number = number, .cookie = cookie, .netns = netns, .follower = LIVES_NONE};
    lives->n++;
    link_entry(lives, index);
    grow_buckets(lives);
    *ret = index;
    return 0;
}

static void drop_history(struct lives *lives, struct entry *entry)
{
    if (entry->history_bytes > ENTRY_INLINE_HISTORY) {
        lives->heap_bytes -= entry->history_bytes;
        free(entry->history.heap);
    }
    entry->history_bytes = 0;
}

static void unlink_entry(struct lives *lives, uint32_t index)
{
    const struct entry *entry = lives_get(lives, index);
    uint32_t *link = &lives->buckets[bucket_of(lives->mask, entry->netns, entry->cookie)];

    while (*link != index)
        link = &lives_get(lives, *link)->next;
    *link = entry->next;
}

void lives_set_cookie(struct lives *lives, uint32_t index, uint64_t cookie)
{
    unlink_entry(lives, index);
    lives_get(lives, index)->cookie = cookie;
    link_entry(lives, index);
}

void lives_remove(struct lives *lives, uint32_t index)
{
    struct entry *entry = lives_get(lives, index);

    unlink_entry(lives, index);
    drop_history(lives, entry);
    entry->number = 0;
    entry->next = lives->free;
    lives->free = index;
    lives->n--;
}

int lives_set_history(struct lives *lives, struct entry *entry, const uint8_t *bytes, size_t n)
{
    uint8_t *heap = NULL;

    if (n > ENTRY_INLINE_HISTORY) {
        heap = malloc(n);
        if (!heap)
            return -ENOMEM;
        memcpy(heap, bytes, n);
    }
    drop_history(lives, entry);
    if (heap) {
        entry->history.heap = heap;
        lives->heap_bytes += n;
    } else {
        memcpy(entry->history.bytes, bytes, n);
    }
    entry->history_bytes = (uint8_t)n;
    return 0;
}

int lives_append_state(struct lives *lives, struct entry *entry, uint8_t state, int64_t at_ms)
{
    uint8_t bytes[HISTORY_MAX_BYTES + HISTORY_CHANGE_MAX];
    size_t n = entry->history_bytes;
    int r;

    memcpy(bytes, entry_history(entry), n);
    if (n > 0)
        n += history_put_number(bytes + n, (uint64_t)(at_ms - entry->changed_ms));
    bytes[n++] = state;
    if (n > HISTORY_MAX_BYTES)
        return -E2BIG;
    r = lives_set_history(lives, entry, bytes, n);
    if (r < 0)
        return r;
    entry->state = state;
    entry->changed_ms = at_ms;
    return 0;
}

size_t lives_bytes(const struct lives *lives)
{
    return lives->chunks.n * LIVES_CHUNK * sizeof(struct entry) +
           (lives->mask + 1) * sizeof(*lives->buckets) + lives->heap_bytes;
}
