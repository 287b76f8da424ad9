/* SPDX-License-Identifier: MIT */
/* What holds for one network namespace and not for another. */
#include <errno.h>
#include <string.h>

#include "ledger_private.h"

/* Numbers of namespaces only grow, so that the list is sorted by them. */
static size_t position(const struct ledger *ledger, uint32_t netns)
{
    size_t low = 0, high = ledger->places.n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (ledger->places.items[middle].netns < netns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct ledger_place ledger_place(const struct ledger *ledger, uint32_t netns)
{
    size_t i = position(ledger, netns);

    if (i < ledger->places.n && ledger->places.items[i].netns == netns)
        return ledger->places.items[i];
    return (struct ledger_place){
        .netns = netns, .ephemeral = ledger->options.ephemeral, .fin_timeout_ms = TIME_WAIT_MS};
}

static struct ledger_place *get_place(struct ledger *ledger, uint32_t netns)
{
    struct ledger_place place = ledger_place(ledger, netns);
    size_t i = position(ledger, netns);

    if (i < ledger->places.n && ledger->places.items[i].netns == netns)
        return &ledger->places.items[i];
    if (vec_reserve(&ledger->places, 1) < 0)
        return NULL;
    memmove(&ledger->places.items[i + 1], &ledger->places.items[i],
            (ledger->places.n - i) * sizeof(place));
    ledger->places.items[i] = place;
    ledger->places.n++;
    return &ledger->places.items[i];
}

int ledger_netns_strange(struct ledger *ledger, uint32_t netns)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    place->strange = true;
    return 0;
}

int ledger_netns_facts(struct ledger *ledger, uint32_t netns, const struct port_range *ephemeral,
                       int64_t fin_timeout_ms)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    place->ephemeral = *ephemeral;
    place->fin_timeout_ms = fin_timeout_ms;
    return 0;
}

int ledger_time_wait_lost(struct ledger *ledger, uint32_t netns)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    place->time_wait_lost = true;
    return 0;
}

void ledger_netns_forget(struct ledger *ledger, uint32_t netns)
{
    size_t i = position(ledger, netns);

    if (i >= ledger->places.n || ledger->places.items[i].netns != netns)
        return;
    ledger->places.n--;
    memmove(&ledger->places.items[i], &ledger->places.items[i + 1],
            (ledger->places.n - i) * sizeof(ledger->places.items[0]));
}

bool ledger_opening_known(const struct ledger *ledger, uint32_t netns)
{
    return ledger->opening_known && !ledger_place(ledger, netns).strange;
}

void ledger_places_complete(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->places.n; i++)
        ledger->places.items[i].strange = ledger->places.items[i].time_wait_lost = false;
}
