/* SPDX-License-Identifier: MIT */
#include "targets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sql.h"

static const char tables_sql[] =
    "SELECT t.name, l.wr, t.name IN ('states', 'loss_kinds', 'tiers', 'program') "
    "FROM sqlite_schema AS t JOIN pragma_table_list(t.name) AS l "
    "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.rootpage";

/* As they follow one another in a row: the key first where there is no number. */
static const char columns_sql[] =
    "SELECT name, type, \"notnull\" = 0 AND pk = 0, pk > 0 AND ?2 = 0 AND "
    "(SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0) = 1 AND type = 'INTEGER', pk > 0 "
    "FROM pragma_table_xinfo(?1) WHERE hidden = 0 "
    "ORDER BY iif(?2 = 1 AND pk > 0, pk, 1000), cid";

/* Indexes, and whether one has all columns of its table but the number, which each of its rows ends with. */
static const char indexes_sql[] =
    "SELECT i.name, t.name, l.wr = 0 AND i.partial = 0 AND NOT EXISTS ("
    "SELECT 1 FROM pragma_table_xinfo(t.name) AS c WHERE c.hidden = 0 AND c.pk = 0 AND c.name NOT "
    "IN ("
    "SELECT x.name FROM pragma_index_xinfo(i.name) AS x WHERE x.name IS NOT NULL)) FROM "
    "sqlite_schema AS t JOIN pragma_table_list(t.name) AS l "
    "JOIN pragma_index_list(t.name) AS i "
    "WHERE t.type = 'table' AND i.origin <> 'pk'";
static const char index_columns_sql[] =
    "SELECT coalesce(x.name, (SELECT name FROM pragma_table_xinfo(?1) WHERE pk = 1)), "
    "(SELECT c.type FROM pragma_table_xinfo(?1) AS c WHERE c.name = x.name), "
    "(SELECT c.\"notnull\" = 0 FROM pragma_table_xinfo(?1) AS c WHERE c.name = x.name), x.cid < 0, "
    "1 "
    "FROM pragma_index_xinfo(?2) AS x ORDER BY x.seqno";

static enum value_kind kind_of(const char *type)
{
    if (type && strcmp(type, "TEXT") == 0)
        return VALUE_TEXT;
    if (type && strcmp(type, "BLOB") == 0)
        return VALUE_BLOB;
    return type && strcmp(type, "REAL") == 0 ? VALUE_REAL : VALUE_INTEGER;
}

static bool is_any(const char *type)
{
    return type && strcmp(type, "ANY") == 0;
}

/* The columns that a prepared statement tells: name, type, may be null, is the row's number, is of the key. */
static int read_columns(struct target *target, sqlite3_stmt *stmt, struct err *err)
{
    int r;

    while ((r = sql_step(stmt, err)) > 0 && target->n_columns < COLUMNS_MAX) {
        snprintf(target->columns[target->n_columns].name, TREE_NAME_MAX, "%s",
                 (const char *)sqlite3_column_text(stmt, 0));
        target->columns[target->n_columns].kind =
            kind_of((const char *)sqlite3_column_text(stmt, 1));
        target->columns[target->n_columns].is_any =
            is_any((const char *)sqlite3_column_text(stmt, 1));
        target->columns[target->n_columns].may_be_null = sqlite3_column_int(stmt, 2);
        target->columns[target->n_columns].is_rowid = sqlite3_column_int(stmt, 3);
        target->columns[target->n_columns].range =
            range_find(target->table, target->columns[target->n_columns].name);
        target->n_key += sqlite3_column_int(stmt, 4);
        target->n_columns++;
    }
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

/* Takes target. */
static int add(struct targets *targets, sqlite3 *db, struct target *target, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = vec_push(targets, target);

    if (r < 0) {
        free(target);
        return err_errno(err, r, "%s", target->table);
    }
    r = sql_prepare(db, target->index ? index_columns_sql : columns_sql, &stmt, err);
    if (r < 0)
        return r;
    sqlite3_bind_text(stmt, 1, target->table, -1, SQLITE_STATIC);
    if (target->index)
        sqlite3_bind_text(stmt, 2, target->tree, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int(stmt, 2, target->without_rowid);
    return read_columns(target, stmt, err);
}

static int add_all(struct targets *targets, sqlite3 *db, bool index, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, index ? indexes_sql : tables_sql, &stmt, err);

    while (r >= 0 && (r = sql_step(stmt, err)) > 0) {
        const char *tree = (const char *)sqlite3_column_text(stmt, 0);
        struct target *target = calloc(1, sizeof(*target));

        if (!target)
            return err_errno(err, -ENOMEM, "%s", tree);
        target->index = index;
        snprintf(target->tree, sizeof(target->tree), "%s", tree);
        snprintf(target->table, sizeof(target->table), "%s",
                 index ? (const char *)sqlite3_column_text(stmt, 1) : tree);
        target->without_rowid = !index && sqlite3_column_int(stmt, 1);
        target->is_decoy = index && !sqlite3_column_int(stmt, 2);
        target->filled = !index && sqlite3_column_int(stmt, 2);
        r = add(targets, db, target, err);
    }
    return r < 0 ? r : 0;
}

int targets_init(struct targets *targets, sqlite3 *db, struct err *err)
{
    int r = add_all(targets, db, false, err);

    return r < 0 ? r : add_all(targets, db, true, err);
}

void targets_finish(struct targets *targets)
{
    for (size_t i = 0; i < targets->n; i++) {
        for (unsigned k = 0; k <= COLUMNS_MAX; k++)
            sqlite3_finalize(targets->items[i]->inserts[k]);
        sqlite3_finalize(targets->items[i]->find);
        free(targets->items[i]);
    }
    vec_finish(targets);
}

/* Columns that were added later lack in older rows. */
bool target_fits(const struct target *target, const struct record *record)
{
    if (record->n == 0 || record->n > target->n_columns ||
        (target->index && record->n != target->n_columns))
        return false;
    for (unsigned i = 0; i < record->n; i++) {
        enum value_kind kind = record->values[i].kind;

        if (target->columns[i].is_rowid && !target->index) {
            if (kind != VALUE_NULL)
                return false;
        } else if (kind == VALUE_NULL
                       ? !target->columns[i].may_be_null
                       : kind != target->columns[i].kind && !target->columns[i].is_any)
            return false;
    }
    return true;
}

/* The number of its row stands for itself, but in an index as a value. */
static int64_t integer_of(const struct target *target, const struct record *record, unsigned i)
{
    if (record->values[i].kind == VALUE_NULL)
        return target->columns[i].is_rowid && !target->index ? record->rowid : INT64_MIN;
    return record->values[i].integer;
}

bool target_is_likely(const struct target *target, const struct record *record)
{
    if (!target_fits(target, record))
        return false;
    for (unsigned i = 0; i < record->n; i++) {
        enum value_kind kind = record->values[i].kind;

        if ((kind == VALUE_INTEGER ||
             (kind == VALUE_NULL && target->columns[i].is_rowid && !target->index)) &&
            !range_has(target->columns[i].range, integer_of(target, record, i)))
            return false;
    }
    return true;
}

bool target_follows(const struct target *target, const struct record *record, struct key *last)
{
    unsigned n = target->index || target->without_rowid ? target->n_key : 0;
    bool follows = false, is_told = true;
    struct key key = {.has = true};

    if (n > record->n || n > KEY_MAX)
        return true;
    for (unsigned i = 0; i < n; i++) {
        enum value_kind kind = record->values[i].kind;

        key.values[i] =
            kind == VALUE_INTEGER || kind == VALUE_NULL ? integer_of(target, record, i) : 0;
        if (kind != VALUE_INTEGER && kind != VALUE_NULL && !follows)
            is_told = false; /* by what is not compared here */
        if (last->has && is_told && !follows) {
            if (key.values[i] < last->values[i])
                return false;
            follows = key.values[i] > last->values[i];
        }
    }
    if (n == 0) {
        key.values[0] = record->rowid;
        follows = key.values[0] > last->values[0];
    }
    is_told = is_told && last->has;
    *last = key;
    return follows || !is_told;
}

static int prepare(struct target *target, sqlite3 *db, unsigned n, struct err *err)
{
    sqlite3_str *sql;
    char *text;
    int r;

    if (target->inserts[n])
        return 0;
    sql = sqlite3_str_new(db);
    sqlite3_str_appendf(sql, "INSERT OR %s INTO %s (", target->filled ? "REPLACE" : "IGNORE",
                        target->table);
    for (unsigned i = 0; i < n; i++)
        sqlite3_str_appendf(sql, "%s\"%w\"", i ? ", " : "", target->columns[i].name);
    sqlite3_str_appendall(sql, ") VALUES (?1");
    for (unsigned i = 1; i < n; i++)
        sqlite3_str_appendf(sql, ", ?%u", i + 1);
    sqlite3_str_appendall(sql, ")");
    text = sqlite3_str_finish(sql);
    if (!text)
        return err_errno(err, -ENOMEM, "%s", target->table);
    r = sql_prepare(db, text, &target->inserts[n], err);
    sqlite3_free(text);
    return r;
}

static void bind(sqlite3_stmt *stmt, int at, const struct value *value)
{
    static const char empty[] = "";
    const char *bytes = value->bytes ? (const char *)value->bytes : empty;

    switch (value->kind) {
    case VALUE_NULL:
        sqlite3_bind_null(stmt, at);
        break;
    case VALUE_INTEGER:
        sqlite3_bind_int64(stmt, at, value->integer);
        break;
    case VALUE_REAL:
        sqlite3_bind_double(stmt, at, value->real);
        break;
    case VALUE_TEXT:
        sqlite3_bind_text(stmt, at, bytes, (int)value->n, SQLITE_STATIC);
        break;
    case VALUE_BLOB:
        sqlite3_bind_blob(stmt, at, bytes, (int)value->n, SQLITE_STATIC);
    }
}

int target_insert(struct target *target, sqlite3 *db, const struct record *record, struct err *err)
{
    sqlite3_stmt *stmt;
    int rc, r = prepare(target, db, record->n, err);

    if (r < 0)
        return r;
    stmt = target->inserts[record->n];
    for (unsigned i = 0; i < record->n; i++) {
        if (target->columns[i].is_rowid && !target->index)
            sqlite3_bind_int64(stmt, (int)i + 1, record->rowid);
        else
            bind(stmt, (int)i + 1, &record->values[i]);
    }
    rc = sqlite3_step(stmt);
    r = rc == SQLITE_DONE ? sqlite3_changes(db) > 0 : 0;
    sqlite3_reset(stmt);
    if (rc != SQLITE_DONE && (rc & 0xff) != SQLITE_CONSTRAINT && (rc & 0xff) != SQLITE_MISMATCH)
        return sql_fail(db, rc, err);
    return r;
}

static int prepare_find(struct target *target, sqlite3 *db, struct err *err)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    char *text;
    int r;

    sqlite3_str_appendf(sql, "SELECT 1 FROM %s WHERE ", target->table);
    for (unsigned i = 0; i < target->n_columns; i++)
        sqlite3_str_appendf(sql, "%s\"%w\" IS ?%u", i ? " AND " : "", target->columns[i].name,
                            i + 1);
    text = sqlite3_str_finish(sql);
    if (!text)
        return err_errno(err, -ENOMEM, "%s", target->table);
    r = sql_prepare(db, text, &target->find, err);
    sqlite3_free(text);
    return r;
}

int target_has(struct target *target, sqlite3 *db, const struct record *record, struct err *err)
{
    int r = target->find ? 0 : prepare_find(target, db, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < record->n; i++) {
        if (target->columns[i].is_rowid && !target->index)
            sqlite3_bind_int64(target->find, (int)i + 1, record->rowid);
        else
            bind(target->find, (int)i + 1, &record->values[i]);
    }
    r = sql_step(target->find, err);
    sqlite3_reset(target->find);
    return r;
}
