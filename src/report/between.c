/* SPDX-License-Identifier: MIT */
#include "between.h"

#include "connhist/store/db.h"

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

/* Index of the first snapshot not before an instant. */
static size_t snapshot_at(const struct snapshot_times *times, int64_t at_ms)
{
    size_t low = 0, high = times->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (times->items[middle] < at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int between_seen(struct between *between, int64_t first_ms, int64_t second_ms, struct err *err)
{
    int r;

    if (between->times)
        return snapshot_at(between->times, first_ms) != snapshot_at(between->times, second_ms);
    stmt_reset(between->stmt);
    stmt_bind_i64(between->stmt, 1, first_ms);
    stmt_bind_i64(between->stmt, 2, second_ms);
    r = stmt_step(between->stmt, err);
    stmt_reset(between->stmt);
    return r;
}
