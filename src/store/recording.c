/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "past.h"
#include "sql.h"

static int note_end(struct store *store, int64_t id, int64_t ended_ms, struct err *err)
{
    static const char sql[] = "UPDATE recordings SET ended_ms = ?2 WHERE id = ?1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, id, ended_ms);
    return sql_run(stmt, err);
}

static int find_boot(struct store *store, const struct recording *recording, int64_t *ret,
                     struct err *err)
{
    static const char sql[] = "INSERT INTO boots (boot_id, base_ms) VALUES (?1, ?2)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int64_t base_ms;
    int r = past_find_boot(store->db, recording->boot_id, ret, &base_ms, err);

    if (r == 0)
        r = sql_prepare(store->db, sql, &stmt, err);
    if (r < 0 || !stmt)
        return r;
    sql_bind_string(stmt, 1, recording->boot_id);
    sqlite3_bind_int64(stmt, 2, recording->boot_base_ms);
    r = sql_run(stmt, err);
    if (r >= 0)
        *ret = sqlite3_last_insert_rowid(store->db);
    return r;
}

static int note_death(struct store *store, const struct past_recording *earlier, bool same_boot,
                      int64_t last_ms, int64_t now_ms, struct err *err)
{
    struct loss loss = {
        .from_ms = last_ms,
        .until_ms = now_ms > last_ms ? now_ms : last_ms,
        .kind = LOSS_RECORDER_DIED,
    };

    snprintf(loss.text, sizeof(loss.text), "%s without a closing note (run %lld)",
             same_boot ? "the recorder ended" : "the recorder or the host ended",
             (long long)earlier->id);
    return writer_add_loss(store, &loss, err);
}

/* Brings in order what the run before left. Its lives stay open if this is the same boot, since
 * sockets can be known again by their cookies. */
static int tidy_up(struct store *store, int64_t boot, int64_t now_ms, struct err *err)
{
    struct past_snapshot snapshot = {0};
    struct past_recording earlier;
    bool has_snapshot;
    int r = past_last_recording(store->db, &earlier, err);

    if (r <= 0)
        return r;
    r = past_last_snapshot(store->db, &snapshot, err);
    if (r < 0)
        return r;
    has_snapshot = r > 0;
    if (earlier.boot != boot) /* what was sampled in that snapshot was open at its instant */
        r = lives_close_others(store, NULL, 0, has_snapshot ? snapshot.start_ms + 1 : INT64_MIN,
                               false, err);
    if (r >= 0 && earlier.boot != boot && has_snapshot)
        r = planned_cut(store, snapshot.start_ms + 1, err);
    if (r >= 0 && earlier.boot != boot)
        r = standing_end_boot(store, has_snapshot ? snapshot.start_ms : earlier.started_ms, err);
    if (r < 0 || earlier.ended_ms != TIME_UNKNOWN)
        return r;
    return note_death(store, &earlier, earlier.boot == boot,
                      has_snapshot && snapshot.recording == earlier.id ? snapshot.start_ms
                                                                       : earlier.started_ms,
                      now_ms, err);
}

static int add_recording(struct store *store, const struct recording *recording, int64_t boot,
                         int64_t *ret, struct err *err)
{
    static const char sql[] =
        "INSERT INTO recordings (boot, started_ms, interval_ms, pid, uid, "
        "detail, version, events_asked, max_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, boot, recording->started_ms, recording->interval_ms, getpid(), geteuid());
    sql_bind_string(stmt, 6, recording->detail);
    sql_bind_string(stmt, 7, recording->version);
    sqlite3_bind_int64(stmt, 8, recording->events_asked);
    if (store->retention.set)
        sqlite3_bind_int64(stmt, 9, store->retention.wanted.max_bytes);
    r = sql_run(stmt, err);
    if (r >= 0)
        *ret = sqlite3_last_insert_rowid(store->db);
    return r;
}

static int replace_names(struct store *store, const struct service_name *names, size_t n,
                         struct err *err)
{
    static const char sql[] = "INSERT OR REPLACE INTO service_names (port, protocol, name) "
                              "VALUES (?1, ?2, ?3)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_exec(store->db, "DELETE FROM service_names", err);

    if (r >= 0)
        r = sql_prepare(store->db, sql, &stmt, err);
    for (size_t i = 0; i < n && r >= 0; i++) {
        SQL_BIND(stmt, names[i].port, names[i].protocol);
        sql_bind_string(stmt, 3, names[i].name);
        r = sql_run(stmt, err);
    }
    return r;
}

static int begin(struct store *store, const struct recording *recording,
                 const struct service_name *names, size_t n_names, int64_t *ret_boot,
                 int64_t *ret_id, struct err *err)
{
    int64_t boot = 0;
    int r = find_boot(store, recording, &boot, err);

    if (r >= 0)
        r = store->recording ? note_end(store, store->recording, recording->started_ms, err)
                             : tidy_up(store, boot, recording->started_ms, err);
    if (r >= 0)
        r = replace_names(store, names, n_names, err);
    if (r >= 0)
        r = add_recording(store, recording, boot, ret_id, err);
    if (r >= 0)
        r = writer_set_program(store, 1, recording->started_ms, err);
    *ret_boot = boot;
    return r;
}

int store_begin_recording(struct store *store, const struct recording *recording,
                          const struct service_name *names, size_t n_names, struct err *err)
{
    static const struct budget_need need = {.pages = 64, .frames = 64, .counts = true};
    int64_t id = 0, boot = 0;
    int r;

    /* if there is no room it is tried all the same */
    budget_make_room(store, &need, NULL);
    r = writer_begin(store, err);

    if (r < 0)
        return r;
    store->retention.wal = NULL; /* what is brought in order once is not broken off for its size */
    r = writer_end(store, begin(store, recording, names, n_names, &boot, &id, err), err);
    if (r < 0)
        return r;
    store->recording = id;
    store->boot = boot;
    store->boot_base_ms = recording->boot_base_ms;
    store->interval_ms = recording->interval_ms;
    return 0;
}

int store_end_recording(struct store *store, int64_t ended_ms, struct err *err)
{
    int r;

    if (!store->recording)
        return 0;
    r = writer_begin(store, err);
    if (r < 0)
        return r;
    r = note_end(store, store->recording, ended_ms, err);
    if (r >= 0)
        r = writer_set_program(store, 1, ended_ms, err);
    r = writer_end(store, r, err);
    if (r < 0)
        return r;
    store->recording = 0;
    return 0;
}
