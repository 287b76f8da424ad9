/* SPDX-License-Identifier: MIT */
/* Closed lives whose end is still to come: the file tells when a TIME_WAIT will end. */
#include <errno.h>

#include "connhist/base/vec.h"
#include "connhist/store/file.h"
#include "sql.h"
#include "writer.h"

struct planned {
    int64_t key;
    int64_t since_ms;
    int64_t ended_ms;
};

struct planned_vec {
    VEC_FIELDS(struct planned);
};

void planned_range(unsigned class, int64_t last_ms, int64_t *ret_first, int64_t *ret_last)
{
    int64_t from_ms = last_ms < 0 ? 0 : last_ms + 1;

    *ret_first = file_closed_key(class, from_ms, 0);
    *ret_last = file_closed_key(class, FILE_CLOSING_MAX, FILE_SERIALS - 1);
}

/* Appends the lives of a class that end after last_ms. */
static int list_class(struct store *store, unsigned class, int64_t last_ms,
                      struct planned_vec *lives, struct err *err)
{
    static const char sql[] = "SELECT key, (key >> 16 & (1 << 42) - 1) - late_ms AS ended_ms, "
                              "duration_ms FROM closed WHERE key BETWEEN ?1 AND ?2 "
                              "AND ended_ms > ?3";
    int64_t first, last;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_LIST_PLANNED, sql, &stmt, err);

    if (r < 0)
        return r;
    planned_range(class, last_ms, &first, &last);
    SQL_BIND(stmt, first, last, last_ms);
    while ((r = sql_step(stmt, err)) > 0) {
        struct planned life = {.key = sqlite3_column_int64(stmt, 0),
                               .ended_ms = sqlite3_column_int64(stmt, 1)};

        life.since_ms = life.ended_ms - sqlite3_column_int64(stmt, 2);
        if (vec_push(lives, life) < 0) {
            sqlite3_reset(stmt);
            return err_errno(err, -ENOMEM, "%s", store->path);
        }
    }
    return r;
}

static int cut(struct store *store, const struct planned *life, int64_t ended_ms, struct err *err)
{
    static const char sql[] = "UPDATE closed SET key = ?2, duration_ms = ?3, late_ms = ?4 "
                              "WHERE key = ?1";
    int64_t key, late_ms;
    int r;

    if (ended_ms <= life->since_ms) /* it was alive at that instant */
        ended_ms = life->since_ms + 1;
    if (ended_ms >= life->ended_ms)
        return 0;
    r = serials_take(store, life->since_ms, ended_ms, &key, &late_ms, err);
    return r < 0 ? r
                 : WRITER_RUN(store, STMT_SHORTEN_CLOSED, sql, err, life->key, key,
                              ended_ms - life->since_ms, late_ms);
}

/* First all keys, then the rows: a statement must not read what another changes. */
int planned_cut(struct store *store, int64_t ended_ms, struct err *err)
{
    struct planned_vec lives = {0};
    int r = 0;

    for (unsigned class = 0; class < FILE_CLASSES && r >= 0; class ++)
        r = list_class(store, class, ended_ms, &lives, err);
    for (size_t i = 0; i < lives.n && r >= 0; i++)
        r = cut(store, &lives.items[i], ended_ms, err);
    vec_finish(&lives);
    return r;
}
