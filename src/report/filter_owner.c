/* SPDX-License-Identifier: MIT */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "connhist/model/owner.h"
#include "connhist/report/filter.h"

#define UNIT_MAX 512

bool filter_by_owner(const struct filter *filter)
{
    return filter->pid || filter->process || filter->unit || filter->container;
}

/* The whole text, with wildcards. */
static bool is_like(const char *pattern, const char *text)
{
    return *text && (strcmp(pattern, text) == 0 || fnmatch(pattern, text, 0) == 0);
}

static bool is_process(const char *wanted, const struct owner *owner)
{
    const char *slash = strrchr(owner->exe, '/');

    if (strchr(wanted, '/'))
        return is_like(wanted, owner->exe);
    return is_like(wanted, owner->comm) || is_like(wanted, slash ? slash + 1 : owner->exe);
}

/* As in systemctl(1), a name without a suffix is a service's. */
static bool is_unit(const char *wanted, const char *unit)
{
    char service[UNIT_MAX];
    int n;

    if (is_like(wanted, unit))
        return true;
    if (strchr(wanted, '.'))
        return false;
    n = snprintf(service, sizeof(service), "%s.service", wanted);
    return n > 0 && (size_t)n < sizeof(service) && is_like(service, unit);
}

/* How its id begins, or "KIND:" and how it begins: a part of a kind alone would be any container. */
static bool is_container(const char *wanted, const char *container)
{
    const char *colon = strchr(container, ':');
    size_t n = strlen(wanted);

    if (!colon)
        return false;
    return strncmp(wanted, colon + 1, n) == 0 ||
           (strchr(wanted, ':') && strncmp(wanted, container, n) == 0);
}

bool filter_owner(const struct filter *filter, const struct owner *owner)
{
    if (!filter_by_owner(filter))
        return true;
    return owner && (!filter->pid || filter->pid == owner->pid) &&
           (!filter->process || is_process(filter->process, owner)) &&
           (!filter->unit || is_unit(filter->unit, owner->unit)) &&
           (!filter->container || is_container(filter->container, owner->container));
}
