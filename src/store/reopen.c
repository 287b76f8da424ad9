/* SPDX-License-Identifier: MIT */
/* When the file was removed, replaced or damaged under the recorder. Nothing is deleted that holds
 * anything. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lock.h"
#include "modes.h"
#include "sql.h"
#include "writer.h"

#define NAME_TRIES 100 /* names for one second */

static const char *const companions[] = {"", "-wal", "-shm"};

bool writer_same_file(int fd, const char *path)
{
    struct stat open, named;

    return fd >= 0 && fstat(fd, &open) == 0 && lstat(path, &named) == 0 &&
           open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

static bool has_wal_in_place(const struct store *store)
{
    char name[PATH_MAX];

    return snprintf(name, sizeof(name), "%s-wal", store->path) < PATH_MAX &&
           writer_same_file(store->wal_fd, name);
}

bool store_is_in_place(const struct store *store)
{
    return store->db && writer_same_file(store->db_fd, store->path) && has_wal_in_place(store);
}

void store_disconnect(struct store *store)
{
    if (!store->db)
        return;
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    writer_disconnect(store);
}

/* "PATH.WORD-YYYYMMDDTHHMMSS", with "-2" … behind it where that is taken, in memory that the caller
 * frees. */
static int find_name(const char *path, const char *word, char **ret, struct err *err)
{
    time_t now = time(NULL);
    char stamp[32];
    struct tm tm;
    struct stat st;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
    for (int i = 1; i <= NAME_TRIES; i++) {
        _cleanup_free_ char *name = NULL, *wal = NULL;
        char more[16] = "";

        if (i > 1)
            snprintf(more, sizeof(more), "-%d", i);
        if (asprintf(&name, "%s.%s-%s%s", path, word, stamp, more) < 0)
            name = NULL;
        if (!name || asprintf(&wal, "%s-wal", name) < 0)
            return err_errno(err, -ENOMEM, "%s", path);
        if (lstat(name, &st) < 0 && errno == ENOENT && lstat(wal, &st) < 0 && errno == ENOENT) {
            *ret = TAKE_PTR(name);
            return 0;
        }
    }
    return err_errno(err, -EEXIST, "a name to move %s to", path);
}

/* No such file is as good as moved. */
static int move(const char *path, const char *to, const char *suffix, struct err *err)
{
    char from_name[PATH_MAX], to_name[PATH_MAX];

    if (snprintf(from_name, sizeof(from_name), "%s%s", path, suffix) >= PATH_MAX ||
        snprintf(to_name, sizeof(to_name), "%s%s", to, suffix) >= PATH_MAX)
        return err_errno(err, -ENAMETOOLONG, "%s", to);
    if (rename(from_name, to_name) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "moving %s to %s", from_name, to_name);
    return 0;
}

/* The database first: if that fails, the file is whole where it was, and if what follows fails, the
 * leftovers are cleared away by store_reopen(). */
int store_set_aside(struct store *store, char **ret, struct err *err)
{
    _cleanup_free_ char *name = NULL;
    int r;

    store_disconnect(store);
    if (!writer_same_file(store->db_fd, store->path))
        return err_set(err, -ESTALE, "%s is another file by now", store->path);
    r = find_name(store->path, "damaged", &name, err);
    for (size_t i = 0; i < sizeof(companions) / sizeof(companions[0]) && r >= 0; i++)
        r = move(store->path, name, companions[i], err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(name);
    return 0;
}

/* Another database must not be read with the -wal of the one that was here. */
static int clear_leftovers(struct store *store, struct err *err)
{
    _cleanup_free_ char *name = NULL;
    char wal[PATH_MAX], shm[PATH_MAX];
    struct stat st;
    int r;

    if (!has_wal_in_place(store))
        return 0;
    if (snprintf(wal, sizeof(wal), "%s-wal", store->path) >= PATH_MAX ||
        snprintf(shm, sizeof(shm), "%s-shm", store->path) >= PATH_MAX)
        return err_errno(err, -ENAMETOOLONG, "%s", store->path);
    if (unlink(shm) < 0 && errno != ENOENT) /* an index of the -wal, made again when needed */
        return err_errno(err, -errno, "removing %s", shm);
    if (stat(wal, &st) == 0 && st.st_size == 0)
        return unlink(wal) < 0 ? err_errno(err, -errno, "removing %s", wal) : 0;
    r = find_name(store->path, "removed", &name, err);
    return r < 0 ? r : move(store->path, name, "-wal", err);
}

/* What was written last may be lost with a damaged -wal. */
static int find_recording(struct store *store, bool *ret, struct err *err)
{
    static const char sql[] = "SELECT 1 FROM recordings WHERE id = ?1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, store->recording);
    r = sql_step(stmt, err);
    *ret = r > 0;
    return r < 0 ? r : 0;
}

/* A file that became shorter was cut off, or somebody ran VACUUM on it; what its head lost may
 * still be in the -wal. This reads all of it. */
static int look_through(struct store *store, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    const char *words;
    bool sound;
    int r = sql_prepare(store->db, "PRAGMA quick_check(1)", &stmt, err);

    if (r >= 0)
        r = sql_step(stmt, err);
    if (r < 0)
        return r;
    words = r ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    sound = words && strcmp(words, "ok") == 0;
    sqlite3_reset(stmt);
    if (sound)
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (!sound || !writer_has_head(store))
        return err_set(err, -EBADMSG, "%s is damaged: it was cut off or written over", store->path);
    store->suspect = false;
    return 0;
}

static int keep_lock(struct store *store, struct err *err)
{
    int fd = -1, r;
    bool made;

    if (lock_is_in_place(store->path, store->lock_fd))
        return 0;
    r = lock_take(store->path, &fd, &made, err);
    if (r < 0)
        return r;
    lock_release(store->lock_fd);
    store->lock_fd = fd;
    return 0;
}

int store_reopen(struct store *store, bool *ret_same, struct err *err)
{
    bool same = writer_same_file(store->db_fd, store->path);
    _cleanup_free_ char *path = strdup(store->path);
    int r;

    if (!path)
        return err_errno(err, -ENOMEM, "%s", store->path);
    if (store->db) /* a -wal without a name is lost with the connection */
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    writer_disconnect(store);
    r = modes_make_folder(path, store->gid, err);
    if (r >= 0)
        r = keep_lock(store, err);
    if (r >= 0 && !same)
        r = clear_leftovers(store, err);
    if (r >= 0)
        r = writer_connect(store, path, err);
    if (r >= 0 && same && store->suspect)
        r = look_through(store, err);
    if (r >= 0 && same)
        r = find_recording(store, &same, err);
    if (r < 0) {
        store_disconnect(store);
        return r;
    }
    if (!same) {
        store->recording = 0;
        store->suspect = false;
    }
    *ret_same = same;
    return 0;
}
