/* SPDX-License-Identifier: MIT */
#include "users.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "connhist/base/cleanup.h"

#define ENTRY_BYTES 16384

void users_finish(struct users *users)
{
    for (size_t i = 0; i < users->n; i++)
        free(users->items[i].name);
    vec_finish(users);
}

static char *look_up(uint32_t uid)
{
    _cleanup_free_ char *buf = malloc(ENTRY_BYTES);
    struct passwd entry, *found = NULL;

    if (!buf || getpwuid_r(uid, &entry, buf, ENTRY_BYTES, &found) != 0 || !found)
        return NULL;
    return strdup(found->pw_name);
}

/* The place of a uid, or where it is to be put. */
static size_t place_of(const struct users *users, uint32_t uid)
{
    size_t low = 0, high = users->n;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (users->items[middle].uid < uid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const char *users_name(struct users *users, int64_t uid)
{
    size_t i;

    if (uid < 0 || uid >= UINT32_MAX)
        return NULL;
    i = place_of(users, (uint32_t)uid);
    if (i == users->n || users->items[i].uid != uid) {
        if (vec_reserve(users, 1) < 0)
            return NULL;
        memmove(&users->items[i + 1], &users->items[i], (users->n - i) * sizeof(users->items[0]));
        users->items[i] = (struct known_user){(uint32_t)uid, look_up((uint32_t)uid)};
        users->n++;
    }
    return users->items[i].name;
}
