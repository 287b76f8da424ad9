/* SPDX-License-Identifier: MIT */
/* How namespaces are called, and which are wanted. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "spaces.h"

/* The file's name, cut to what fits without cutting a character in two. */
void spaces_name_it(struct netns_ref *ref, const struct netns_found *found)
{
    size_t n = strlen(found->file);

    if (found->sign == NETNS_BY_PROCESS) {
        if (!*ref->name)
            snprintf(ref->name, sizeof(ref->name), "net:[%" PRIu64 "]", found->inode);
        return; /* one that it had as a bind mount stays */
    }
    if (n >= sizeof(ref->name))
        for (n = sizeof(ref->name) - 1; n > 0 && ((unsigned char)found->file[n] & 0xc0) == 0x80;)
            n--;
    memcpy(ref->name, found->file, n);
    ref->name[n] = '\0';
}

static bool matches(const struct netns_ref *ref, const char *const *patterns, size_t n)
{
    char inode[32];

    snprintf(inode, sizeof(inode), "inode:%" PRIu64, ref->inode);
    for (size_t i = 0; i < n; i++) {
        bool is_number = strncmp(patterns[i], "inode:", 6) == 0;

        if (fnmatch(patterns[i], is_number ? inode : ref->name, 0) == 0)
            return true;
    }
    return false;
}

bool spaces_is_wanted(const struct spaces *spaces, const struct netns_ref *ref)
{
    return matches(ref, spaces->options.include, spaces->options.n_include) &&
           !matches(ref, spaces->options.exclude, spaces->options.n_exclude);
}
