/* SPDX-License-Identifier: MIT */
/* Routes, as they are told. */
#include <errno.h>
#include <string.h>

#include "counting_tell.h"

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

int counting_tell_routes(struct counting_state *state, struct counted_space *space,
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
