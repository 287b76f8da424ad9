/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "connhist/store/file.h"
#include "format.h"
#include "reader.h"
#include "sql.h"

#define BUSY_TIMEOUT_MS 2000
#define PROGRESS_STEPS  10000      /* of SQLite's machine between two looks at the clock */
#define VALUE_MAX_BYTES (64 << 20) /* longest text or blob that a statement may make */

/* The last part of path is cut off until what is left may be looked at. */
static void name_who_may_read(const char *path, char *ret, size_t size)
{
    char place[PATH_MAX], buf[8192];
    struct group entry, *found = NULL;
    struct stat st;
    char *slash;

    *ret = '\0';
    if ((size_t)snprintf(place, sizeof(place), "%s", path) >= sizeof(place))
        return;
    while (stat(place, &st) < 0) {
        slash = strrchr(place, '/');
        if (!slash || slash == place)
            return;
        *slash = '\0';
    }
    if (st.st_gid == 0 || !(st.st_mode & S_IRGRP))
        snprintf(ret, size, "user %u and root may read it", (unsigned)st.st_uid);
    else if (getgrgid_r(st.st_gid, &entry, buf, sizeof(buf), &found) == 0 && found)
        snprintf(ret, size, "members of group %s may read it", found->gr_name);
    else
        snprintf(ret, size, "members of group %u may read it", (unsigned)st.st_gid);
}

static int look_at_path(const char *path, struct err *err)
{
    char who[128];
    struct stat st;
    int r = stat(path, &st) < 0 ? -errno : 0;

    if (r == -ENOENT || r == -ENOTDIR)
        return err_set(err, -ENOENT,
                       "there is no file %s: connhistd makes it when it records (see connhistd(8))",
                       path);
    if (r == 0 && S_ISDIR(st.st_mode))
        return err_set(err, -EMEDIUMTYPE, "%s is a folder, not a file", path);
    if (r == 0 && !S_ISREG(st.st_mode))
        return err_set(err, -EMEDIUMTYPE, "%s is not a regular file", path);
    if (r == 0 && st.st_size == 0)
        return err_set(err, -EMEDIUMTYPE, "%s is empty: nothing was ever recorded in it", path);
    if (r == 0 && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) < 0)
        r = -errno;
    if (r == -EACCES) {
        name_who_may_read(path, who, sizeof(who));
        return err_set(err, r, "%s is not readable for you: %s", path,
                       *who ? who : "permission denied");
    }
    return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int check_deadline(void *arg)
{
    struct db *db = arg;

    if (!db->deadline_ns || now_ns() < db->deadline_ns)
        return 0;
    db->late = true;
    return 1;
}

void db_set_deadline(struct db *db, int64_t boottime_ns)
{
    db->deadline_ns = boottime_ns;
    db->late = false;
    sqlite3_progress_handler(db->db, boottime_ns ? PROGRESS_STEPS : 0,
                             boottime_ns ? check_deadline : NULL, db);
}

void db_set_limit(struct db *db, int64_t limit_ns)
{
    db->limit_ns = limit_ns;
    if (!limit_ns)
        db_set_deadline(db, 0);
}

void reader_start_limit(struct db *db)
{
    db_set_deadline(db, now_ns() + db->limit_ns);
}

/* An own file or a foreign one: both must not be able to make us do more than read. */
static int configure(struct db *db, struct err *err)
{
    int r;

    sqlite3_busy_timeout(db->db, BUSY_TIMEOUT_MS);
    sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_limit(db->db, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
    sqlite3_limit(db->db, SQLITE_LIMIT_ATTACHED, 0);
    r = sql_exec(db->db, "PRAGMA query_only = ON", err);
    if (r >= 0)
        r = functions_register(db->db, err);
    if (r < 0)
        return r;
    sqlite3_set_authorizer(db->db, user_sql_authorize, db);
    return 0;
}

static int connect_plain(struct db *db, struct err *err)
{
    int rc = sql_open_file(
        db->path, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, &db->db);

    return rc == SQLITE_OK ? configure(db, err) : sql_fail(db->db, rc, err);
}

/* Room for "file:PATH?immutable=1" with all of PATH escaped. */
#define URI_MAX (3 * PATH_MAX + 32)

/* What is special in a URI must be escaped in the path. */
static int immutable_uri(const char *path, char ret[static URI_MAX])
{
    char real[PATH_MAX];
    size_t n;

    if (!realpath(path, real))
        return -errno;
    n = (size_t)snprintf(ret, URI_MAX, "file:");
    for (const char *p = real; *p; p++)
        n += (size_t)snprintf(ret + n, URI_MAX - n, strchr("%?#", *p) ? "%%%02X" : "%c",
                              (unsigned char)*p);
    snprintf(ret + n, URI_MAX - n, "?immutable=1");
    return 0;
}

static int connect_immutable(struct db *db, struct err *err)
{
    const int flags =
        SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
    char uri[URI_MAX];
    int rc, r = immutable_uri(db->path, uri);

    if (r < 0)
        return err_errno(err, r, "%s", db->path);
    sqlite3_close_v2(db->db);
    db->db = NULL;
    rc = sqlite3_open_v2(uri, &db->db, flags, NULL);
    return rc == SQLITE_OK ? configure(db, err) : sql_fail(db->db, rc, err);
}

/* A copy on a medium that can't be written has all in the database itself if there is no -wal, or
 * an empty one. A recorder that runs, starts, or may do so for all we know would change it under us. */
static bool may_be_immutable(const char *path)
{
    char wal[PATH_MAX];
    struct stat st;

    if ((size_t)snprintf(wal, sizeof(wal), "%s-wal", path) >= sizeof(wal))
        return false;
    return (stat(wal, &st) < 0 ? errno == ENOENT : st.st_size == 0) && file_recorder_pid(path) == 0;
}

static bool lacks_permission(int code)
{
    return code == -EACCES || code == -EROFS || code == -ENOENT || code == -EPERM;
}

static int connect_and_check(struct db *db, struct err *err)
{
    int edition = 0, r = connect_plain(db, err);

    if (r >= 0)
        r = format_check(db->db, &edition, err);
    if (lacks_permission(r) && may_be_immutable(db->path)) {
        r = connect_immutable(db, err);
        if (r >= 0)
            r = format_check(db->db, &edition, err);
    }
    if (lacks_permission(r))
        return err_prefix(
            err, -EACCES,
            "%s has a -wal that can't be read without writing to its folder (copy the "
            "file with its -wal to a folder of yours)",
            db->path);
    if (r >= 0 && edition == 0)
        return err_set(err, -EMEDIUMTYPE, "%s is empty: nothing was ever recorded in it", db->path);
    if (r >= 0)
        db->edition = edition;
    return r;
}

int db_open(const char *path, struct db **ret, struct err *err)
{
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    int r = look_at_path(path, err);

    if (r < 0)
        return r;
    db = calloc(1, sizeof(*db));
    if (!db || !(db->path = strdup(path)))
        return err_errno(err, -ENOMEM, "%s", path);
    r = connect_and_check(db, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(db);
    return 0;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    sqlite3_close_v2(db->db);
    free(db->path);
    free(db);
}
