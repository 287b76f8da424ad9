/* SPDX-License-Identifier: MIT */
#include "edition.h"

#include "connhist/store/db.h"

/* The edition that brought the events. */
#define EDITION_EVENTS 2

int edition_has_events(struct db *db, bool *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, "PRAGMA user_version", &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    *ret = r > 0 && stmt_i64(stmt, 0) >= EDITION_EVENTS;
    return 0;
}
