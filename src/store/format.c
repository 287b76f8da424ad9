/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/store/file.h"
#include "schema.h"
#include "sql.h"

/* A file that is ours can be damaged in what its first page says, too. */
static int read_header(sqlite3 *db, int64_t *ret_id, int64_t *ret_edition, int64_t *ret_tables,
                       struct err *err)
{
    int r = sql_query_i64(db, "SELECT count(*) FROM sqlite_schema", ret_tables, err);

    if (r >= 0)
        r = sql_query_i64(db, "PRAGMA application_id", ret_id, err);
    if (r >= 0)
        r = sql_query_i64(db, "PRAGMA user_version", ret_edition, err);
    if (r < 0 && sqlite3_errcode(db) == SQLITE_NOTADB)
        return err_set(err, -EMEDIUMTYPE,
                       "%s is not an SQLite database, and so no file of connhistd",
                       sqlite3_db_filename(db, "main"));
    return r;
}

static int lacks(sqlite3 *db, int edition, const struct schema_part *part, struct err *err)
{
    return err_set(err, -EPROTO,
                   "%s is of edition %d, but lacks %s%s%s%s: an unreleased connhist made it, or it "
                   "was changed by hand; move it away, and a new one is begun",
                   sqlite3_db_filename(db, "main"), edition, part->column ? "" : "the view ",
                   part->name, part->column ? "." : "", part->column ? part->column : "");
}

/* Views come with the schema, as tables do, so that this does not grow with the file. 1: there is. */
static int has_view(sqlite3 *db, const char *name, struct err *err)
{
    static const char sql[] = "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    sql_bind_string(stmt, 1, name);
    return sql_step(stmt, err);
}

/* Whether all is there that statements name: else each of them would fail by itself, in SQLite's words. */
static int check_parts(sqlite3 *db, int edition, struct err *err)
{
    for (int i = 0; i < schema_parts_n; i++) {
        const struct schema_part *part = &schema_parts[i];
        int r;

        if (edition < part->first || edition > part->last)
            continue;
        if (part->column)
            r = sqlite3_table_column_metadata(db, "main", part->name, part->column, NULL, NULL,
                                              NULL, NULL, NULL) == SQLITE_OK;
        else
            r = has_view(db, part->name, err);
        if (r <= 0)
            return r < 0 ? r : lacks(db, edition, part, err);
    }
    return 0;
}

static int check(sqlite3 *db, int *ret_edition, struct err *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    int64_t id = 0, edition = 0, tables = 0;
    int r = read_header(db, &id, &edition, &tables, err);

    if (r < 0)
        return r;
    if (id != FILE_APPLICATION_ID && (id != 0 || edition != 0 || tables > 0))
        return err_set(err, -EMEDIUMTYPE, "%s is a database of another program, not of connhistd",
                       path);
    if (edition > file_edition())
        return err_set(err, -EPROTO,
                       "%s was written by a newer connhist: it is of edition %lld, this program "
                       "knows editions up to %d",
                       path, (long long)edition, file_edition());
    if (edition < 0 || (edition == 0 && id != 0) || (edition > 0 && tables == 0))
        return err_set(err, -EBADMSG, "%s is damaged: edition %lld with %lld tables", path,
                       (long long)edition, (long long)tables);
    r = edition > 0 ? check_parts(db, (int)edition, err) : 0;
    if (r == 0)
        *ret_edition = (int)edition;
    return r;
}

/* All at one instant: a recorder may be bringing it to a newer edition. */
int format_check(sqlite3 *db, int *ret_edition, struct err *err)
{
    int r = sql_exec(db, "BEGIN", err);

    if (r < 0)
        return r;
    r = check(db, ret_edition, err);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static int apply(sqlite3 *db, int number, struct err *err)
{
    const struct migration *migration = &schema_migrations[number - 1];
    char header[128];
    int r = sql_exec(db, "BEGIN IMMEDIATE", err);

    if (r < 0)
        return r;
    snprintf(header, sizeof(header), "PRAGMA user_version = %d; PRAGMA application_id = %d", number,
             FILE_APPLICATION_ID);
    r = sql_exec(db, migration->sql, err);
    if (r >= 0)
        r = sql_exec(db, header, err);
    if (r >= 0)
        r = sql_exec(db, "COMMIT", err);
    if (r >= 0)
        return 0;
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return err_prefix(err, r, "bringing the file to edition %d (%s)", number, migration->name);
}

static int apply_until(sqlite3 *db, int edition, int last, struct err *err)
{
    int r = 0;

    for (int number = edition + 1; number <= last && r >= 0; number++)
        r = apply(db, number, err);
    return r;
}

int format_migrate(sqlite3 *db, int edition, struct err *err)
{
    return apply_until(db, edition, file_edition(), err);
}

int format_make(sqlite3 *db, int edition, struct err *err)
{
    return apply_until(db, 0, edition, err);
}
