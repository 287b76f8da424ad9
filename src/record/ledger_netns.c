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

    admission_leave(&ledger->services.admission, netns);
    if (i >= ledger->places.n || ledger->places.items[i].netns != netns)
        return;
    ledger->places.n--;
    memmove(&ledger->places.items[i], &ledger->places.items[i + 1],
            (ledger->places.n - i) * sizeof(ledger->places.items[0]));
}

int ledger_netns_failed(struct ledger *ledger, uint32_t netns)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    ledger->n_failed += !place->failed;
    place->failed = true;
    return 0;
}

int ledger_netns_left(struct ledger *ledger, uint32_t netns)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    place->left = true;
    return 0;
}

int ledger_netns_resume_at(struct ledger *ledger, uint32_t netns, int64_t last_complete_ms)
{
    struct ledger_place *place = get_place(ledger, netns);

    if (!place)
        return -ENOMEM;
    ledger->n_apart += !place->apart;
    place->apart = true;
    place->complete_ms = last_complete_ms;
    place->complete_before_ms = TIME_UNKNOWN;
    return 0;
}

int64_t ledger_complete_ms(const struct ledger *ledger, uint32_t netns)
{
    struct ledger_place place = {0};

    if (ledger->n_apart)
        place = ledger_place(ledger, netns);
    return place.apart ? place.complete_ms : ledger->complete_ms;
}

int64_t ledger_complete_before_ms(const struct ledger *ledger, uint32_t netns)
{
    struct ledger_place place = {0};

    if (ledger->n_apart)
        place = ledger_place(ledger, netns);
    return place.apart ? place.complete_before_ms : ledger->complete_before_ms;
}

/* The complete snapshot before is the planned distance away: new means opened since. */
bool ledger_opening_known(const struct ledger *ledger, uint32_t netns)
{
    int64_t complete_ms = ledger_complete_ms(ledger, netns);

    return complete_ms != TIME_UNKNOWN &&
           ledger->start_ms - complete_ms <= ledger->options.interval_ms * 3 / 2 &&
           !ledger_place(ledger, netns).strange;
}

bool ledger_is_whole(const struct ledger *ledger, uint32_t netns)
{
    return !ledger->interrupted && (!ledger->n_failed || !ledger_place(ledger, netns).failed);
}

int ledger_tell_failed(struct ledger *ledger)
{
    int r = 0;

    for (size_t i = 0; ledger->n_failed && i < ledger->places.n && r == 0; i++)
        if (ledger->places.items[i].failed)
            r = vec_push(&ledger->batch->incomplete, ledger->places.items[i].netns);
    return r;
}

void ledger_places_begin(struct ledger *ledger)
{
    for (size_t i = 0; ledger->n_failed && i < ledger->places.n; i++)
        ledger->places.items[i].failed = false;
    ledger->n_failed = 0;
}

/* A place where the snapshot was not complete, as the only one or one of few: from now on it has
 * complete snapshots of its own. */
static void fail_place(const struct ledger *ledger, struct ledger_place *place)
{
    place->n_interrupted++;
    if (place->apart)
        return;
    place->apart = true;
    place->complete_ms = ledger->complete_ms;
    place->complete_before_ms = ledger->complete_before_ms;
}

static void complete_place(const struct ledger *ledger, struct ledger_place *place)
{
    place->strange = place->time_wait_lost = false;
    place->n_interrupted = 0;
    if (!place->apart)
        return;
    place->complete_before_ms = place->complete_ms;
    place->complete_ms = ledger->start_ms;
    place->apart = place->complete_before_ms != ledger->complete_ms;
}

void ledger_places_end(struct ledger *ledger)
{
    ledger->n_apart = 0;
    for (size_t i = 0; i < ledger->places.n; i++) {
        struct ledger_place *place = &ledger->places.items[i];

        if (place->failed)
            fail_place(ledger, place);
        else
            complete_place(ledger, place);
        ledger->n_apart += place->apart;
    }
    ledger->complete_before_ms = ledger->complete_ms;
    ledger->complete_ms = ledger->start_ms;
}
