/* SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "times.h"

#define COMPACT_FIRST 4096

struct series_key series_key_make(unsigned by, const struct service_key *service, uint8_t state)
{
    struct series_key key = {.port = SERIES_ANY_PORT};

    if (by & TREND_BY_PORT) {
        key.protocol = service->protocol;
        key.port = service->port;
    }
    if (by & TREND_BY_ROLE)
        key.role = service->role;
    if (by & TREND_BY_STATE)
        key.state = state;
    return key;
}

void series_key_set_peer(struct series_key *key, uint8_t family, const struct address *peer)
{
    key->peer_family = family;
    key->peer = *peer;
    if (address_is_mapped(family, peer)) {
        key->peer_family = AF_INET;
        key->peer = (struct address){0};
        memcpy(key->peer.bytes, peer->bytes + 12, 4);
    }
}

void sweep_init(struct sweep *sweep, const struct moments *moments)
{
    *sweep = (struct sweep){
        .moments = moments, .times = moments->times.items, .n_times = moments->times.n};
}

size_t sweep_index(const struct sweep *sweep, size_t low, int64_t at_ms)
{
    return times_index(sweep->times, sweep->n_times, low, at_ms);
}

/* FNV-1a. */
static uint64_t hash_key(const struct series_key *key)
{
    const uint8_t *bytes = (const uint8_t *)key;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < sizeof(*key); i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

/* The place of a key: its own, or the free one where it belongs. */
static size_t *find_place(struct sweep *sweep, const struct series_key *key)
{
    size_t mask = sweep->places.n - 1, i = hash_key(key) & mask;

    while (sweep->places.items[i] &&
           memcmp(&sweep->series.items[sweep->places.items[i] - 1].key, key, sizeof(*key)) != 0)
        i = (i + 1) & mask;
    return &sweep->places.items[i];
}

/* Keeps the hash table at most half full. */
static int make_room(struct sweep *sweep)
{
    size_t wanted = sweep->places.n ? 2 * sweep->places.n : 64;

    if (sweep->places.n >= 2 * (sweep->series.n + 1))
        return 0;
    if (vec_reserve(&sweep->places, wanted - sweep->places.n) < 0)
        return -ENOMEM;
    sweep->places.n = wanted;
    memset(sweep->places.items, 0, wanted * sizeof(*sweep->places.items));
    for (size_t i = 0; i < sweep->series.n; i++)
        *find_place(sweep, &sweep->series.items[i].key) = i + 1;
    return 0;
}

static struct counted *find_series(struct sweep *sweep, const struct series_key *key)
{
    struct counted fresh = {.key = *key, .compact_at = COMPACT_FIRST};
    size_t *place;

    if (make_room(sweep) < 0)
        return NULL;
    place = find_place(sweep, key);
    if (!*place) {
        if (vec_push(&sweep->series, fresh) < 0)
            return NULL;
        *place = sweep->series.n;
    }
    return &sweep->series.items[*place - 1];
}

static int compare_changes(const void *left, const void *right)
{
    const struct change *a = left, *b = right;

    return (a->at > b->at) - (a->at < b->at);
}

/* Sorts the changes and makes one of those at the same snapshot. */
static void compact(struct counted *series)
{
    size_t kept = 0;

    if (series->changes.n > 1)
        qsort(series->changes.items, series->changes.n, sizeof(struct change), compare_changes);
    for (size_t i = 0; i < series->changes.n; i++) {
        if (kept && series->changes.items[kept - 1].at == series->changes.items[i].at)
            series->changes.items[kept - 1].delta += series->changes.items[i].delta;
        else
            series->changes.items[kept++] = series->changes.items[i];
        if (series->changes.items[kept - 1].delta == 0 &&
            (i + 1 == series->changes.n ||
             series->changes.items[i + 1].at != series->changes.items[kept - 1].at))
            kept--;
    }
    series->changes.n = kept;
}

int sweep_add(struct sweep *sweep, const struct series_key *key, size_t at, int64_t delta)
{
    struct change change = {.at = at, .delta = delta};
    struct counted *series;

    if (at >= sweep->n_times || delta == 0)
        return 0;
    series = find_series(sweep, key);
    if (!series)
        return -ENOMEM;
    if (series->changes.n >= series->compact_at) {
        compact(series);
        /* what stays is at most one for each snapshot: memory is bound by the span, not by the rows
         */
        if (series->compact_at < 2 * series->changes.n)
            series->compact_at = 2 * series->changes.n;
    }
    return vec_push(&series->changes, change);
}

int sweep_add_period(struct sweep *sweep, const struct series_key *key,
                     const struct period_count *count)
{
    struct counted *series = find_series(sweep, key);

    return series ? vec_push(&series->periods, *count) : -ENOMEM;
}

int sweep_note(struct sweep *sweep, const struct series_key *key, int64_t since_ms, uint32_t pid,
               int64_t started_ms)
{
    struct counted *series = find_series(sweep, key);
    struct present *present;

    if (!series)
        return -ENOMEM;
    present = &series->present;
    if (!present->any || since_ms < present->since_ms)
        present->since_ms = since_ms;
    if (!present->any) {
        present->pid = pid;
        present->started_ms = started_ms;
    } else if (present->pid != pid || present->started_ms != started_ms) {
        present->pid = 0;
    }
    present->any = true;
    return 0;
}

static int compare_periods(const void *left, const void *right)
{
    const struct period_count *a = left, *b = right;

    return (a->at > b->at) - (a->at < b->at);
}

/* Sorts what is known of periods and adds up what is of the same one. */
static void add_up(struct counted *series)
{
    struct period_count *items = series->periods.items;
    size_t kept = 0;

    if (series->periods.n > 1)
        qsort(items, series->periods.n, sizeof(*items), compare_periods);
    for (size_t i = 0; i < series->periods.n; i++) {
        struct period_count *sum = kept ? &items[kept - 1] : NULL;

        if (!sum || sum->at != items[i].at) {
            items[kept++] = items[i];
            continue;
        }
        sum->min += items[i].min;
        sum->max += items[i].max;
        sum->last += items[i].last;
        sum->sum += items[i].sum;
        sum->moving += items[i].moving;
    }
    series->periods.n = kept;
}

void sweep_settle(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->series.n; i++) {
        compact(&sweep->series.items[i]);
        add_up(&sweep->series.items[i]);
    }
}

static void next_period(const struct sweep *sweep, const struct counted *counted,
                        struct sweep_walk *walk, struct stretch *ret)
{
    *ret = (struct stretch){.first = walk->at,
                            .end = walk->at + 1,
                            .n = sweep->moments->periods.items[walk->period++].done};
    while (walk->period_count < counted->periods.n &&
           counted->periods.items[walk->period_count].at < walk->at)
        walk->period_count++;
    if (walk->period_count < counted->periods.n &&
        counted->periods.items[walk->period_count].at == walk->at) {
        const struct period_count *count = &counted->periods.items[walk->period_count++];

        ret->min = count->min;
        ret->max = count->max;
        ret->last = count->last;
        ret->sum = (double)count->sum;
        ret->bounds = count->moving > 1;
    }
    walk->at++;
}

bool sweep_next(const struct sweep *sweep, const struct counted *counted, struct sweep_walk *walk,
                size_t end, struct stretch *ret)
{
    const struct change *changes = counted->changes.items;
    const struct period *periods = sweep->moments->periods.items;
    size_t next = end;

    if (walk->at >= end)
        return false;
    for (; walk->change < counted->changes.n && changes[walk->change].at <= walk->at;
         walk->change++)
        walk->count += changes[walk->change].delta;
    if (walk->period < sweep->moments->periods.n) {
        if (periods[walk->period].at == walk->at) {
            next_period(sweep, counted, walk, ret);
            return true;
        }
        if (periods[walk->period].at < next)
            next = periods[walk->period].at;
    }
    if (walk->change < counted->changes.n && changes[walk->change].at < next)
        next = changes[walk->change].at;
    *ret = (struct stretch){.first = walk->at,
                            .end = next,
                            .n = (int64_t)(next - walk->at),
                            .min = walk->count,
                            .max = walk->count,
                            .last = walk->count,
                            .sum = (double)walk->count * (double)(next - walk->at)};
    walk->at = next;
    return true;
}

void sweep_finish(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->series.n; i++) {
        vec_finish(&sweep->series.items[i].changes);
        vec_finish(&sweep->series.items[i].periods);
    }
    vec_finish(&sweep->series);
    vec_finish(&sweep->places);
}
