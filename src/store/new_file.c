/* SPDX-License-Identifier: MIT */
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "modes.h"
#include "sql.h"

/* Nothing of it is needed until it is complete: it is written without a journal and synced at the end.
 * auto_vacuum must come first. */
static const char settings_sql[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                                   "PRAGMA main.journal_mode = OFF;"
                                   "PRAGMA synchronous = OFF;"
                                   "PRAGMA cache_size = -65536;"
                                   "PRAGMA temp_store = FILE;"
                                   "PRAGMA foreign_keys = OFF;"
                                   "PRAGMA trusted_schema = OFF;";

static int make(struct new_file *file, struct err *err)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
    int fd, rc;

    if (faccessat(AT_FDCWD, file->path, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, -EEXIST, "%s is there already: name a new file", file->path);
    fd = open(file->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE_FILE);
    if (fd < 0)
        return err_errno(err, -errno, "making %s", file->partial);
    close(fd);
    rc = sql_open_file(file->partial, flags, &file->db);
    return rc == SQLITE_OK ? sql_exec(file->db, settings_sql, err) : sql_fail(file->db, rc, err);
}

int new_file_open(const char *path, struct new_file **ret, struct err *err)
{
    _cleanup_(cleanup_new_file_free) struct new_file *file = calloc(1, sizeof(*file));
    int r;

    if (!file || !(file->path = strdup(path)) ||
        asprintf(&file->partial, "%s.partial-%d", path, (int)getpid()) < 0) {
        if (file)
            file->partial = NULL; /* asprintf() leaves it undefined */
        return err_errno(err, -ENOMEM, "%s", path);
    }
    r = make(file, err);
    if (r < 0) {
        if (r == -EEXIST || !file->db) { /* not ours to remove */
            free(file->partial);
            file->partial = NULL;
        }
        return r;
    }
    *ret = TAKE_PTR(file);
    return 0;
}

int new_file_format(struct new_file *file, int edition, struct err *err)
{
    return format_make(file->db, edition, err);
}

static int sync_and_name(struct new_file *file, struct err *err)
{
    _cleanup_close_ int fd = open(file->partial, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return err_errno(err, -errno, "%s", file->partial);
    if (renameat2(AT_FDCWD, file->partial, AT_FDCWD, file->path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST)
        return err_set(err, -EEXIST, "%s is there already: name a new file", file->path);
    /* a file system that can't refuse to replace: a second name does */
    if (errno == EINVAL && link(file->partial, file->path) == 0)
        return unlink(file->partial) < 0 ? err_errno(err, -errno, "%s", file->partial) : 0;
    return err_errno(err, -errno, "naming %s", file->path);
}

int new_file_finish(struct new_file *file, struct err *err)
{
    /* one file on its own, that can be read without a folder to write to */
    int r = sql_exec(file->db, "PRAGMA main.journal_mode = DELETE", err);
    int rc;

    if (r < 0)
        return r;
    rc = sqlite3_close(file->db);
    if (rc != SQLITE_OK)
        return sql_fail(file->db, rc, err);
    file->db = NULL;
    r = sync_and_name(file, err);
    if (r < 0)
        return r;
    free(file->partial);
    file->partial = NULL;
    return 0;
}

void new_file_free(struct new_file *file)
{
    if (!file)
        return;
    sqlite3_close_v2(file->db);
    if (file->partial)
        unlink(file->partial);
    free(file->partial);
    free(file->path);
    free(file);
}
