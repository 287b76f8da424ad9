/* SPDX-License-Identifier: MIT */
#include "connhist/model/owner.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/state.h"

static bool is_after_close(unsigned state)
{
    return state == STATE_FIN_WAIT1 || state == STATE_FIN_WAIT2 || state == STATE_CLOSING ||
           state == STATE_LAST_ACK || state == STATE_TIME_WAIT;
}

const char *owner_source_name(unsigned source, unsigned state)
{
    switch (source) {
    case OWNER_BY_INODE:
        return is_after_close(state) ? "cookie" : "inode";
    case OWNER_BY_LISTENER:
        return "listener";
    case OWNER_BY_CGROUP:
        return "cgroup";
    case OWNER_IS_KERNEL:
        return "kernel";
    default:
        return "unknown";
    }
}

bool owner_same_program(const struct owner *a, const struct owner *b)
{
    return a->uid == b->uid && strcmp(a->comm, b->comm) == 0 && strcmp(a->exe, b->exe) == 0 &&
           strcmp(a->unit, b->unit) == 0 && strcmp(a->container, b->container) == 0 &&
           strcmp(a->cgroup, b->cgroup) == 0;
}

static bool is_of_program(const struct owner *owner, const struct owner *other)
{
    return strcmp(owner->exe, other->exe) == 0 && strcmp(owner->cgroup, other->cgroup) == 0 &&
           strcmp(owner->container, other->container) == 0 &&
           (*owner->exe || strcmp(owner->comm, other->comm) == 0);
}

static bool is_manager(const struct owner *owner)
{
    const char *name = strrchr(owner->cgroup, '/');

    return name && strcmp(name, "/init.scope") == 0;
}

bool owner_want_is_mixed(const struct owner_want *want)
{
    for (uint32_t i = 0; i < want->n_others; i++)
        if (!is_manager(&want->others[i]) && !is_of_program(want->owner, &want->others[i]))
            return true;
    return false;
}

int owner_copy(const struct owner *owner, struct owner *ret)
{
    const char *const from[] = {owner->comm, owner->exe, owner->unit, owner->container,
                                owner->cgroup};
    struct owner copy = *owner;
    const char **const to[] = {&copy.comm, &copy.exe, &copy.unit, &copy.container, &copy.cgroup};
    size_t n = 0;
    char *at;

    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
        n += strlen(from[i]) + 1;
    at = malloc(n);
    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        size_t bytes = strlen(from[i]) + 1;

        *to[i] = memcpy(at, from[i], bytes);
        at += bytes;
    }
    *ret = copy;
    return 0;
}

void owner_finish(struct owner *copy)
{
    free((void *)copy->comm); /* the first of the strings: all of them */
    *copy = (struct owner){0};
}
