/* SPDX-License-Identifier: MIT */
#include "admission.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS      INT64_C(86400000)
#define DAY_SHARE   4u    /* a day gives away one of so many places that were left when it began */
#define KEPT_SHARE  4u    /* one of so many is for what is listened at */
#define LISTENED_TO 32768 /* ... below this port, where Linux begins with ephemeral ones */
#define FIRST_SIZE  64u

void admission_init(struct admission *admission, uint32_t max)
{
    *admission = (struct admission){.max = max};
}

void admission_finish(struct admission *admission)
{
    free(admission->known);
    vec_finish(&admission->netns);
}

void admission_day(struct admission *admission, int64_t start_ms)
{
    int64_t day = start_ms / DAY_MS;

    if (day == admission->day)
        return;
    admission->day = day;
    for (size_t i = 0; i < admission->netns.n; i++)
        admission->netns.items[i].before = admission->netns.items[i].n;
}

/* Never 0: no role is. */
static uint64_t packed(const struct service_key *key)
{
    return (uint64_t)key->netns << 32 | (uint64_t)key->protocol << 24 | (uint64_t)key->role << 16 |
           (uint16_t)key->port;
}

/* Its place in the hash, or the empty one where it belongs; there is one. */
static size_t place_of(const uint64_t *known, size_t size, uint64_t key)
{
    size_t i = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (size - 1);

    while (known[i] && known[i] != key)
        i = (i + 1) & (size - 1);
    return i;
}

static bool is_known(const struct admission *admission, uint64_t key)
{
    return admission->size && admission->known[place_of(admission->known, admission->size, key)];
}

static bool is_there(const struct admission *admission, uint32_t netns)
{
    for (size_t i = admission->netns.n; i-- > 0;)
        if (admission->netns.items[i].netns == netns)
            return true;
    return false;
}

/* Makes place, first by leaving behind what namespaces that are gone had. */
static int grow(struct admission *admission)
{
    size_t kept = 0, size = FIRST_SIZE;
    uint64_t *known;

    for (size_t i = 0; i < admission->netns.n; i++)
        kept += admission->netns.items[i].n;
    while (kept * 2 >= size)
        size *= 2;
    known = calloc(size, sizeof(*known));
    if (!known)
        return -ENOMEM;
    for (size_t i = 0; i < admission->size; i++)
        if (admission->known[i] && is_there(admission, (uint32_t)(admission->known[i] >> 32)))
            known[place_of(known, size, admission->known[i])] = admission->known[i];
    free(admission->known);
    admission->known = known;
    admission->size = size;
    admission->n = kept;
    return 0;
}

/* The namespaces of now are mostly the latest. */
static struct admission_netns *find_netns(struct admission *admission, uint32_t netns)
{
    for (size_t i = admission->netns.n; i-- > 0;)
        if (admission->netns.items[i].netns == netns)
            return &admission->netns.items[i];
    if (vec_push(&admission->netns, (struct admission_netns){.netns = netns}) < 0)
        return NULL;
    return &admission->netns.items[admission->netns.n - 1];
}

static int put(struct admission *admission, struct admission_netns *netns, uint64_t key)
{
    if (admission->n * 4 >= admission->size * 3 && grow(admission) < 0)
        return -ENOMEM;
    admission->known[place_of(admission->known, admission->size, key)] = key;
    admission->n++;
    netns->n++;
    admission->all_but_own += netns->netns != 0;
    return 0;
}

int admission_know(struct admission *admission, const struct service_key *key)
{
    struct admission_netns *netns;
    int r;

    if (!admission->max || is_known(admission, packed(key)))
        return 0;
    netns = find_netns(admission, key->netns);
    r = netns ? put(admission, netns, packed(key)) : -ENOMEM;
    if (r == 0)
        netns->before = netns->n;
    return r;
}

static bool has_place(const struct admission *admission, const struct admission_netns *netns,
                      const struct service_key *key)
{
    bool listened = key->role == ROLE_SERVER && key->port < LISTENED_TO;
    uint32_t most = listened ? admission->max : admission->max - admission->max / KEPT_SHARE;
    uint32_t left;

    if (netns->n >= most ||
        (netns->netns != 0 && admission->all_but_own >= (uint64_t)admission->max * ADMISSION_NETNS))
        return false;
    if (listened)
        return true;
    left = netns->before < most ? most - netns->before : 0;
    return netns->n - netns->before < (left + DAY_SHARE - 1) / DAY_SHARE;
}

void admission_leave(struct admission *admission, uint32_t netns)
{
    for (size_t i = 0; i < admission->netns.n; i++) {
        if (admission->netns.items[i].netns != netns)
            continue;
        if (netns != 0)
            admission->all_but_own -= admission->netns.items[i].n;
        admission->netns.n--;
        memmove(&admission->netns.items[i], &admission->netns.items[i + 1],
                (admission->netns.n - i) * sizeof(admission->netns.items[0]));
        return;
    }
}

int admission_ask(struct admission *admission, const struct service_key *key)
{
    struct admission_netns *netns;

    if (!admission->max || is_known(admission, packed(key)))
        return 1;
    netns = find_netns(admission, key->netns);
    if (!netns)
        return -ENOMEM;
    if (!has_place(admission, netns, key))
        return 0;
    return put(admission, netns, packed(key)) < 0 ? -ENOMEM : 1;
}
