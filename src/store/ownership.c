/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/file.h"

#define NEED_FILE   (S_IRUSR | S_IWUSR)
#define NEED_FOLDER (S_IWUSR | S_IXUSR)

static bool in_group(gid_t gid)
{
    _cleanup_free_ gid_t *groups = NULL;
    int n = getgroups(0, NULL);

    if (gid == getegid())
        return true;
    groups = n > 0 ? calloc((size_t)n, sizeof(*groups)) : NULL;
    n = groups ? getgroups(n, groups) : 0;
    for (int i = 0; i < n; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static bool is_own(const struct stat *st, mode_t need)
{
    return st->st_uid == geteuid() && in_group(st->st_gid) && (st->st_mode & need) == need;
}

/* The folder that path lies in, or the nearest above it that exists. */
static bool folder_is_own(const char *path)
{
    _cleanup_free_ char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    struct stat st;

    while (slash && slash != folder) {
        *slash = '\0';
        if (stat(folder, &st) == 0)
            return is_own(&st, NEED_FOLDER);
        slash = strrchr(folder, '/');
    }
    return folder && stat(slash ? "/" : ".", &st) == 0 && is_own(&st, NEED_FOLDER);
}

bool file_is_own(const char *path)
{
    static const char *const companions[] = {"", "-wal", "-shm", "-recorder"};
    _cleanup_free_ char *real = realpath(path, NULL);
    char name[PATH_MAX];
    struct stat st;

    if (!real && errno != ENOENT)
        return false;
    path = real ? real : path;
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]); i++) {
        if (snprintf(name, sizeof(name), "%s%s", path, companions[i]) >= PATH_MAX)
            return false;
        if (stat(name, &st) == 0 ? !is_own(&st, NEED_FILE) : errno != ENOENT)
            return false;
    }
    return folder_is_own(path);
}
