/* SPDX-License-Identifier: MIT */
/* Who may read the file: modes and group of database, -wal, -shm and lock file, whatever the umask.
 */
#pragma once

#include <sys/types.h>

#include "connhist/base/err.h"

#define MODE_FILE   0640
#define MODE_FOLDER 02750

#define GID_UNCHANGED ((gid_t)-1)

/* The group of that number or name, or GID_UNCHANGED for NULL. -EINVAL: there is no such group. */
int modes_find_group(const char *name, gid_t *ret, struct err *err);

/* Makes the folder of path, and those above it, if missing. */
int modes_make_folder(const char *path, gid_t gid, struct err *err);

/* Sets mode and group of path and of its companions that exist. gid GID_UNCHANGED: the folder's,
 * as far as that is allowed. */
int modes_set(const char *path, gid_t gid, struct err *err);
