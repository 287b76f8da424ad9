/* SPDX-License-Identifier: MIT */
#include "connhist/model/counting.h"

#define WRAP (INT64_C(1) << 32)

void counted_tables_finish(struct counted_tables *tables)
{
    counter_table_finish(&tables->counters);
    interface_list_finish(&tables->interfaces);
    route_table_finish(&tables->routes);
}

enum counter_turn counter_growth(int64_t before, int64_t now, int long_bits, int64_t *ret)
{
    if (now >= before) {
        if (__builtin_sub_overflow(now, before, ret))
            *ret = INT64_MAX;
        return COUNTER_WENT_ON;
    }
    /* one that fell from the lower half began anew, whatever its width */
    if (long_bits == 32 && before < WRAP && before >= WRAP / 2 && now >= 0) {
        *ret = now + WRAP - before;
        return COUNTER_WRAPPED;
    }
    *ret = now > 0 ? now : 0;
    return COUNTER_RESET;
}

void counting_finish(struct counting *counting)
{
    vec_finish(&counting->netns);
    vec_finish(&counting->counters);
    vec_finish(&counting->interfaces);
    vec_finish(&counting->routes);
    vec_finish(&counting->hops);
}

size_t counting_bytes(const struct counting *counting)
{
    return counting->netns.capacity * sizeof(struct counted_netns) +
           counting->counters.capacity * sizeof(struct counter_change) +
           counting->interfaces.capacity * sizeof(struct interface_change) +
           counting->routes.capacity * sizeof(struct route_change) +
           counting->hops.capacity * sizeof(struct route_hop);
}
