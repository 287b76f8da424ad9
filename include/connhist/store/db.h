/* SPDX-License-Identifier: MIT */
/* A thin wrapper of SQLite for those who ask the file: prepare, bind, step, columns.
 * Everything returns 0 or a negative errno, with SQLite's words in err. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"

struct db;   /* a read-only connection */
struct stmt; /* a prepared statement */

enum db_type { DB_INTEGER = 1, DB_FLOAT = 2, DB_TEXT = 3, DB_BLOB = 4, DB_NULL = 5 };

/* Opens a connhist file for reading; never writes, never checkpoints. Also opens a copy whose -wal
 * is missing in a folder that can't be written. Files of older editions are opened too: what they
 * lack shows when a statement is prepared.
 *
 * Registers functions for SQL, all NULL if an argument is NULL:
 *   state_name(n)                     'TIME_WAIT' …; NULL: n is no state
 *   state_since(states, since_ms, n)  record time at which state n was entered last; NULL: never
 *   history(states, since_ms)         'ESTABLISHED@1763800000000,TIME_WAIT@1763800000123', record
 *                                     time; ends in '?' where states is damaged
 *   addr_in(address, prefix)          1: the address (text) lies in '10.0.0.0/8' or
 *                                     '2001:db8::/32', IPv4-mapped ones in IPv4 prefixes too; else 0
 *   percentile(histogram, share)      upper bound of the bucket in which the value lies that `share`
 *                                     (0 … 1) of all are not above; NULL: it is empty
 *   histogram_sum(histogram)          an aggregate: all of them as one, NULL ones left out
 *
 * Errors:
 *   -ENOENT       no such file (err says where it looked and how one is made)
 *   -EACCES       not readable (err says who may)
 *   -EMEDIUMTYPE  no SQLite database, an empty one, or one of another program
 *   -EPROTO       written by a newer connhist (err names both editions), or a table, column or view
 *                 lacks that its edition has (err names it)
 *   -EBADMSG      damaged */
int db_open(const char *path, struct db **ret, struct err *err);
void db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close)

/* Path it was opened with; owned by db. */
const char *db_path(const struct db *db);

/* The edition of the file when it was opened: what it may lack. See file_edition(). */
int db_edition(const struct db *db);

/* All that follows on this connection sees one instant of the file, until db_end() or db_close().
 * As long as it lasts the recorder can't tidy its log. */
int db_begin(struct db *db, struct err *err);

/* Ends what db_begin() began, and resets all statements. Nothing if nothing was begun. */
void db_end(struct db *db);

/* Each db_begin() sets a deadline that far ahead; ns, 0: none. */
void db_set_limit(struct db *db, int64_t limit_ns);

/* Ends running statements at the deadline (CLOCK_BOOTTIME ns; 0: none): they give -ETIMEDOUT. */
void db_set_deadline(struct db *db, int64_t boottime_ns);

/* Ends the running statement soon with -EINTR. Safe in a signal handler. */
void db_interrupt(struct db *db);

/* sql: a constant text with numbered or plain '?' for values. The statement must be freed before
 * the connection is closed. -EPROTO, here and when it is stepped: the file lacks what it names. */
int db_prepare(struct db *db, const char *sql, struct stmt **ret, struct err *err);
void stmt_free(struct stmt *stmt);
DEFINE_CLEANUP(struct stmt *, stmt_free)

/* For statements of a user: prepares the first statement in sql, sets *ret_tail behind it.
 * *ret is NULL when there is only white space and comments. -EPERM: it would write; -EINVAL, here and
 * when it is stepped: it is wrong. */
int db_prepare_user(struct db *db, const char *sql, struct stmt **ret, const char **ret_tail,
                    struct err *err);

/* Binds values from index 1 on; text and blob must stay until the next reset. */
void stmt_bind_i64(struct stmt *stmt, int index, int64_t value);
void stmt_bind_text(struct stmt *stmt, int index, const char *text);
void stmt_bind_blob(struct stmt *stmt, int index, const void *bytes, size_t n);
void stmt_bind_null(struct stmt *stmt, int index);

/* 1: a row is there; 0: done (and reset). -EINTR: interrupted; -ETIMEDOUT; -EBADMSG: damaged; … An
 * error in a bind shows here. */
int stmt_step(struct stmt *stmt, struct err *err);

/* Ready to be bound and stepped again. */
void stmt_reset(struct stmt *stmt);

/* Columns of the row, from 0; text and blob are valid until the next step. */
int stmt_columns(struct stmt *stmt);
const char *stmt_column_name(struct stmt *stmt, int column);
enum db_type stmt_type(struct stmt *stmt, int column);
bool stmt_is_null(struct stmt *stmt, int column);
int64_t stmt_i64(struct stmt *stmt, int column);
double stmt_double(struct stmt *stmt, int column);
const char *stmt_text(struct stmt *stmt, int column); /* "" for NULL */
const void *stmt_blob(struct stmt *stmt, int column, size_t *ret_n);

/* Virtual machine steps that the statement took since it was prepared: for tests that bound the
 * work. */
int64_t stmt_vm_steps(struct stmt *stmt);

/* The same of all statements that were freed, together. */
int64_t db_vm_steps(const struct db *db);
