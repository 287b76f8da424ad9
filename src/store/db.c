/* SPDX-License-Identifier: MIT */
#include "connhist/store/db.h"

#include <errno.h>
#include <stdlib.h>

#include "reader.h"
#include "sql.h"

_Static_assert((int)DB_INTEGER == SQLITE_INTEGER && (int)DB_FLOAT == SQLITE_FLOAT &&
                   (int)DB_TEXT == SQLITE_TEXT && (int)DB_BLOB == SQLITE_BLOB &&
                   (int)DB_NULL == SQLITE_NULL,
               "enum db_type has SQLite's numbers");

int reader_fail(struct db *db, int rc, struct err *err)
{
    int r = reader_fail_user(db, rc, err);

    if (r != -EINVAL)
        return r;
    err_prefix(err, r, "the file is not as this connhist expects it");
    err->code = -EPROTO;
    return -EPROTO;
}

int reader_fail_user(struct db *db, int rc, struct err *err)
{
    if ((rc & 0xff) == SQLITE_INTERRUPT && db->late)
        return err_set(err, -ETIMEDOUT, "it took too long and was given up");
    if ((rc & 0xff) == SQLITE_INTERRUPT)
        return err_set(err, -EINTR, "interrupted");
    return sql_fail(db->db, rc, err);
}

const char *db_path(const struct db *db)
{
    return db->path;
}

int db_edition(const struct db *db)
{
    return db->edition;
}

/* BEGIN alone doesn't look at the file yet. */
int db_begin(struct db *db, struct err *err)
{
    static const char sql[] = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1";
    int rc;

    if (db->limit_ns)
        reader_start_limit(db);
    rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : reader_fail(db, rc, err);
}

/* A statement that still stands on a row would keep the instant, and COMMIT only ends it at the
 * last one. Reading needs no commit that could fail. */
void db_end(struct db *db)
{
    for (sqlite3_stmt *s = sqlite3_next_stmt(db->db, NULL); s; s = sqlite3_next_stmt(db->db, s))
        sqlite3_reset(s);
    if (!sqlite3_get_autocommit(db->db))
        sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

void db_interrupt(struct db *db)
{
    sqlite3_interrupt(db->db);
}

int reader_wrap(struct db *db, sqlite3_stmt *stmt, struct stmt **ret, struct err *err)
{
    struct stmt *wrapped = calloc(1, sizeof(*wrapped));

    if (!wrapped) {
        sqlite3_finalize(stmt);
        return err_errno(err, -ENOMEM, "%s", db->path);
    }
    wrapped->db = db;
    wrapped->stmt = stmt;
    *ret = wrapped;
    return 0;
}

int db_prepare(struct db *db, const char *sql, struct stmt **ret, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db->db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK)
        return reader_fail(db, rc, err);
    return reader_wrap(db, stmt, ret, err);
}

void stmt_free(struct stmt *stmt)
{
    if (!stmt)
        return;
    stmt->db->vm_steps += stmt_vm_steps(stmt);
    sqlite3_finalize(stmt->stmt);
    free(stmt);
}

static void note_bind(struct stmt *stmt, int rc)
{
    if (stmt->bind_rc == SQLITE_OK)
        stmt->bind_rc = rc;
}

void stmt_bind_i64(struct stmt *stmt, int index, int64_t value)
{
    note_bind(stmt, sqlite3_bind_int64(stmt->stmt, index, value));
}

void stmt_bind_text(struct stmt *stmt, int index, const char *text)
{
    note_bind(stmt, sql_bind_string(stmt->stmt, index, text));
}

void stmt_bind_blob(struct stmt *stmt, int index, const void *bytes, size_t n)
{
    note_bind(stmt, sql_bind_bytes(stmt->stmt, index, bytes, n));
}

void stmt_bind_null(struct stmt *stmt, int index)
{
    note_bind(stmt, sqlite3_bind_null(stmt->stmt, index));
}

int stmt_step(struct stmt *stmt, struct err *err)
{
    int rc = stmt->bind_rc, r;

    if (rc == SQLITE_OK) {
        stmt->db->late = false;
        rc = sqlite3_step(stmt->stmt);
    }
    if (rc == SQLITE_ROW)
        return 1;
    r = 0;
    if (rc != SQLITE_DONE)
        r = stmt->user ? reader_fail_user(stmt->db, rc, err) : reader_fail(stmt->db, rc, err);
    stmt_reset(stmt);
    return r;
}

void stmt_reset(struct stmt *stmt)
{
    sqlite3_reset(stmt->stmt);
    stmt->bind_rc = SQLITE_OK;
}

int stmt_columns(struct stmt *stmt)
{
    return sqlite3_column_count(stmt->stmt);
}

const char *stmt_column_name(struct stmt *stmt, int column)
{
    const char *name = sqlite3_column_name(stmt->stmt, column);

    return name ? name : "";
}

enum db_type stmt_type(struct stmt *stmt, int column)
{
    return (enum db_type)sqlite3_column_type(stmt->stmt, column);
}

bool stmt_is_null(struct stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->stmt, column) == SQLITE_NULL;
}

int64_t stmt_i64(struct stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->stmt, column);
}

double stmt_double(struct stmt *stmt, int column)
{
    return sqlite3_column_double(stmt->stmt, column);
}

const char *stmt_text(struct stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt->stmt, column);

    return text ? (const char *)text : "";
}

const void *stmt_blob(struct stmt *stmt, int column, size_t *ret_n)
{
    const void *bytes = sqlite3_column_blob(stmt->stmt, column);

    *ret_n = (size_t)sqlite3_column_bytes(stmt->stmt, column);
    return bytes;
}

int64_t stmt_vm_steps(struct stmt *stmt)
{
    return sqlite3_stmt_status(stmt->stmt, SQLITE_STMTSTATUS_VM_STEP, 0);
}

int64_t db_vm_steps(const struct db *db)
{
    return db->vm_steps;
}
