/* SPDX-License-Identifier: MIT */
#include "modes.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/store/file.h"

int modes_find_group(const char *name, gid_t *ret, struct err *err)
{
    struct group entry, *found = NULL;
    _cleanup_free_ char *buf = NULL;
    size_t size = 1024;
    uint64_t number;
    int r = ERANGE;

    if (!name) {
        *ret = GID_UNCHANGED;
        return 0;
    }
    /* (gid_t)-1 means "leave it" to the kernel; a group need not have a name */
    if (parse_u64(name, 0, (uint64_t)GID_UNCHANGED - 1, &number) == 0) {
        *ret = (gid_t)number;
        return 0;
    }
    for (; r == ERANGE && size <= 1 << 20; size *= 4) { /* groups can have many members */
        free(buf);
        buf = malloc(size);
        if (!buf)
            return err_errno(err, -ENOMEM, "looking up group %s", name);
        r = getgrnam_r(name, &entry, buf, size, &found);
    }
    if (!found)
        return r && r != ENOENT ? err_errno(err, -r, "looking up group %s", name)
                                : err_set(err, -EINVAL, "there is no group %s", name);
    *ret = entry.gr_gid;
    return 0;
}

int file_check_group(const char *name, struct err *err)
{
    gid_t unused;

    return modes_find_group(name, &unused, err);
}

/* The folder of path into buf. */
static int folder_of(const char *path, char buf[static PATH_MAX], struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = !slash ? 1 : slash == path ? 1 : (size_t)(slash - path);

    if (n >= PATH_MAX)
        return err_errno(err, -ENAMETOOLONG, "%s", path);
    memcpy(buf, slash ? path : ".", n);
    buf[n] = '\0';
    return 0;
}

static int make_one(const char *folder, mode_t mode, bool *ret_made, struct err *err)
{
    *ret_made = mkdir(folder, mode) == 0;
    if (!*ret_made && errno != EEXIST)
        return err_errno(err, -errno, "making the folder %s", folder);
    if (*ret_made && chmod(folder, mode) < 0) /* whatever the umask */
        return err_errno(err, -errno, "setting the mode of %s", folder);
    return 0;
}

int modes_make_folder(const char *path, gid_t gid, struct err *err)
{
    char folder[PATH_MAX];
    struct stat st;
    bool made = false;
    int r = folder_of(path, folder, err);

    if (r < 0 || stat(folder, &st) == 0)
        return r;
    if (errno != ENOENT)
        return err_errno(err, -errno, "%s", folder);
    for (char *p = strchr(folder + 1, '/'); p && r >= 0; p = strchr(p + 1, '/')) {
        *p = '\0';
        r = make_one(folder, 0755, &made, err);
        *p = '/';
    }
    if (r >= 0)
        r = make_one(folder, 0700, &made, err);
    if (r < 0 || !made)
        return r;
    if ((gid != GID_UNCHANGED && chown(folder, (uid_t)-1, gid) < 0) ||
        chmod(folder, MODE_FOLDER) < 0)
        return err_errno(err, -errno, "setting group and mode of %s", folder);
    return 0;
}

/* Through O_PATH: closing a real descriptor of the database would drop SQLite's locks of the whole
 * process, and a symbolic link in a folder of others must not lead elsewhere. */
static int set_one(const char *path, gid_t gid, bool required, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char proc[64];
    struct stat st;

    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, -errno, "%s", path);
    if (fstat(fd, &st) < 0)
        return err_errno(err, -errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s is not a regular file", path);
    if (st.st_gid != gid && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0 && required)
        return err_errno(err, -errno, "giving %s to group %u", path, (unsigned)gid);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if ((st.st_mode & 07777) != MODE_FILE && chmod(proc, MODE_FILE) < 0)
        return err_errno(err, -errno, "setting the mode of %s", path);
    return 0;
}

int modes_set(const char *path, gid_t gid, struct err *err)
{
    static const char *const companions[] = {"", "-wal", "-shm", "-recorder"};
    bool required = gid != GID_UNCHANGED;
    char name[PATH_MAX];
    struct stat st;
    int r = 0;

    if (!required) {
        r = folder_of(path, name, err);
        if (r < 0)
            return r;
        if (stat(name, &st) < 0)
            return err_errno(err, -errno, "%s", name);
        gid = st.st_gid;
    }
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]) && r >= 0; i++) {
        if (snprintf(name, sizeof(name), "%s%s", path, companions[i]) >= PATH_MAX)
            return err_errno(err, -ENAMETOOLONG, "%s", path);
        r = set_one(name, gid, required, err);
    }
    return r;
}
