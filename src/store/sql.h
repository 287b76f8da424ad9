/* SPDX-License-Identifier: MIT */
/* What the writer and the reader share of SQLite: errors as errno, statements in short. */
#pragma once

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"

DEFINE_CLEANUP(sqlite3 *, sqlite3_close_v2)
DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)

/* Opens the file of that very name: SQLite would take "file:..." for a URI and ":memory:" for no
 * file at all. *ret is to be closed also after a failure. SQLite's result code; SQLITE_TOOBIG: the
 * path is too long. */
int sql_open_file(const char *path, int flags, sqlite3 **ret);

/* The negative errno of the last failure on a connection; rc is what the call returned. */
int sql_errno(sqlite3 *db, int rc);

/* Sets err to the file's path and SQLite's words for the last failure; returns sql_errno(). */
int sql_fail(sqlite3 *db, int rc, struct err *err);

/* Runs statements that need no values. 0 or negative errno. */
int sql_exec(sqlite3 *db, const char *sql, struct err *err);

/* The first column of the first row. 1: there is one; 0: no row, or NULL (*ret untouched). */
int sql_query_i64(sqlite3 *db, const char *sql, int64_t *ret, struct err *err);

int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err);

/* Steps. 1: a row; 0: done. Resets the statement unless there is a row. */
int sql_step(sqlite3_stmt *stmt, struct err *err);

/* Steps a statement that is to give no rows. */
int sql_run(sqlite3_stmt *stmt, struct err *err);

/* Binds all values from index 1 on. An error shows when the statement runs: an index that is out of
 * range is our own bug. */
void sql_bind_values(sqlite3_stmt *stmt, const int64_t *values, size_t n);

#define SQL_BIND(stmt, ...)                                 \
    sql_bind_values((stmt), (const int64_t[]){__VA_ARGS__}, \
                    sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* NULL when value is `null`, else value. */
int sql_bind_unless(sqlite3_stmt *stmt, int index, int64_t value, int64_t null);

/* A blob that stays as long as the statement needs it; never NULL. */
int sql_bind_bytes(sqlite3_stmt *stmt, int index, const void *bytes, size_t n);
int sql_bind_string(sqlite3_stmt *stmt, int index, const char *text);
