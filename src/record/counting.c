/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "counting_tell.h"

#define NUMBERS_A_MS 65536

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
        r = counting_tell_counter(state, space, &tables->counters.items[i], NULL);
    state->named |= r == 0 && !(tables->lacks & COUNTED_LACKS_COUNTERS);
    if (r == 0 && !(tables->lacks & COUNTED_LACKS_INTERFACES))
        r = counting_tell_interfaces(state, space, &tables->interfaces);
    if (r == 0 && !(tables->lacks & COUNTED_LACKS_ROUTES))
        r = counting_tell_routes(state, space, &tables->routes);
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
