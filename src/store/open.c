/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "format.h"
#include "lock.h"
#include "modes.h"
#include "sql.h"
#include "writer.h"

/* auto_vacuum must come before the first page is written. The cache is small, since the recorder
 * has 8 MiB in all; what a large transaction needs beyond it goes to the -wal early. */
static const char settings_sql[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                                   "PRAGMA secure_delete = OFF;"
                                   "PRAGMA cache_size = -1024;"
                                   "PRAGMA foreign_keys = OFF;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA trusted_schema = OFF;";

/* Checkpoints are budget.c's. */
static const char wal_settings_sql[] = "PRAGMA synchronous = NORMAL;"
                                       "PRAGMA journal_size_limit = 4194304;";

static int use_wal(sqlite3 *db, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, "PRAGMA journal_mode = WAL", &stmt, err);
    const char *mode;

    if (r < 0)
        return r;
    r = sql_step(stmt, err);
    if (r < 0)
        return r;
    mode = r ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (!mode || strcmp(mode, "wal") != 0)
        return err_set(err, -EOPNOTSUPP, "%s: its file system can't hold a write-ahead log",
                       sqlite3_db_filename(db, "main"));
    return sql_exec(db, wal_settings_sql, err);
}

static int prepare_file(struct store *store, struct err *err)
{
    int edition, r = format_check(store->db, &edition, err);

    if (r >= 0) /* the -wal takes over the database's mode, so this comes first */
        r = modes_set(store->path, store->gid, err);
    if (r >= 0)
        r = sql_exec(store->db, settings_sql, err);
    if (r >= 0)
        r = use_wal(store->db, err);
    if (r >= 0)
        r = format_migrate(store->db, edition, err);
    if (r >= 0) /* -wal and -shm are there now */
        r = modes_set(store->path, store->gid, err);
    return r;
}

static int open_database(struct store *store, const char *path, struct err *err)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sql_open_file(path, flags, &store->db);
    char *resolved;
    int on = 1;

    if (rc != SQLITE_OK)
        return sql_fail(store->db, rc, err);
    sqlite3_busy_timeout(store->db, WRITER_BUSY_MS);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* a file that is refused is left as it is, with its -wal; and readers without write permission
     * need -wal and -shm after our end, too */
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    resolved = strdup(sqlite3_db_filename(store->db, "main"));
    if (!resolved)
        return err_errno(err, -ENOMEM, "%s", path);
    free(store->path);
    store->path = resolved;
    return 0;
}

static int remember(const char *path, const char *suffix, int *fd, struct err *err)
{
    char name[PATH_MAX];
    int now;

    if (snprintf(name, sizeof(name), "%s%s", path, suffix) >= PATH_MAX)
        return err_errno(err, -ENAMETOOLONG, "%s", path);
    now = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (now < 0)
        return err_errno(err, -errno, "%s", name);
    if (*fd >= 0)
        close(*fd);
    *fd = now;
    return 0;
}

int writer_connect(struct store *store, const char *path, struct err *err)
{
    int r = open_database(store, path, err);

    if (r >= 0)
        r = prepare_file(store, err);
    if (r >= 0)
        r = remember(store->path, "", &store->db_fd, err);
    if (r >= 0)
        r = remember(store->path, "-wal", &store->wal_fd, err);
    if (r < 0) {
        writer_disconnect(store);
        return r;
    }
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    budget_connect(store);
    return 0;
}

void writer_disconnect(struct store *store)
{
    if (!store->db)
        return;
    for (size_t i = 0; i < STMT_COUNT; i++) {
        sqlite3_finalize(store->stmts[i]);
        store->stmts[i] = NULL;
    }
    orphans_abandon(store);
    sqlite3_close(store->db); /* checkpoints, if no reader is there */
    store->db = NULL;
    store->file_bytes = store->wal_bytes = 0;
    dictionary_forget(&store->dictionary);
    serials_forget(&store->serials);
    pauses_forget(&store->pauses);
    rollup_forget(&store->rollup);
    hours_forget(&store->hours);
}

/* What SQLite would complain about in words that don't help. */
static int look_at_path(const char *path, struct err *err)
{
    struct stat st, link;

    if (!*path)
        return err_set(err, -EINVAL, "the file's path is empty");
    if (stat(path, &st) < 0) {
        if (errno == ENOENT && lstat(path, &link) == 0)
            return err_set(err, -ENOENT, "%s is a symbolic link that leads nowhere", path);
        return errno == ENOENT ? 0 : err_errno(err, -errno, "%s", path);
    }
    if (S_ISDIR(st.st_mode))
        return err_set(err, -EISDIR, "%s is a folder, not a file", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s is not a regular file", path);
    /* neither the lock nor SQLite's -wal is shared between the names of one file */
    if (st.st_nlink > 1)
        return err_set(err, -EMLINK,
                       "%s has another name (a hard link): a second recorder could write to it "
                       "unseen; remove that name, or record into a copy",
                       path);
    return 0;
}

static int open_locked(struct store *store, const char *path, struct err *err)
{
    bool made;
    int r = lock_take(path, &store->lock_fd, &made, err);

    if (r < 0)
        return r;
    r = writer_connect(store, path, err);
    if (r < 0 && made) {
        lock_remove(path, store->lock_fd);
        store->lock_fd = -1;
    }
    return r;
}

int store_open(const struct store_options *options, struct store **ret, struct err *err)
{
    _cleanup_(cleanup_store_close) struct store *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return err_errno(err, -ENOMEM, "%s", options->path);
    store->lock_fd = store->db_fd = store->wal_fd = -1;
    serials_forget(&store->serials);
    r = dictionary_init(&store->dictionary);
    if (r < 0)
        return err_errno(err, r, "%s", options->path);
    r = modes_find_group(options->group, &store->gid, err);
    if (r >= 0)
        r = look_at_path(options->path, err);
    if (r >= 0)
        r = modes_make_folder(options->path, store->gid, err);
    if (r >= 0)
        r = open_locked(store, options->path, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(store);
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    writer_disconnect(store);
    dictionary_finish(&store->dictionary);
    lock_release(store->lock_fd);
    if (store->db_fd >= 0)
        close(store->db_fd);
    if (store->wal_fd >= 0)
        close(store->wal_fd);
    free(store->path);
    free(store);
}
