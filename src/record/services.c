/* SPDX-License-Identifier: MIT */
#include "services.h"

#include <errno.h>
#include <string.h>

#define NONE UINT32_MAX

void services_init(struct services *services, uint32_t max_clients, uint32_t max_services)
{
    *services = (struct services){.max_clients = max_clients, .free = NONE};
    memset(services->buckets, 0xff, sizeof(services->buckets));
    admission_init(&services->admission, max_services);
}

void services_finish(struct services *services)
{
    vec_finish(&services->slots);
    admission_finish(&services->admission);
}

static uint32_t bucket_of(const struct service_key *key)
{
    uint32_t h = (uint32_t)key->port * 2654435761u;

    h ^= key->netns * 40503u + key->role * 97u + key->protocol;
    return (h ^ h >> 16) % SERVICES_BUCKETS;
}

static bool same_key(const struct service_key *a, const struct service_key *b)
{
    return a->port == b->port && a->netns == b->netns && a->protocol == b->protocol &&
           a->role == b->role;
}

static uint32_t find(const struct services *services, const struct service_key *key)
{
    uint32_t i = services->buckets[bucket_of(key)];

    while (i != NONE && !same_key(&services->slots.items[i].key, key))
        i = services->slots.items[i].next;
    return i;
}

static bool is_told_apart_client(const struct service_key *key)
{
    return key->role == ROLE_CLIENT && key->port != SERVICE_PORT_OTHER;
}

static int add(struct services *services, const struct service_key *key, uint32_t *ret)
{
    uint32_t *bucket = &services->buckets[bucket_of(key)], index = services->free;

    if (index != NONE) {
        services->free = services->slots.items[index].next;
    } else {
        if (vec_push(&services->slots, (struct service_slot){0}) < 0)
            return -ENOMEM;
        index = (uint32_t)services->slots.n - 1;
    }
    services->slots.items[index] = (struct service_slot){.key = *key, .next = *bucket, .used = 1};
    *bucket = index;
    services->n++;
    services->clients += is_told_apart_client(key);
    *ret = index;
    return 0;
}

/* Whether there is room for one more. Port 0 stands for all unconnected sockets and is never folded. 1, 0 or
 * -ENOMEM. */
static int may_stand_alone(struct services *services, const struct service_key *key)
{
    if (key->port == 0 || key->port == SERVICE_PORT_OTHER)
        return 1;
    if (key->role == ROLE_CLIENT && services->clients >= services->max_clients)
        return 0;
    return admission_ask(&services->admission, key);
}

int services_get(struct services *services, const struct service_key *key, uint32_t *ret)
{
    struct service_key wanted = *key;
    uint32_t index = find(services, &wanted);
    int alone = index == NONE ? may_stand_alone(services, &wanted) : 1;

    if (alone < 0)
        return alone;
    if (!alone) {
        services->folded++;
        wanted.port = SERVICE_PORT_OTHER;
        index = find(services, &wanted);
    }
    if (index == NONE)
        return add(services, &wanted, ret);
    *ret = index;
    return 0;
}

void services_begin(struct services *services, int64_t start_ms)
{
    admission_day(&services->admission, start_ms);
    for (size_t i = 0; i < services->slots.n; i++) {
        memset(services->slots.items[i].now, 0, sizeof(services->slots.items[i].now));
        services->slots.items[i].rate = 0;
    }
}

void services_keep(struct services *services, uint32_t netns)
{
    for (size_t i = 0; i < services->slots.n; i++) {
        struct service_slot *slot = &services->slots.items[i];

        if (slot->used && slot->key.netns == netns)
            memcpy(slot->now, slot->told, sizeof(slot->now));
    }
}

static void let_go(struct services *services, uint32_t index)
{
    struct service_slot *slot = &services->slots.items[index];
    uint32_t *link = &services->buckets[bucket_of(&slot->key)];

    while (*link != index)
        link = &services->slots.items[*link].next;
    *link = slot->next;
    services->n--;
    services->clients -= is_told_apart_client(&slot->key);
    slot->used = 0;
    slot->next = services->free;
    services->free = index;
}

static int tell_slot(struct service_slot *slot, bool anchor, struct tally_vec *ret)
{
    for (uint8_t state = 1; state < STATE_COUNT; state++) {
        uint32_t now = slot->now[state];
        struct tally_change change = {.service = slot->key, .count = now, .state = state};

        if (anchor ? now == 0 : now == slot->told[state])
            continue;
        if (vec_push(ret, change) < 0)
            return -ENOMEM;
    }
    memcpy(slot->told, slot->now, sizeof(slot->told));
    return 0;
}

static bool is_idle(const struct service_slot *slot)
{
    static const uint32_t zeros[STATE_COUNT];

    return slot->lives == 0 && memcmp(slot->now, zeros, sizeof(zeros)) == 0;
}

int services_tell(struct services *services, bool anchor, struct tally_vec *ret)
{
    for (uint32_t i = 0; i < services->slots.n; i++) {
        struct service_slot *slot = &services->slots.items[i];

        if (!slot->used)
            continue;
        if (tell_slot(slot, anchor, ret) < 0)
            return -ENOMEM;
        if (is_idle(slot))
            let_go(services, i);
    }
    return 0;
}
