/* SPDX-License-Identifier: MIT */
/* Interfaces of containers come and go, each by a name of its own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "counting.h"

#define PREFIX     "interface."
#define TIDY_NAMES (COUNTED_NAMES_MAX / 2)
#define TIDY_PACE  (COUNTED_NAMES_MAX / 8) /* new ones from one time to the next */
#define NONE       UINT32_MAX

/* Names of the interfaces that were counted last. */
struct present {
    VEC_FIELDS(const char *);
};

static void finish_present(struct present *present)
{
    vec_finish(present);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_present(const struct counting_state *state, struct present *ret)
{
    for (size_t i = 0; i < state->spaces.n; i++) {
        const struct counted_space *space = state->spaces.items[i];

        for (size_t j = 0; j < space->counted.n; j++)
            if (vec_push(ret, space->counted.items[j].name) < 0)
                return -1;
    }
    if (ret->n)
        qsort(ret->items, ret->n, sizeof(*ret->items), compare);
    return 0;
}

/* The name of an interface may have dots in it, that of its counter has none. */
static bool is_used(const struct present *present, const char *name)
{
    char interface[COUNTER_NAME_MAX];
    const char *key = interface;
    char *dot;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return true;
    snprintf(interface, sizeof(interface), "%s", name + strlen(PREFIX));
    dot = strrchr(interface, '.');
    if (dot)
        *dot = '\0';
    return present->n && bsearch(&key, present->items, present->n, sizeof(key), compare);
}

/* No value gets a greater number than it had. */
static void move_values(struct counted_space *space, const uint32_t *numbers)
{
    size_t kept = 0;

    for (size_t i = 0; i < space->values.n; i++)
        if (numbers[i] != NONE) {
            space->values.items[numbers[i]] = space->values.items[i];
            kept = numbers[i] + 1;
        }
    space->values.n = kept;
}

void counting_tidy_names(struct counting_state *state)
{
    size_t n = state->names.n, kept = 0;
    _cleanup_(finish_present) struct present present = {0};
    _cleanup_free_ uint32_t *numbers = NULL; /* new ones by old ones */
    uint32_t next = 0;

    if (n < TIDY_NAMES || n < state->tidied + TIDY_PACE)
        return;
    numbers = reallocarray(NULL, n, sizeof(*numbers));
    if (!numbers || find_present(state, &present) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        numbers[state->names.items[i].number] =
            is_used(&present, state->names.items[i].name) ? 0 : NONE;
    for (size_t i = 0; i < n; i++)
        if (numbers[i] != NONE)
            numbers[i] = next++;
    for (size_t i = 0; i < state->spaces.n; i++)
        move_values(state->spaces.items[i], numbers);
    for (size_t i = 0; i < n; i++) {
        struct counted_name name = state->names.items[i];

        if (numbers[name.number] == NONE)
            continue;
        name.number = numbers[name.number];
        state->names.items[kept++] = name;
    }
    state->names.n = state->tidied = kept;
}
