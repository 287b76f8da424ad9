/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "past.h"
#include "sql.h"

int past_last_recording(sqlite3 *db, struct past_recording *ret, struct err *err)
{
    static const char sql[] = "SELECT r.id, r.boot, r.started_ms, r.ended_ms "
                              "FROM recordings AS r ORDER BY r.id DESC LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r >= 0)
        r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    ret->id = sqlite3_column_int64(stmt, 0);
    ret->boot = sqlite3_column_int64(stmt, 1);
    ret->started_ms = sqlite3_column_int64(stmt, 2);
    ret->ended_ms =
        sqlite3_column_type(stmt, 3) == SQLITE_NULL ? TIME_UNKNOWN : sqlite3_column_int64(stmt, 3);
    return 1;
}

int past_last_snapshot(sqlite3 *db, struct past_snapshot *ret, struct err *err)
{
    static const char sql[] = "SELECT s.start_ms, s.recording, r.boot FROM snapshots AS s "
                              "JOIN recordings AS r ON r.id = s.recording "
                              "ORDER BY s.start_ms DESC LIMIT 1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r >= 0)
        r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    ret->start_ms = sqlite3_column_int64(stmt, 0);
    ret->recording = sqlite3_column_int64(stmt, 1);
    ret->boot = sqlite3_column_int64(stmt, 2);
    return 1;
}

int past_find_boot(sqlite3 *db, const char *boot_id, int64_t *ret_id, int64_t *ret_base_ms,
                   struct err *err)
{
    static const char sql[] = "SELECT id, base_ms FROM boots WHERE boot_id = ?1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    sql_bind_string(stmt, 1, boot_id);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    *ret_id = sqlite3_column_int64(stmt, 0);
    *ret_base_ms = sqlite3_column_int64(stmt, 1);
    return 1;
}

static int read_runs(sqlite3 *db, const char *boot_id, struct store_past *past, struct err *err)
{
    static const char heard_sql[] = "SELECT count(*) FROM recordings WHERE event_buffer > 0";
    struct past_recording last;
    int64_t boot, base_ms, heard = 0;
    int found, r = past_last_recording(db, &last, err);

    if (r > 0)
        r = sql_query_i64(db, heard_sql, &heard, err);
    if (r <= 0)
        return r;
    past->ended_ms = heard ? last.ended_ms : TIME_UNKNOWN;
    if (heard && past->ended_ms == TIME_UNKNOWN)
        past->ended_ms = past->has_snapshot ? past->last_snapshot_ms : last.started_ms;
    found = past_find_boot(db, boot_id, &boot, &base_ms, err);
    if (found > 0 && boot == last.boot) {
        past->same_boot = true;
        past->boot_base_ms = base_ms;
    }
    return found;
}

static int read_times(sqlite3 *db, struct store_past *past, struct err *err)
{
    static const char complete_sql[] =
        "SELECT s.start_ms FROM snapshots AS s WHERE s.status = 0 OR "
        "EXISTS (SELECT 1 FROM incomplete AS i "
        "WHERE i.start_ms = s.start_ms) "
        "ORDER BY start_ms DESC LIMIT 1";
    static const char epoch_sql[] = "SELECT offset_ms FROM epochs ORDER BY from_ms DESC LIMIT 1";
    struct past_snapshot last;
    int64_t next_life = 1;
    int r = past_last_snapshot(db, &last, err);

    if (r < 0)
        return r;
    past->has_snapshot = r > 0;
    past->last_snapshot_ms = r > 0 ? last.start_ms : 0;
    past->last_complete_ms = TIME_UNKNOWN;
    r = sql_query_i64(db, complete_sql, &past->last_complete_ms, err);
    if (r >= 0)
        r = sql_query_i64(db, epoch_sql, &past->offset_ms, err);
    if (r >= 0)
        r = sql_query_i64(db, "SELECT last_ms FROM program", &past->last_ms, err);
    if (r >= 0)
        r = sql_query_i64(db, "SELECT next_life FROM program", &next_life, err);
    past->next_life = (uint64_t)next_life;
    return r;
}

int store_read_past(struct store *store, const char *boot_id, struct store_past *ret,
                    struct err *err)
{
    struct store_past past = {.ended_ms = TIME_UNKNOWN};
    int r = read_times(store->db, &past, err);

    if (r >= 0)
        r = read_runs(store->db, boot_id, &past, err);
    if (r < 0)
        return r;
    *ret = past;
    return 0;
}
