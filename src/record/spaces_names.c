/* SPDX-License-Identifier: MIT */
/* How namespaces are called, and which are wanted. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "spaces.h"

/* The file's name; one that is too long is cut without cutting a character in two, and has the number
 * behind it, so that two of them are not alike. */
static void name_by_file(struct netns_ref *ref, const struct netns_found *found)
{
    size_t n = strlen(found->file);
    char number[24] = "";

    if (n >= sizeof(ref->name)) {
        int digits = snprintf(number, sizeof(number), "~%" PRIu64, found->inode);

        n = sizeof(ref->name) - 1 - (size_t)digits;
        while (n > 0 && ((unsigned char)found->file[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(ref->name, found->file, n);
    snprintf(ref->name + n, sizeof(ref->name) - n, "%s", number);
}

void spaces_name_it(struct netns_ref *ref, const struct netns_found *found)
{
    if (found->sign != NETNS_BY_PROCESS)
        name_by_file(ref, found);
    else if (!*ref->name) /* one that it had as a bind mount stays */
        snprintf(ref->name, sizeof(ref->name), "net:[%" PRIu64 "]", found->inode);
}

bool spaces_is_taken(const struct netns_list *list, const struct netns_ref *ref)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->items[i].sign != NETNS_BY_PROCESS && list->items[i].inode != ref->inode &&
            strcmp(list->items[i].file, ref->name) == 0)
            return true;
    return false;
}

/* name: in full. */
static bool matches(const struct netns_ref *ref, const char *name, const char *const *patterns,
                    size_t n)
{
    char inode[32];

    snprintf(inode, sizeof(inode), "inode:%" PRIu64, ref->inode);
    for (size_t i = 0; i < n; i++) {
        bool is_number = strncmp(patterns[i], "inode:", 6) == 0;

        if (fnmatch(patterns[i], is_number ? inode : name, 0) == 0)
            return true;
    }
    return false;
}

bool spaces_is_wanted(const struct spaces *spaces, const struct netns_ref *ref,
                      const struct netns_found *found)
{
    const char *name = found->sign == NETNS_BY_PROCESS ? ref->name : found->file;

    return matches(ref, name, spaces->options.include, spaces->options.n_include) &&
           !matches(ref, name, spaces->options.exclude, spaces->options.n_exclude);
}

/* Of one that this run never held, by what shows it now. */
static enum netns_standing absence_of_other(const struct spaces *spaces,
                                            const struct netns_ref *netns)
{
    const struct netns_found *found = netns_in_list(&spaces->list, netns->inode);
    struct netns_ref ref = *netns;

    if (!spaces->may_search)
        return spaces->options.n_include ? NETNS_DENIED : NETNS_EXCLUDED;
    if (!found)
        return netns_list_is_whole(&spaces->list) ? NETNS_GONE : NETNS_UNSEEN;
    spaces_name_it(&ref, found);
    return spaces_is_wanted(spaces, &ref, found) ? NETNS_DENIED : NETNS_EXCLUDED;
}

enum netns_standing spaces_absence(const struct spaces *spaces, const struct netns_ref *netns)
{
    bool is_again = false;

    for (size_t i = 0; i < spaces->items.n; i++) {
        const struct space *space = spaces->items.items[i];

        if (space->ref.inode != netns->inode)
            continue;
        if (space->ref.cookie == netns->cookie)
            return space->leaving ? (enum netns_standing)space->standing : NETNS_RECORDED;
        is_again |= !space->leaving; /* its number was given to another */
    }
    return is_again ? NETNS_GONE : absence_of_other(spaces, netns);
}
