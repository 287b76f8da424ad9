/* SPDX-License-Identifier: MIT */
#include "owner_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 5 };

static void texts_of(const struct owner *owner, const char *ret[static TEXTS])
{
    ret[0] = owner->comm;
    ret[1] = owner->exe;
    ret[2] = owner->unit;
    ret[3] = owner->container;
    ret[4] = owner->cgroup;
}

void owner_table_finish(struct owner_table *table)
{
    for (size_t i = 0; i < table->slots.n; i++)
        free(table->slots.items[i].texts);
    vec_finish(&table->slots);
    vec_finish(&table->unused);
}

static uint32_t *bucket_of(struct owner_table *table, const struct owner *owner)
{
    uint64_t hash = (uint64_t)owner->pid << 32 ^ (uint64_t)owner->start_ms ^ owner->uid;

    /* those without a process differ by these alone */
    for (const char *p = owner->pid ? "" : owner->cgroup; *p; p++)
        hash = (hash ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    return &table->buckets[(hash * UINT64_C(0x9e3779b97f4a7c15) >> 32) % OWNER_BUCKETS];
}

static bool is_same(const struct owner *a, const struct owner *b)
{
    const char *left[TEXTS], *right[TEXTS];

    if (a->pid != b->pid || a->start_ms != b->start_ms || a->uid != b->uid)
        return false;
    texts_of(a, left);
    texts_of(b, right);
    for (size_t i = 0; i < TEXTS; i++)
        if (strcmp(left[i], right[i]) != 0)
            return false;
    return true;
}

/* Copies the strings into one piece of memory. 0 or -ENOMEM. */
static int fill(struct owner_slot *slot, const struct owner *owner)
{
    const char **const to[TEXTS] = {&slot->owner.comm, &slot->owner.exe, &slot->owner.unit,
                                    &slot->owner.container, &slot->owner.cgroup};
    const char *from[TEXTS];
    size_t n = 0;
    char *at;

    texts_of(owner, from);
    for (size_t i = 0; i < TEXTS; i++)
        n += strlen(from[i]) + 1;
    *slot = (struct owner_slot){.owner = *owner, .texts = malloc(n), .n_texts = n};
    if (!slot->texts)
        return -ENOMEM;
    at = slot->texts;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t bytes = strlen(from[i]) + 1;

        *to[i] = memcpy(at, from[i], bytes);
        at += bytes;
    }
    return 0;
}

/* A place for a new one; 0: none. */
static uint32_t find_place(struct owner_table *table)
{
    uint32_t number = table->free;

    if (number) {
        table->free = owner_table_get(table, number)->next;
        return number;
    }
    if (table->slots.n >= OWNERS_MAX || vec_reserve(&table->slots, 1) < 0)
        return 0;
    return (uint32_t)++table->slots.n;
}

static uint32_t add(struct owner_table *table, const struct owner *owner)
{
    uint32_t number, *bucket = bucket_of(table, owner);
    struct owner_slot *slot;

    if (vec_reserve(&table->unused, table->n + 1) < 0) /* so that dropping never fails */
        return 0;
    number = find_place(table);
    if (!number)
        return 0;
    slot = owner_table_get(table, number);
    if (fill(slot, owner) < 0) {
        slot->next = table->free;
        table->free = number;
        return 0;
    }
    slot->next = *bucket;
    *bucket = number;
    table->n++;
    table->text_bytes += slot->n_texts;
    return number;
}

uint32_t owner_table_take(struct owner_table *table, const struct owner *owner)
{
    uint32_t number = *bucket_of(table, owner);

    while (number && !is_same(&owner_table_get(table, number)->owner, owner))
        number = owner_table_get(table, number)->next;
    if (!number)
        number = add(table, owner);
    if (number) {
        struct owner_slot *slot = owner_table_get(table, number);

        slot->users++;
        table->n_stale -= slot->stale;
        slot->stale = false; /* it was just seen to be so */
    }
    return number;
}

void owner_table_keep(struct owner_table *table, uint32_t number)
{
    if (number)
        owner_table_get(table, number)->users++;
}

void owner_table_drop(struct owner_table *table, uint32_t number)
{
    struct owner_slot *slot;

    if (!number)
        return;
    slot = owner_table_get(table, number);
    if (--slot->users == 0 && !slot->unused) {
        slot->unused = true;
        table->unused.items[table->unused.n++] = number;
    }
}

static void remove_one(struct owner_table *table, uint32_t number)
{
    struct owner_slot *slot = owner_table_get(table, number);
    uint32_t *link = bucket_of(table, &slot->owner);

    while (*link != number)
        link = &owner_table_get(table, *link)->next;
    *link = slot->next;
    table->n--;
    table->n_stale -= slot->stale;
    table->text_bytes -= slot->n_texts;
    free(slot->texts);
    *slot = (struct owner_slot){.next = table->free};
    table->free = number;
}

void owner_table_sweep(struct owner_table *table)
{
    for (size_t i = 0; i < table->unused.n; i++) {
        struct owner_slot *slot = owner_table_get(table, table->unused.items[i]);

        slot->unused = false;
        if (slot->users == 0)
            remove_one(table, table->unused.items[i]);
    }
    vec_clear(&table->unused);
}

void owner_table_mark_stale(struct owner_table *table, uint32_t number, bool ended, int64_t at_ms,
                            int64_t before_ms)
{
    struct owner_slot *slot = owner_table_get(table, number);

    table->n_stale += !slot->stale;
    slot->stale = true;
    slot->ended = ended;
    slot->stale_ms = at_ms;
    slot->stale_before_ms = before_ms;
}

size_t owner_table_bytes(const struct owner_table *table)
{
    return table->slots.capacity * sizeof(struct owner_slot) +
           table->unused.capacity * sizeof(uint32_t) + table->text_bytes;
}
