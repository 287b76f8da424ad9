/* SPDX-License-Identifier: MIT */
/* Counters, as they are told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "counting_tell.h"

int counting_find_value(struct counting_state *state, struct counted_space *space, const char *name,
                        size_t most, int64_t **ret)
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

        if (state->names.n >= most)
            return -ENOSPC;
        if (vec_reserve(&state->names, 1) < 0)
            return -ENOMEM;
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
            return -ENOMEM;
        memset(space->values.items + space->values.n, 0, more * sizeof(int64_t));
        space->values.n += more;
    }
    *ret = &space->values.items[number];
    return 0;
}

int counting_tell_counter(struct counting_state *state, struct counted_space *space,
                          const struct counter *counter, const struct counted_before *before)
{
    size_t n_names = state->names.n;
    bool is_told = space->told & COUNTED_COUNTERS;
    int64_t *value = NULL;
    int r = counting_find_value(state, space, counter->name,
                                counter->protocol ? COUNTED_NAMES_MAX : COUNTED_LINKS_MAX, &value);
    struct counter_change change = {.value = counter->value,
                                    .place = counter->place,
                                    .protocol = counter->protocol,
                                    .kind = counter->kind,
                                    .turn = COUNTER_FIRST};

    if (r < 0) {
        state->to->left_out += r == -ENOSPC;
        return r == -ENOSPC ? 0 : r;
    }
    if (*value == counter->value && !(before && counter->value)) {
        if (counter->value || !counter->protocol || (state->named && state->names.n == n_names))
            return 0;
        change.named = true;
    }
    if (change.named || (is_told && counter->kind == COUNTER_GAUGE))
        change.turn = COUNTER_WENT_ON;
    else if (is_told)
        change.turn = (uint8_t)counter_growth(before ? before->value : *value, counter->value,
                                              state->long_bits, &change.grew);
    if (before && before->is_first && change.turn == COUNTER_WENT_ON)
        change.turn = COUNTER_FIRST;
    change.before = *value;
    *value = counter->value;
    snprintf(change.name, sizeof(change.name), "%s", counter->name);
    return vec_push(&state->to->counters, change);
}
