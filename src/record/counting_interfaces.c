/* SPDX-License-Identifier: MIT */
/* Interfaces and their statistics, as they are told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counting_tell.h"

#define INTERFACES_COUNTED 256 /* of a namespace, by their index */
#define APART_MAX          256

static void name_stat(const struct interface *interface, size_t i,
                      char ret[static COUNTER_NAME_MAX])
{
    snprintf(ret, COUNTER_NAME_MAX, "interface.%s.%s", interface->name, interface_stat_name(i));
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

static const struct interface *find_in(const struct interface *items, size_t n, uint32_t ifindex)
{
    const struct interface_list list = {.items = (struct interface *)items, .n = n};
    const struct interface *found = interface_list_find(&list, ifindex);

    return found && found->has_stats ? found : NULL;
}

static const struct counted_apart *find_apart(const struct counted_space *space, uint32_t ifindex)
{
    for (size_t i = space->apart.n; i > 0; i--)
        if (space->apart.items[i - 1].interface.ifindex == ifindex)
            return &space->apart.items[i - 1];
    return NULL;
}

static bool fell(const struct interface *was, const struct interface *now)
{
    for (size_t i = 0; i < INTERFACE_STATS; i++)
        if (interface_stat(&now->stats, i) < interface_stat(&was->stats, i))
            return true;
    return false;
}

/* Whether another one had the name: it counts from 0. */
static bool is_restarted(const struct counted_space *space, const struct interface *now)
{
    for (size_t i = 0; i < space->counted.n; i++)
        if (strcmp(space->counted.items[i].name, now->name) == 0)
            return space->counted.items[i].ifindex != now->ifindex;
    return false;
}

/* Where an interface stood that was not there at the last reading. One that another namespace had, or
 * that was one of too many, may have counted for long: nobody saw where it began. */
static struct counted_before stood(const struct interface *now, size_t i,
                                   const struct counted_apart *apart, int64_t value)
{
    struct counted_before before = {.value = interface_stat(&now->stats, i), .is_first = true};

    if (apart && !apart->met)
        return (struct counted_before){.value = interface_stat(&apart->interface.stats, i)};
    if (value == COUNTED_GONE)
        return (struct counted_before){.value = COUNTED_GONE};
    if (apart) {
        before.value = interface_stat(&apart->interface.stats, i);
        before.is_first = before.value != 0;
    }
    return before;
}

static int tell_stats_of(struct counting_state *state, struct counted_space *space,
                         const struct interface *now)
{
    const struct interface *was = find_in(space->counted.items, space->counted.n, now->ifindex);
    const struct counted_apart *apart = was ? NULL : find_apart(space, now->ifindex);
    bool is_known = was && strcmp(was->name, now->name) == 0;
    bool restarted = is_restarted(space, now);
    int r = 0;

    if (apart && fell(&apart->interface, now))
        apart = NULL;
    for (size_t i = 0; r == 0 && now->has_stats && i < INTERFACE_STATS; i++) {
        struct counter counter = {
            .value = interface_stat(&now->stats, i), .kind = COUNTER_TOTAL, .place = (uint16_t)i};
        struct counted_before before = {.value = COUNTED_GONE};
        int64_t *value = NULL;

        name_stat(now, i, counter.name);
        if (was)
            before.value = interface_stat(&was->stats, i);
        else
            r = counting_find_value(state, space, counter.name, COUNTED_LINKS_MAX, &value);
        if (!was && (!restarted || (apart && !apart->met)))
            before = stood(now, i, apart, value ? *value : 0);
        if (r == 0 || r == -ENOSPC) /* which is counted there */
            r = counting_tell_counter(state, space, &counter, is_known ? NULL : &before);
    }
    return r;
}

static bool has_name(const struct interface_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return true;
    return false;
}

/* Notes of names that nobody has any more that what has them next is another one, unless it is the same
 * that comes back. */
static void leave_names(struct counting_state *state, struct counted_space *space,
                        const struct interface_list *list)
{
    if (list->n > INTERFACES_COUNTED || list->n_left_out) /* it may be among those left out */
        return;
    for (size_t i = 0; i < space->counted.n; i++) {
        const struct interface *was = &space->counted.items[i];

        if (!was->has_stats || has_name(list, was->name))
            continue;
        for (size_t k = 0; k < INTERFACE_STATS; k++) {
            char name[COUNTER_NAME_MAX];
            int64_t *value;

            name_stat(was, k, name);
            if (counting_find_value(state, space, name, 0, &value) == 0 && *value)
                *value = COUNTED_GONE;
        }
    }
}

static size_t n_counted(const struct interface_list *list)
{
    return list->n < INTERFACES_COUNTED ? list->n : INTERFACES_COUNTED;
}

static int put_apart(struct counted_space *space, const struct interface *interface, bool met)
{
    struct counted_apart one = {.interface = *interface, .met = met};

    if (space->apart.n == APART_MAX)
        memmove(space->apart.items, space->apart.items + 1, --space->apart.n * sizeof(one));
    return vec_push(&space->apart, one);
}

int counting_meet(struct counted_space *space, const struct interface_list *list)
{
    int r = 0;

    for (size_t i = 0; i < n_counted(list) && r == 0; i++) {
        const struct interface *now = &list->items[i];

        if (now->has_stats && !find_in(space->counted.items, space->counted.n, now->ifindex) &&
            !find_apart(space, now->ifindex))
            r = put_apart(space, now, true);
    }
    return r;
}

/* Keeps of those apart the ones that left, and adds those that leave now. */
static int part(struct counted_space *space, const struct interface_list *list)
{
    size_t n = n_counted(list), kept = 0;
    int r = 0;

    for (size_t i = 0; i < space->apart.n; i++)
        if (!space->apart.items[i].met &&
            !find_in(list->items, n, space->apart.items[i].interface.ifindex))
            space->apart.items[kept++] = space->apart.items[i];
    space->apart.n = kept;
    for (size_t i = 0; i < space->counted.n && r == 0; i++)
        if (space->counted.items[i].has_stats &&
            !find_in(list->items, n, space->counted.items[i].ifindex))
            r = put_apart(space, &space->counted.items[i], false);
    return r;
}

int counting_tell_stats(struct counting_state *state, struct counted_space *space,
                        const struct interface_list *list)
{
    size_t n = n_counted(list);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = tell_stats_of(state, space, &list->items[i]);
    if (r == 0)
        r = part(space, list);
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
