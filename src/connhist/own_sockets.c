/* SPDX-License-Identifier: MIT */
#include "own_sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void own_sockets_finish(struct own_sockets *sockets)
{
    vec_finish(sockets);
}

int own_sockets_add(struct own_sockets *sockets)
{
    DIR *fds = opendir("/proc/self/fd");
    const struct dirent *entry;
    int r = 0;

    while (r == 0 && fds && (entry = readdir(fds))) {
        char target[64];
        ssize_t n = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

        if (n < 0)
            continue;
        target[n] = '\0';
        if (strncmp(target, "socket:[", 8) == 0)
            r = vec_push(sockets, (uint32_t)strtoul(target + 8, NULL, 10));
    }
    if (fds)
        closedir(fds);
    return r;
}

bool own_sockets_has(const struct own_sockets *sockets, uint32_t inode)
{
    for (size_t i = 0; i < sockets->n && inode; i++)
        if (sockets->items[i] == inode)
            return true;
    return false;
}
