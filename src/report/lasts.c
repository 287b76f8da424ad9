/* SPDX-License-Identifier: MIT */
#include "lasts.h"

#include <errno.h>
#include <stdlib.h>

#include "connhist/model/coverage.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"

#define RECENT 1024

/* What the snapshot before an instant was planned as. */
static const char sql[] =
    "SELECT s.start_ms, r.interval_ms, "
    "EXISTS (SELECT 1 FROM snapshots AS own WHERE own.start_ms = ?1 AND own.status = 0) "
    "FROM snapshots AS s JOIN recordings AS r ON r.id = s.recording "
    "WHERE s.start_ms < ?1 AND s.status = 0 ORDER BY s.start_ms DESC LIMIT 1";

int lasts_init(struct lasts *lasts, struct db *db, struct err *err)
{
    lasts->recent = calloc(RECENT, sizeof(*lasts->recent));
    if (!lasts->recent)
        return err_errno(err, -ENOMEM, "reading the file");
    for (size_t i = 0; i < RECENT; i++)
        lasts->recent[i].at_ms = TIME_UNKNOWN;
    return db_prepare(db, sql, &lasts->stmt, err);
}

void lasts_finish(struct lasts *lasts)
{
    stmt_free(lasts->stmt);
    free(lasts->recent);
}

int lasts_before(struct lasts *lasts, int64_t at_ms, const struct last **ret, struct err *err)
{
    struct last *place = &lasts->recent[(uint64_t)at_ms % RECENT];
    int r;

    *ret = place;
    if (place->at_ms == at_ms)
        return 0;
    *place = (struct last){.at_ms = TIME_UNKNOWN, .before_ms = TIME_UNKNOWN, .gap = true};
    stmt_reset(lasts->stmt);
    stmt_bind_i64(lasts->stmt, 1, at_ms);
    r = stmt_step(lasts->stmt, err);
    if (r > 0) {
        place->before_ms = stmt_i64(lasts->stmt, 0);
        place->gap = coverage_is_gap(stmt_i64(lasts->stmt, 1), at_ms - place->before_ms);
        place->at_snapshot = stmt_i64(lasts->stmt, 2);
    }
    stmt_reset(lasts->stmt);
    if (r < 0)
        return r;
    place->at_ms = at_ms;
    return 0;
}
