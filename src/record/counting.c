/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "counting_tell.h"

#define NUMBERS_A_MS 65536
#define PACE         50 /* reading out of turn takes this part of the time at most */

void counting_state_init(struct counting_state *state, const struct clock *clock)
{
    struct utsname name;

    *state = (struct counting_state){.clock = clock, .minute = -1, .long_bits = 64};
    /* a program of 32 bits may run on a kernel of 64 */
    if (sizeof(long) == 4 && uname(&name) == 0 && !strstr(name.machine, "64"))
        state->long_bits = 32;
}

static void free_space(struct counted_space *space)
{
    vec_finish(&space->values);
    interface_list_finish(&space->counted);
    vec_finish(&space->apart);
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

    state->to = to;
    state->in_turn = now || full || minute != state->minute;
    if (state->next_number < start_ms * NUMBERS_A_MS)
        state->next_number = start_ms * NUMBERS_A_MS;
    state->full = full;
    if (!state->in_turn)
        return;
    state->minute = minute;
    if (full)
        state->named = false;
    for (size_t i = 0; i < state->spaces.n; i++)
        state->spaces.items[i]->seen = false;
}

void counting_end(struct counting_state *state)
{
    size_t kept = 0;

    if (state->in_turn) {
        for (size_t i = 0; i < state->spaces.n; i++)
            if (state->spaces.items[i]->seen)
                state->spaces.items[kept++] = state->spaces.items[i];
            else
                free_space(state->spaces.items[i]);
        state->spaces.n = kept;
        counting_tidy_names(state);
    }
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

static void forget(struct counted_space *space, unsigned parts)
{
    if (parts & COUNTED_COUNTERS) {
        vec_clear(&space->values);
        vec_clear(&space->counted);
        vec_clear(&space->apart);
    }
    if (parts & COUNTED_INTERFACES)
        vec_clear(&space->interfaces);
    if (parts & COUNTED_ROUTES) {
        route_table_clear(&space->routes);
        vec_clear(&space->numbers);
    }
    space->told &= (uint8_t)~parts;
}

/* Interfaces and routes that are told out of turn are so together: each change is of a time at which
 * both were read. */
static bool is_due(const struct counting_state *state, const struct counted_space *space)
{
    return (space->changed || (space->told & COUNTED_TABLES) != COUNTED_TABLES) &&
           clock_boottime_ns(state->clock) >= space->next_ns;
}

/* After tables that took long to read they are left in peace for a while. */
static void read_tables(const struct counting_state *state, const struct source *source,
                        struct counted_space *space, struct counted_tables *ret)
{
    int64_t begin_ns = clock_boottime_ns(state->clock), end_ns;

    source->ops->counters(source->ctx, COUNTED_TABLES, ret);
    end_ns = clock_boottime_ns(state->clock);
    space->next_ns = end_ns + PACE * (end_ns - begin_ns);
    space->changed = ret->lacks & COUNTED_TABLES;
}

static int tell(struct counting_state *state, struct counted_space *space, bool again,
                struct counted_tables *tables)
{
    int r = 0;

    /* who asks for one of them later is to be told that it did not move */
    state->to->left_out += (uint32_t)tables->counters.n_left_out;
    for (size_t i = 0; r == 0 && i < tables->counters.n; i++)
        r = counting_tell_counter(state, space, &tables->counters.items[i], NULL);
    if (!again)
        state->named |= r == 0 && !(tables->lacks & COUNTED_COUNTERS);
    if (r == 0 && !(tables->lacks & COUNTED_INTERFACES))
        r = again ? counting_meet(space, &tables->interfaces)
                  : counting_tell_stats(state, space, &tables->interfaces);
    if (r == 0 && !(tables->lacks & COUNTED_INTERFACES))
        r = counting_tell_interfaces(state, space, &tables->interfaces);
    if (r == 0 && !(tables->lacks & COUNTED_ROUTES))
        r = counting_tell_routes(state, space, &tables->routes);
    return r;
}

/* Nothing may be concluded from what is not told: of that the next reading tells all. */
static void note_told(struct counted_space *space, const struct counted_netns *one)
{
    unsigned lost = one->full & one->lacks;

    /* statistics of interfaces are counters */
    if (one->full & COUNTED_COUNTERS && one->lacks & COUNTED_INTERFACES)
        lost |= COUNTED_COUNTERS;
    space->told |= one->full;
    forget(space, lost);
}

/* Where a share begins in the batch's vectors. */
struct ends {
    size_t counters, interfaces, routes, hops;
};

static struct ends ends_of(const struct counting *to)
{
    return (struct ends){.counters = to->counters.n,
                         .interfaces = to->interfaces.n,
                         .routes = to->routes.n,
                         .hops = to->hops.n};
}

static void take_back(struct counted_space *space, struct counting *to, const struct ends *ends)
{
    to->counters.n = ends->counters;
    to->interfaces.n = ends->interfaces;
    to->routes.n = ends->routes;
    to->hops.n = ends->hops;
    forget(space, COUNTED_ALL);
}

/* Of what goes wrong nothing is told: the next reading tells the namespace in full. */
static void tell_share(struct counting_state *state, struct counted_space *space,
                       struct counted_netns one, struct counted_tables *tables)
{
    struct counting *to = state->to;
    struct ends ends = ends_of(to);
    int r = tell(state, space, one.again, tables);

    one.lacks = (uint8_t)tables->lacks;
    note_told(space, &one);
    if (r < 0) {
        take_back(space, to, &ends);
        one.lacks = (uint8_t)COUNTED_ALL;
    }
    one.n_counters = (uint32_t)(to->counters.n - ends.counters);
    one.n_interfaces = (uint32_t)(to->interfaces.n - ends.interfaces);
    one.n_routes = (uint32_t)(to->routes.n - ends.routes);
    if (one.again && (r < 0 || (!one.full && one.n_interfaces + one.n_routes == 0)))
        return;
    if (vec_push(&to->netns, one) < 0)
        take_back(space, to, &ends);
}

void counting_read(struct counting_state *state, const struct source *source, uint32_t netns)
{
    struct counted_tables tables = {0};
    struct counted_netns one = {.netns = netns, .again = !state->in_turn};
    struct counted_space *space =
        state->to && source->ops->counters ? find_space(state, netns) : NULL;

    if (!space)
        return;
    /* asked before they are read: what changes meanwhile is told the next time */
    if (source->ops->tables_changed && source->ops->tables_changed(source->ctx))
        space->changed = true;
    if (one.again && !is_due(state, space))
        return;
    if (state->full)
        forget(space, COUNTED_ALL);
    one.full = (uint8_t)((one.again ? COUNTED_TABLES : COUNTED_ALL) & ~space->told);
    if (!one.again) {
        state->to->taken = true;
        space->seen = true;
        source->ops->counters(source->ctx, COUNTED_COUNTERS, &tables);
    }
    read_tables(state, source, space, &tables);
    if (!one.again || !tables.lacks)
        tell_share(state, space, one, &tables);
    counted_tables_finish(&tables);
}
