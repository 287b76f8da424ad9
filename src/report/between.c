/* SPDX-License-Identifier: MIT */
#include "between.h"

#include "connhist/store/db.h"
#include "times.h"

static const char sql[] = "SELECT 1 FROM snapshots WHERE start_ms >= ?1 AND start_ms < ?2 "
                          "AND status = 0 LIMIT 1";

int between_init(struct between *between, struct db *db, struct err *err)
{
    return db_prepare(db, sql, &between->stmt, err);
}

void between_finish(struct between *between)
{
    stmt_free(between->stmt);
    between->stmt = NULL;
}

int between_seen(struct between *between, int64_t first_ms, int64_t second_ms, struct err *err)
{
    const struct snapshot_times *times = between->times;
    int r;

    if (times) {
        size_t first = times_index(times->items, times->n, 0, first_ms);

        return first < times_index(times->items, times->n, first, second_ms);
    }
    stmt_reset(between->stmt);
    stmt_bind_i64(between->stmt, 1, first_ms);
    stmt_bind_i64(between->stmt, 2, second_ms);
    r = stmt_step(between->stmt, err);
    stmt_reset(between->stmt);
    return r;
}
