/* SPDX-License-Identifier: MIT */
/* Interfaces and their statistics, as they are told. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "counting_tell.h"

#define INTERFACES_COUNTED 256 /* of a namespace, by their index */

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
static int tell_stats_of(struct counting_state *state, struct counted_space *space,
                         const struct interface *interface, const struct interface *was,
                         bool restarted)
{
    int r = 0;

    for (size_t i = 0; r == 0 && interface->has_stats && i < sizeof(stats) / sizeof(stats[0]);
         i++) {
        struct counter counter = {
            .value = stat_of(interface, i), .kind = COUNTER_TOTAL, .place = (uint16_t)i};
        int64_t before = was ? stat_of(was, i) : COUNTED_GONE;

        name_stat(interface, i, counter.name);
        r = counting_tell_counter(state, space, &counter, was || restarted ? &before : NULL);
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

/* The same interface, where it had another name when its statistics were read last; NULL. */
static const struct interface *find_renamed(const struct counted_space *space,
                                            const struct interface *now)
{
    for (size_t i = 0; i < space->counted.n; i++) {
        const struct interface *was = &space->counted.items[i];

        if (was->ifindex == now->ifindex)
            return was->has_stats && strcmp(was->name, now->name) != 0 ? was : NULL;
    }
    return NULL;
}

/* Whether another one had the name: it counts from 0. */
static bool is_restarted(const struct counted_space *space, const struct interface *now)
{
    for (size_t i = 0; i < space->counted.n; i++)
        if (strcmp(space->counted.items[i].name, now->name) == 0)
            return space->counted.items[i].ifindex != now->ifindex;
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
    for (size_t i = 0; i < space->counted.n; i++) {
        const struct interface *was = &space->counted.items[i];

        if (!was->has_stats || has_name(list, was->name))
            continue;
        for (size_t k = 0; k < sizeof(stats) / sizeof(stats[0]); k++) {
            char name[COUNTER_NAME_MAX];
            int64_t *value;

            name_stat(was, k, name);
            value = counting_find_value(state, space, name, 0);
            if (value && *value)
                *value = COUNTED_GONE;
        }
    }
}

static size_t n_counted(const struct interface_list *list)
{
    return list->n < INTERFACES_COUNTED ? list->n : INTERFACES_COUNTED;
}

int counting_tell_stats(struct counting_state *state, struct counted_space *space,
                        const struct interface_list *list)
{
    size_t n = n_counted(list);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = tell_stats_of(state, space, &list->items[i], find_renamed(space, &list->items[i]),
                          is_restarted(space, &list->items[i]));
    if (r < 0)
        return r;
    leave_names(state, space, list);
    vec_clear(&space->counted);
    for (size_t i = 0; i < n && r == 0; i++)
        r = vec_push(&space->counted, list->items[i]);
    return r;
}

int counting_tell_interfaces(struct counting_state *state, struct counted_space *space,
                             const struct interface_list *list)
{
    size_t n = n_counted(list), n_old = space->interfaces.n, old = 0;
    int r = 0;

    state->to->left_out += (uint32_t)(list->n - n + list->n_left_out);
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
