/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <errno.h>
#include <string.h>

#include "sql.h"

int writer_stmt(struct store *store, enum writer_stmt which, const char *sql, sqlite3_stmt **ret,
                struct err *err)
{
    int r = store->stmts[which] ? 0 : sql_prepare(store->db, sql, &store->stmts[which], err);

    if (r < 0)
        return r;
    *ret = store->stmts[which];
    return 0;
}

int writer_run(struct store *store, enum writer_stmt which, const char *sql, const int64_t *values,
               size_t n, struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, which, sql, &stmt, err);

    if (r < 0)
        return r;
    sql_bind_values(stmt, values, n);
    return sql_run(stmt, err);
}

/* Through SQLite's own descriptors: others, when closed, would drop the locks of the process. */
static sqlite3_file *file_of(struct store *store, int which)
{
    sqlite3_file *file = NULL;

    sqlite3_file_control(store->db, "main", which, &file);
    return file && file->pMethods ? file : NULL;
}

static int64_t size_of(sqlite3_file *file)
{
    sqlite3_int64 size = 0;

    return file && file->pMethods->xFileSize(file, &size) == SQLITE_OK ? size : 0;
}

bool writer_has_head(struct store *store)
{
    static const char magic[16] = "SQLite format 3";
    sqlite3_file *file = file_of(store, SQLITE_FCNTL_FILE_POINTER);
    char head[sizeof(magic)];

    return size_of(file) == 0 || (file->pMethods->xRead(file, head, sizeof(head), 0) == SQLITE_OK &&
                                  memcmp(head, magic, sizeof(magic)) == 0);
}

/* Whether database and -wal are no shorter than we left them, and the database still begins as one:
 * most of it is read rarely, and what is in the cache never again. */
static int check_whole(struct store *store, struct err *err)
{
    int64_t file_bytes = size_of(file_of(store, SQLITE_FCNTL_FILE_POINTER));
    int64_t wal_bytes = size_of(file_of(store, SQLITE_FCNTL_JOURNAL_POINTER));

    if (wal_bytes < store->wal_bytes)
        return err_set(err, -EBADMSG, "%s is damaged: its -wal was cut off at %lld bytes",
                       store->path, (long long)wal_bytes);
    if (file_bytes < store->file_bytes) {
        store->suspect = true;
        return err_set(err, -EBADMSG, "%s is damaged: it was cut off at %lld bytes", store->path,
                       (long long)file_bytes);
    }
    if (!writer_has_head(store)) {
        store->suspect = true;
        return err_set(err, -EBADMSG, "%s is damaged: it no longer begins as a database",
                       store->path);
    }
    return 0;
}

void writer_note_sizes(struct store *store)
{
    store->file_bytes = size_of(file_of(store, SQLITE_FCNTL_FILE_POINTER));
    store->wal_bytes = size_of(file_of(store, SQLITE_FCNTL_JOURNAL_POINTER));
}

int writer_begin(struct store *store, struct err *err)
{
    int r = check_whole(store, err);

    if (r >= 0)
        r = budget_begin(store, err);
    return r < 0 ? r : writer_run(store, STMT_BEGIN, "BEGIN IMMEDIATE", NULL, 0, err);
}

int writer_end(struct store *store, int r, struct err *err)
{
    if (r >= 0)
        r = writer_run(store, STMT_COMMIT, "COMMIT", NULL, 0, err);
    /* some errors have rolled back already; a failing ROLLBACK has nothing more to say */
    if (r < 0 && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    budget_end(store);
    writer_note_sizes(store); /* after a checkpoint, if it was time for one */
    if (r >= 0)
        return r;
    r = budget_explain(store, r, err);
    dictionary_forget(&store->dictionary);
    serials_forget(&store->serials);
    store->closed_rows.n = 0;
    pauses_forget(&store->pauses);
    rollup_forget(&store->rollup);
    hours_forget(&store->hours);
    return r;
}

int writer_set_program(struct store *store, uint64_t next_life, int64_t last_ms, struct err *err)
{
    static const char sql[] = "UPDATE program SET next_life = max(next_life, ?1), "
                              "last_ms = max(last_ms, ?2)";

    return WRITER_RUN(store, STMT_SET_PROGRAM, sql, err, (int64_t)next_life, last_ms);
}

int writer_add_loss(struct store *store, const struct loss *loss, struct err *err)
{
    static const char sql[] = "INSERT INTO losses (from_ms, until_ms, kind, count, text) "
                              "VALUES (?1, ?2, ?3, ?4, ?5)";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_ADD_LOSS, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, loss->from_ms, loss->until_ms, loss->kind, (int64_t)loss->count);
    sql_bind_string(stmt, 5, loss->text);
    return sql_run(stmt, err);
}
