/* SPDX-License-Identifier: MIT */
#include "sql.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>

int sql_open_file(const char *path, int flags, sqlite3 **ret)
{
    char name[PATH_MAX];
    const char *base = path[0] == '/' ? "" : "./";

    if ((size_t)snprintf(name, sizeof(name), "%s%s", base, path) >= sizeof(name))
        return SQLITE_TOOBIG;
    return sqlite3_open_v2(name, ret, flags, NULL);
}

/* SQLite tells some failures of system calls only by their kind; what the system said stands apart.
 */
static int system_errno(sqlite3 *db, int otherwise)
{
    int code = db ? sqlite3_system_errno(db) : 0;

    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return -ENOSPC;
    case EACCES:
    case EROFS:
    case ENOENT:
    case EMFILE:
    case ENFILE:
    case EISDIR:
    case ELOOP:
        return -code;
    default:
        return otherwise;
    }
}

int sql_errno(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return -EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_SHORT_READ || rc == SQLITE_IOERR_CORRUPTFS)
            return -EBADMSG; /* cut off */
        return (rc == SQLITE_IOERR_NOMEM) ? -ENOMEM : system_errno(db, -EIO);
    case SQLITE_CANTOPEN:
        return system_errno(db, -EACCES);
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_INTERRUPT:
        return -EINTR;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EPERM;
    case SQLITE_TOOBIG:
        return -E2BIG;
    default:
        return -EINVAL;
    }
}

int sql_fail(sqlite3 *db, int rc, struct err *err)
{
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    int code = sql_errno(db, rc);

    if (path && *path && code == -EBADMSG)
        return err_set(err, code,
                       "%s is damaged (%s): connhistd --repair saves what can still be read", path,
                       words);
    if (path && *path)
        return err_set(err, code, "%s: %s", path, words);
    return err_set(err, code, "%s", words);
}

int sql_exec(sqlite3 *db, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : sql_fail(db, rc, err);
}

int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

    if (rc != SQLITE_OK)
        return sql_fail(db, rc, err);
    *ret = stmt;
    return 0;
}

int sql_query_i64(sqlite3 *db, const char *sql, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    r = sql_step(stmt, err);
    if (r <= 0 || sqlite3_column_type(stmt, 0) == SQLITE_NULL)
        return r < 0 ? r : 0;
    *ret = sqlite3_column_int64(stmt, 0);
    return 1;
}

int sql_step(sqlite3_stmt *stmt, struct err *err)
{
    int rc = sqlite3_step(stmt), r;

    if (rc == SQLITE_ROW)
        return 1;
    r = rc == SQLITE_DONE ? 0 : sql_fail(sqlite3_db_handle(stmt), rc, err);
    sqlite3_reset(stmt);
    return r;
}

int sql_run(sqlite3_stmt *stmt, struct err *err)
{
    int r = sql_step(stmt, err);

    if (r > 0)
        sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

void sql_bind_values(sqlite3_stmt *stmt, const int64_t *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = sqlite3_bind_int64(stmt, (int)i + 1, values[i]);

        assert(rc == SQLITE_OK);
        (void)rc;
    }
}

int sql_bind_unless(sqlite3_stmt *stmt, int index, int64_t value, int64_t null)
{
    return value == null ? sqlite3_bind_null(stmt, index) : sqlite3_bind_int64(stmt, index, value);
}

int sql_bind_bytes(sqlite3_stmt *stmt, int index, const void *bytes, size_t n)
{
    return sqlite3_bind_blob64(stmt, index, bytes && n ? bytes : "", n, SQLITE_STATIC);
}

int sql_bind_string(sqlite3_stmt *stmt, int index, const char *text)
{
    return sqlite3_bind_text(stmt, index, text, -1, SQLITE_STATIC);
}
