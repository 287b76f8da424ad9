/* SPDX-License-Identifier: MIT */
/* The names of counters in the file, whose number has a bound. */
#include "counting.h"
#include "sql.h"
#include "writer.h"

#define NAMES_SHORT (COUNTED_NAMES_MAX / 2) /* so many, and those of interfaces that have gone go */

static void bind_name(sqlite3_stmt *stmt, const void *what)
{
    sql_bind_string(stmt, 1, ((const struct counter_change *)what)->name);
}

/* 1: one more name may come. */
static int has_place(struct store *store, const struct counter_change *change,
                     struct counting_naming *naming, struct err *err)
{
    int64_t most = change->protocol ? COUNTED_NAMES_MAX : COUNTED_LINKS_MAX;

    if (naming->n < 0) {
        int r = sql_query_i64(store->db, "SELECT count(*) FROM counter_names", &naming->n, err);

        if (r < 0)
            return r;
    }
    if (naming->n >= NAMES_SHORT)
        store->retention.names_short = true;
    if (naming->n < most)
        return 1;
    naming->refused++;
    return 0;
}

int counting_find_name(struct store *store, const struct counter_change *change,
                       struct counting_naming *naming, int64_t *ret, struct err *err)
{
    static const char find_sql[] = "SELECT id FROM counter_names WHERE name = ?1";
    static const char add_sql[] =
        "INSERT INTO counter_names (id, kind, protocol, place, name) VALUES (coalesce((SELECT "
        "c.id + 1 FROM counter_names AS c WHERE c.id >= ?5 AND NOT EXISTS (SELECT 1 FROM "
        "counter_names AS d WHERE d.id = c.id + 1) ORDER BY c.id LIMIT 1), 1), ?1, ?2, ?3, ?4)";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_FIND_COUNTER, find_sql, &stmt, err);

    if (r < 0)
        return r;
    bind_name(stmt, change);
    *ret = 0;
    r = sql_step(stmt, err);
    if (r > 0) {
        *ret = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
        return 0;
    }
    if (r == 0)
        r = has_place(store, change, naming, err);
    if (r <= 0)
        return r;
    r = writer_stmt(store, STMT_ADD_COUNTER_NAME, add_sql, &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, change->kind, change->protocol, change->place);
    sql_bind_string(stmt, 4, change->name);
    sqlite3_bind_int64(stmt, 5, naming->last); /* the lowest that is free, or known->n would grow */
    r = sql_run(stmt, err);
    if (r < 0)
        return r;
    naming->last = *ret = sqlite3_last_insert_rowid(store->db);
    naming->n++;
    return 0;
}
