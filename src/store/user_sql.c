/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "reader.h"
#include "sql.h"

/* Pragmas that only tell something, whatever their argument is. */
static const char *const telling_pragmas[] = {
    "collation_list", "compile_options", "database_list", "foreign_key_list", "function_list",
    "index_info",     "index_list",      "index_xinfo",   "integrity_check",  "module_list",
    "pragma_list",    "quick_check",     "table_info",    "table_list",       "table_xinfo",
};

/* Pragmas that only tell something without an argument. */
static const char *const asking_pragmas[] = {
    "application_id", "auto_vacuum", "data_version", "encoding",       "freelist_count",
    "page_count",     "page_size",   "query_only",   "schema_version", "user_version",
};

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

#define IS_AMONG(name, names) is_among((name), (names), sizeof(names) / sizeof((names)[0]))

static bool pragma_is_harmless(const char *name, const char *argument)
{
    return IS_AMONG(name, telling_pragmas) || (!argument && IS_AMONG(name, asking_pragmas));
}

/* The connection can't write the file anyway; this keeps statements from reaching other files, from
 * changing how the connection behaves, and users from ending our transaction. */
static bool is_allowed(const struct db *db, int action, const char *a, const char *b)
{
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return true;
    case SQLITE_FUNCTION:
        return b && strcasecmp(b, "load_extension") != 0;
    case SQLITE_PRAGMA:
        return a && pragma_is_harmless(a, b);
    case SQLITE_UPDATE: /* asked for where pragma_table_info() and the like are declared, too */
        return a && strcasecmp(a, "sqlite_master") == 0;
    case SQLITE_TRANSACTION:
        return !db->user;
    default:
        return false;
    }
}

int user_sql_authorize(void *arg, int action, const char *a, const char *b, const char *schema,
                       const char *trigger)
{
    struct db *db = arg;

    (void)schema;
    (void)trigger;
    if (is_allowed(db, action, a, b))
        return SQLITE_OK;
    db->denied = true;
    return SQLITE_DENY;
}

static int refuse(struct err *err)
{
    return err_set(err, -EPERM,
                   "only reading is possible here: this statement would write, attach a "
                   "database, or change a setting or the transaction");
}

int db_prepare_user(struct db *db, const char *sql, struct stmt **ret, const char **ret_tail,
                    struct err *err)
{
    sqlite3_stmt *stmt = NULL;
    const char *tail;
    int rc, r;

    db->user = true;
    db->denied = false;
    rc = sqlite3_prepare_v2(db->db, sql, -1, &stmt, &tail);
    db->user = false;
    if (rc != SQLITE_OK)
        return db->denied ? refuse(err) : reader_fail_user(db, rc, err);
    if (!stmt) {
        *ret = NULL;
        *ret_tail = tail;
        return 0;
    }
    if (!sqlite3_stmt_readonly(stmt)) {
        sqlite3_finalize(stmt);
        return refuse(err);
    }
    r = reader_wrap(db, stmt, ret, err);
    if (r < 0)
        return r;
    (*ret)->user = true;
    *ret_tail = tail;
    return 0;
}
