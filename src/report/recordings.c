/* SPDX-License-Identifier: MIT */
#include "recordings.h"

#include <errno.h>

#include "connhist/model/coverage.h"
#include "connhist/store/db.h"

static const char runs_sql[] =
    "SELECT id, boot, interval_ms, ended_ms IS NOT NULL, detail FROM recordings ORDER BY id";

int runs_load(struct runs *runs, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, runs_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        struct run run = {
            .id = stmt_i64(stmt, 0),
            .boot = stmt_i64(stmt, 1),
            .interval_ms = stmt_i64(stmt, 2),
            .ended = stmt_i64(stmt, 3) != 0,
            .detail = coverage_detail_parse(stmt_text(stmt, 4)),
        };

        if (vec_push(runs, run) < 0)
            return err_errno(err, -ENOMEM, "reading the recorder's runs");
    }
    return r;
}

const struct run *runs_find(const struct runs *runs, int64_t id)
{
    size_t low = 0, high = runs->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (runs->items[middle].id == id)
            return &runs->items[middle];
        if (runs->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool runs_is_gap(const struct run *before, const struct run *after, int64_t distance_ms)
{
    int64_t interval_ms = 0;

    if (before)
        interval_ms = before->interval_ms;
    if (after && after->interval_ms > interval_ms)
        interval_ms = after->interval_ms;
    return coverage_is_gap(interval_ms, distance_ms);
}
