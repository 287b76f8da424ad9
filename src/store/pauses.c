/* SPDX-License-Identifier: MIT */
#include "pauses.h"

#include "connhist/model/coverage.h"
#include "sql.h"
#include "writer.h"

void pauses_forget(struct pauses *pauses)
{
    *pauses = (struct pauses){0};
}

/* What the wall clock differs by at an instant of the record. */
static int find_offset(struct store *store, int64_t at_ms, int64_t *ret, struct err *err)
{
    static const char sql[] = "SELECT offset_ms FROM epochs WHERE from_ms <= ?1 "
                              "ORDER BY from_ms DESC LIMIT 1";
    sqlite3_stmt *stmt;
    int r = writer_stmt(store, STMT_GET_OFFSET, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, at_ms);
    r = sql_step(stmt, err);
    if (r < 0)
        return r;
    *ret = r > 0 ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return 0;
}

static int read_last(struct store *store, struct pauses *ret, struct err *err)
{
    static const char sql[] = "SELECT s.start_ms, s.recording, r.interval_ms, "
                              "(SELECT count(*) FROM snapshots AS i WHERE i.start_ms > s.start_ms) "
                              "FROM snapshots AS s JOIN recordings AS r ON r.id = s.recording "
                              "WHERE s.status = 0 ORDER BY s.start_ms DESC LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct pauses pauses = {.is_known = true};
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r >= 0)
        r = sql_step(stmt, err);
    if (r > 0) {
        pauses.has_last = true;
        pauses.last_ms = sqlite3_column_int64(stmt, 0);
        pauses.recording = sqlite3_column_int64(stmt, 1);
        pauses.interval_ms = sqlite3_column_int64(stmt, 2);
        pauses.interrupted = sqlite3_column_int64(stmt, 3);
        r = find_offset(store, pauses.last_ms, &pauses.offset_ms, err);
    }
    if (r >= 0)
        *ret = pauses;
    return r;
}

/* Further apart than planned by the record's clock, or by the wall clock, which was set forward: there
 * was no snapshot of the time between. */
static bool is_pause(const struct store *store, int64_t start_ms, int64_t offset_ms)
{
    const struct pauses *last = &store->pauses;
    int64_t interval_ms =
        last->interval_ms > store->interval_ms ? last->interval_ms : store->interval_ms;
    int64_t distance_ms = start_ms - last->last_ms;

    if (!last->has_last)
        return false;
    return coverage_is_gap(interval_ms, distance_ms) ||
           (offset_ms > last->offset_ms &&
            coverage_is_gap(interval_ms, distance_ms + offset_ms - last->offset_ms));
}

int pauses_look(struct store *store, const struct snapshot *snapshot, struct err *err)
{
    static const char sql[] = "INSERT INTO pauses (from_ms, until_ms, before, after, interrupted) "
                              "VALUES (?1, ?2, ?3, ?4, ?5)";
    struct pauses *last = &store->pauses;
    int64_t offset_ms = 0;
    int r = last->is_known ? 0 : read_last(store, last, err);

    if (r < 0)
        return r;
    if (snapshot->status != SNAPSHOT_COMPLETE) {
        last->interrupted++;
        return 0;
    }
    r = find_offset(store, snapshot->start_ms, &offset_ms, err);
    if (r >= 0 && is_pause(store, snapshot->start_ms, offset_ms))
        r = WRITER_RUN(store, STMT_ADD_PAUSE, sql, err, last->last_ms, snapshot->start_ms,
                       last->recording, store->recording, last->interrupted);
    if (r < 0)
        return r;
    *last = (struct pauses){
        .last_ms = snapshot->start_ms,
        .offset_ms = offset_ms,
        .recording = store->recording,
        .interval_ms = store->interval_ms,
        .is_known = true,
        .has_last = true,
    };
    return 0;
}
