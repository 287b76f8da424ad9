/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define INTERFACES_COUNTED 256 /* of a namespace, by their index */
#define NUMBERS_A_MS       65536

void counting_state_init(struct counting_state *state, bool same_boot)
{
    struct utsname name;

    *state = (struct counting_state){.minute = -1, .told_before = same_boot, .long_bits = 64};
    /* a program of 32 bits may run on a kernel of 64 */
    if (sizeof(long) == 4 && uname(&name) == 0 && !strstr(name.machine, "64"))
        state->long_bits = 32;
}

static void free_space(struct counted_space *space)
{
    vec_finish(&space->values);
    vec_finish(&space->interfaces);
    route_table_finish(&space->routes);
    vec_finish(&space->numbers);
    free(space);
}

void counting_state_finish(struct counting_state *state)
{
    for (size_t i = 0; i < state->spaces.n; i++)
        free_space(state->spaces.items[i]);
    vec_finish(&state->spaces);
    vec_finish(&state->names);
}

void counting_begin(struct counting_state *state, struct counting *to, int64_t start_ms, bool full,
                    bool now)
{
    int64_t minute = start_ms / COUNTING_PERIOD_MS;

    state->to = now || minute != state->minute ? to : NULL;
    if (!state->to)
        return;
    state->minute = minute;
    state->at_ms = start_ms;
    if (state->next_number < start_ms * NUMBERS_A_MS)
        state->next_number = start_ms * NUMBERS_A_MS;
    state->full = full;
    if (full)
        state->named = false;
    for (size_t i = 0; i < state->spaces.n; i++)
        state->spaces.items[i]->seen = false;
}

void counting_end(struct counting_state *state)
{
    size_t kept = 0;

    if (!state->to)
        return;
    for (size_t i = 0; i < state->spaces.n; i++)
        if (state->spaces.items[i]->seen)
            state->spaces.items[kept++] = state->spaces.items[i];
        else
            free_space(state->spaces.items[i]);
    state->spaces.n = kept;
    counting_tidy_names(state);
    state->read_before |= state->to->taken;
    state->to = NULL;
}

static struct counted_space *find_space(struct counting_state *state, uint32_t netns)
{
    struct counted_space *space;

    for (size_t i = 0; i < state->spaces.n; i++)
        if (state->spaces.items[i]->netns == netns)
            return state->spaces.items[i];
    space = calloc(1, sizeof(*space));
    if (!space || vec_push(&state->spaces, space) < 0) {
        free(space);
        return NULL;
    }
    space->netns = netns;
    return space;
}

/* The place of a value; NULL: the name is one too many, or memory is short. */
static int64_t *find_value(struct counting_state *state, struct counted_space *space,
                           const char *name, size_t most)
{
    size_t low = 0, high = state->names.n, number;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(state->names.items[middle].name, name);

        if (order == 0) {
            low = middle;
            break;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == state->names.n || strcmp(state->names.items[low].name, name) != 0) {
        struct counted_name new = {.number = (uint32_t)state->names.n};

        if (state->names.n >= most || vec_reserve(&state->names, 1) < 0)
            return NULL;
        snprintf(new.name, sizeof(new.name), "%s", name);
        memmove(&state->names.items[low + 1], &state->names.items[low],
                (state->names.n - low) * sizeof(new));
        state->names.items[low] = new;
        state->names.n++;
    }
    number = state->names.items[low].number;
    if (number >= space->values.n) {
        size_t more = number + 1 - space->values.n;

        if (vec_reserve(&space->values, more) < 0)
            return NULL;
        memset(space->values.items + space->values.n, 0, more * sizeof(int64_t));
        space->values.n += more;
    }
    return &space->values.items[number];
}

/* Where a name's counter stands when what it counted is gone: whatever has the name next begins
 * from 0. */
static const int64_t gone = INT64_MAX;

/* before: what counts is not what had the name, and this is where it stood; NULL: it is the same. */
static int tell_counter(struct counting_state *state, struct counted_space *space,
                        const struct counter *counter, const int64_t *before)
{
    size_t n_names = state->names.n;
    int64_t *value = find_value(state, space, counter->name,
                                counter->protocol ? COUNTED_NAMES_MAX : COUNTED_LINKS_MAX);
    struct counter_change change = {.value = counter->value,
                                    .place = counter->place,
                                    .protocol = counter->protocol,
                                    .kind = counter->kind,
                                    .turn = COUNTER_FIRST};

    if (!value) {
        state->to->left_out++;
        return 0;
    }
    if (*value == counter->value && !(before && counter->value)) {
        if (counter->value || !counter->protocol || (state->named && state->names.n == n_names))
            return 0;
        change.named = true;
    }
    if (change.named || (space->whole && counter->kind == COUNTER_GAUGE))
        change.turn = COUNTER_WENT_ON;
    else if (space->whole)
        change.turn = (uint8_t)counter_growth(before ? *before : *value, counter->value,
                                              state->long_bits, &change.grew);
    *value = counter->value;
    snprintf(change.name, sizeof(change.name), "%s", counter->name);
    return vec_push(&state->to->counters, change);
}

static const struct {
    const char *name;
    size_t offset;
} stats[] = {
#define STAT(what)                                    \
    {                                                 \
#what, offsetof(struct interface_stats, what) \
    }
    STAT(rx_bytes),     STAT(tx_bytes),      STAT(rx_packets), STAT(tx_packets),   STAT(rx_errors),
    STAT(tx_errors),    STAT(rx_dropped),    STAT(tx_dropped), STAT(rx_multicast), STAT(rx_missed),
    STAT(rx_nohandler), STAT(tx_collisions), STAT(tx_carrier),
};

static int64_t stat_of(const struct interface *interface, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)&interface->stats + stats[i].offset, sizeof(value));
    return value;
}

static void name_stat(const struct interface *interface, size_t i,
                      char ret[static COUNTER_NAME_MAX])
{
    snprintf(ret, COUNTER_NAME_MAX, "interface.%s.%s", interface->name, stats[i].name);
}

/* was: the same one by the name that it had; NULL: it had this one. restarted: another had this name. */
static int tell_stats(struct counting_state *state, struct counted_space *space,
                      const struct interface *interface, const struct interface *was,
                      bool restarted)
{
    int r = 0;

    for (size_t i = 0; r == 0 && interface->has_stats && i < sizeof(stats) / sizeof(stats[0]);
         i++) {
        struct counter counter = {
            .value = stat_of(interface, i), .kind = COUNTER_TOTAL, .place = (uint16_t)i};
        int64_t before = was ? stat_of(was, i) : gone;

        name_stat(interface, i, counter.name);
        r = tell_counter(state, space, &counter, was || restarted ? &before : NULL);
    }
    return r;
}

static bool is_same(const struct interface *a, const struct interface *b)
{
    return a->flags == b->flags && a->mtu_bytes == b->mtu_bytes && a->type == b->type &&
           a->operstate == b->operstate && a->has_stats == b->has_stats &&
           strcmp(a->name, b->name) == 0;
}

static int end_interface(struct counting_state *state, struct interface_change *known)
{
    known->ended = true;
    return vec_push(&state->to->interfaces, *known);
}

static int begin_interface(struct counting_state *state, const struct interface *now,
                           struct interface_change *known)
{
    *known = (struct interface_change){.interface = *now, .number = state->next_number++};
    return vec_push(&state->to->interfaces, *known);
}

/* The same interface, where it had another name at the last reading; NULL. */
static const struct interface *find_renamed(const struct counted_space *space,
                                            const struct interface *now)
{
    for (size_t i = 0; i < space->interfaces.n; i++) {
        const struct interface *was = &space->interfaces.items[i].interface;

        if (was->ifindex == now->ifindex)
            return was->has_stats && strcmp(was->name, now->name) != 0 ? was : NULL;
    }
    return NULL;
}

/* Whether another one had the name: it counts from 0. */
static bool is_restarted(const struct counted_space *space, const struct interface *now)
{
    for (size_t i = 0; i < space->interfaces.n; i++)
        if (strcmp(space->interfaces.items[i].interface.name, now->name) == 0)
            return space->interfaces.items[i].interface.ifindex != now->ifindex;
    return false;
}

static bool has_name(const struct interface_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

/* Notes of names that nobody has any more that what has them next is another one. */
static void leave_names(struct counting_state *state, struct counted_space *space,
                        const struct interface_list *list)
{
    if (list->n > INTERFACES_COUNTED || list->n_left_out) /* it may be among those left out */
        return;
    for (size_t i = 0; i < space->interfaces.n; i++) {
        const struct interface *was = &space->interfaces.items[i].interface;

        if (!was->has_stats || has_name(list, was->name))
            continue;
        for (size_t k = 0; k < sizeof(stats) / sizeof(stats[0]); k++) {
            char name[COUNTER_NAME_MAX];
            int64_t *value;

            name_stat(was, k, name);
            value = find_value(state, space, name, 0);
            if (value && *value)
                *value = gone;
        }
    }
}

static int tell_interfaces(struct counting_state *state, struct counted_space *space,
                           const struct interface_list *list)
{
    size_t n = list->n < INTERFACES_COUNTED ? list->n : INTERFACES_COUNTED, old = 0;
    size_t n_old = space->interfaces.n;
    int r = 0;

    state->to->left_out += (uint32_t)(list->n - n + list->n_left_out);
    for (size_t i = 0; i < n && r == 0; i++)
        r = tell_stats(state, space, &list->items[i], find_renamed(space, &list->items[i]),
                       is_restarted(space, &list->items[i]));
    if (r == 0)
        leave_names(state, space, list);
    /* the new ones stand behind the old ones, which then go */
    for (size_t i = 0; i < n && r == 0; i++) {
        struct interface_change one;

        while (r == 0 && old < n_old &&
               space->interfaces.items[old].interface.ifindex < list->items[i].ifindex)
            r = end_interface(state, &space->interfaces.items[old++]);
        if (r == 0 && old < n_old &&
            space->interfaces.items[old].interface.ifindex == list->items[i].ifindex) {
            one = space->interfaces.items[old++];
            if (!is_same(&one.interface, &list->items[i])) {
                r = end_interface(state, &one);
                if (r == 0)
                    r = begin_interface(state, &list->items[i], &one);
            }
        } else if (r == 0) {
            r = begin_interface(state, &list->items[i], &one);
        }
        one.interface.stats = list->items[i].stats;
        if (r == 0)
            r = vec_push(&space->interfaces, one);
    }
    while (r == 0 && old < n_old)
        r = end_interface(state, &space->interfaces.items[old++]);
    if (n_old == 0)
        return r;
    memmove(space->interfaces.items, space->interfaces.items + n_old,
            (space->interfaces.n - n_old) * sizeof(struct interface_change));
    space->interfaces.n -= n_old;
    return r;
}

static int tell_route(struct counting_state *state, const struct route_table *table,
                      const struct route *route, int64_t number, bool ended)
{
    struct route_change change = {.route = *route, .number = number, .ended = ended};
    const struct route_hop *hops = route_hops(table, route);
    int r = 0;

    change.route.first_hop = (uint32_t)state->to->hops.n;
    for (size_t i = 0; i < route->n_hops && !ended && r == 0; i++)
        r = vec_push(&state->to->hops, hops[i]);
    return r < 0 ? r : vec_push(&state->to->routes, change);
}

/* Both are sorted, though not by hops: of routes that differ in their ways alone there is one. */
static int tell_routes(struct counting_state *state, struct counted_space *space,
                       struct route_table *now)
{
    struct route_table *was = &space->routes;
    size_t n_old = was->n, old = 0;
    int r = 0;

    state->to->left_out += (uint32_t)now->n_left_out;
    for (size_t i = 0; i < now->n && r == 0; i++) {
        int order = 1;

        while (r == 0 && old < n_old &&
               (order = route_compare(was, &was->items[old], now, &now->items[i])) < 0) {
            r = tell_route(state, was, &was->items[old], space->numbers.items[old], true);
            old++;
        }
        if (r < 0)
            break;
        if (old < n_old && order == 0) {
            r = vec_push(&space->numbers, space->numbers.items[old]);
            old++;
            continue;
        }
        r = vec_push(&space->numbers, state->next_number);
        if (r == 0)
            r = tell_route(state, now, &now->items[i], state->next_number++, false);
    }
    for (; old < n_old && r == 0; old++)
        r = tell_route(state, was, &was->items[old], space->numbers.items[old], true);
    if (n_old > 0)
        memmove(space->numbers.items, space->numbers.items + n_old,
                (space->numbers.n - n_old) * sizeof(int64_t));
    space->numbers.n -= n_old;
    route_table_finish(was);
    *was = *now;
    *now = (struct route_table){0};
    return r;
}

static void forget(struct counted_space *space)
{
    vec_clear(&space->values);
    vec_clear(&space->interfaces);
    route_table_clear(&space->routes);
    vec_clear(&space->numbers);
    space->whole = false;
}

static int tell(struct counting_state *state, struct counted_space *space,
                struct counted_tables *tables)
{
    int r = 0;

    /* who asks for one of them later is to be told that it did not move */
    state->to->left_out += (uint32_t)tables->counters.n_left_out;
    for (size_t i = 0; r == 0 && i < tables->counters.n; i++)
        r = tell_counter(state, space, &tables->counters.items[i], NULL);
    state->named |= r == 0 && !(tables->lacks & COUNTED_LACKS_COUNTERS);
    if (r == 0 && !(tables->lacks & COUNTED_LACKS_INTERFACES))
        r = tell_interfaces(state, space, &tables->interfaces);
    if (r == 0 && !(tables->lacks & COUNTED_LACKS_ROUTES))
        r = tell_routes(state, space, &tables->routes);
    return r;
}

/* What goes wrong leaves what was told: the next reading tells the namespace in full. */
void counting_read(struct counting_state *state, const struct source *source, uint32_t netns)
{
    struct counted_tables tables = {0};
    struct counting *to = state->to;
    struct counted_netns one = {.netns = netns};
    struct counted_space *space = to && source->ops->counters ? find_space(state, netns) : NULL;
    size_t n_counters, n_interfaces, n_routes;
    int r;

    if (!space)
        return;
    n_counters = to->counters.n;
    n_interfaces = to->interfaces.n;
    n_routes = to->routes.n;
    to->taken = true;
    space->seen = true;
    if (state->full)
        forget(space);
    one.full = !space->whole;
    one.anew = one.full && !state->told_before && !state->read_before;
    source->ops->counters(source->ctx, &tables);
    r = tell(state, space, &tables);
    one.lacks = (uint8_t)tables.lacks;
    one.n_counters = (uint32_t)(to->counters.n - n_counters);
    one.n_interfaces = (uint32_t)(to->interfaces.n - n_interfaces);
    one.n_routes = (uint32_t)(to->routes.n - n_routes);
    space->whole = true;
    if (r < 0 || (one.full && one.lacks)) /* nothing may be concluded from what is not told */
        forget(space);
    if (r < 0)
        one.lacks = COUNTED_LACKS_COUNTERS | COUNTED_LACKS_INTERFACES | COUNTED_LACKS_ROUTES;
    if (vec_push(&to->netns, one) < 0) {
        to->counters.n = n_counters;
        to->interfaces.n = n_interfaces;
        to->routes.n = n_routes;
        forget(space);
    }
    counted_tables_finish(&tables);
}
