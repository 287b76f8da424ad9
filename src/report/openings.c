/* SPDX-License-Identifier: MIT */
#include "openings.h"

#include <errno.h>

#include "connhist/model/life.h"
#include "connhist/store/db.h"

#define RECENT 4096

static const char before_sql[] =
    "SELECT start_ms FROM snapshots WHERE start_ms < ?1 AND status = 0 "
    "ORDER BY start_ms DESC LIMIT 1";
static const char next_sql[] =
    "SELECT start_ms FROM snapshots WHERE start_ms >= ?1 ORDER BY start_ms LIMIT 1";
/* a boot's first snapshot is the first one since its first run began */
static const char boots_sql[] =
    "SELECT (SELECT s.start_ms FROM snapshots AS s WHERE s.start_ms >= b.started_ms "
    "ORDER BY s.start_ms LIMIT 1) AS first_ms "
    "FROM (SELECT min(started_ms) AS started_ms FROM recordings GROUP BY boot) AS b ORDER BY "
    "first_ms";

static int load_boots(struct openings *openings, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, boots_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0)
        if (!stmt_is_null(stmt, 0) && vec_push(&openings->boots, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the boots");
    return r;
}

int openings_init(struct openings *openings, struct db *db, struct err *err)
{
    int r;

    openings->recent = calloc(RECENT, sizeof(*openings->recent));
    if (!openings->recent)
        return err_errno(err, -ENOMEM, "reading the file");
    for (size_t i = 0; i < RECENT; i++)
        openings->recent[i].since_ms = TIME_UNKNOWN;
    r = db_prepare(db, before_sql, &openings->before, err);
    if (r == 0)
        r = db_prepare(db, next_sql, &openings->next, err);
    return r < 0 ? r : load_boots(openings, db, err);
}

void openings_finish(struct openings *openings)
{
    stmt_free(openings->before);
    stmt_free(openings->next);
    vec_finish(&openings->boots);
    free(openings->recent);
}

/* The one value of a statement; *ret stays when there is no row. */
static int ask(struct stmt *stmt, int64_t at_ms, int64_t *ret, struct err *err)
{
    int r;

    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, at_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret = stmt_i64(stmt, 0);
    stmt_reset(stmt);
    return r < 0 ? r : 0;
}

/* The first snapshot of the boot that came after the one of before_ms; INT64_MAX: none came. */
static int64_t next_boot(const struct openings *openings, int64_t before_ms)
{
    for (size_t i = 0; i < openings->boots.n; i++)
        if (openings->boots.items[i] > before_ms)
            return openings->boots.items[i];
    return INT64_MAX;
}

static int find(struct openings *openings, int64_t since_ms, int64_t *ret, struct err *err)
{
    int64_t before_ms = TIME_UNKNOWN, next_ms = INT64_MAX - 1, boot_ms;
    int r;

    r = ask(openings->before, since_ms, &before_ms, err);
    if (r < 0)
        return r;
    boot_ms = next_boot(openings, before_ms);
    if (before_ms != TIME_UNKNOWN && boot_ms != INT64_MAX) {
        /* a socket belongs to the boot of the first snapshot that can have shown it */
        r = ask(openings->next, since_ms, &next_ms, err);
        if (r < 0)
            return r;
        if (boot_ms <= next_ms)
            before_ms = TIME_UNKNOWN;
    }
    *ret = before_ms;
    return 0;
}

int openings_after(struct openings *openings, int64_t since_ms, int64_t *ret, struct err *err)
{
    struct opening *place = &openings->recent[(uint64_t)since_ms % RECENT];
    int r;

    if (place->since_ms != since_ms) {
        r = find(openings, since_ms, &place->after_ms, err);
        if (r < 0)
            return r;
        place->since_ms = since_ms;
    }
    *ret = place->after_ms;
    return 0;
}
