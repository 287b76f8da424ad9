/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "connhist/model/history.h"
#include "connhist/store/file.h"
#include "connhist/store/maintain.h"
#include "new_file.h"
#include "reader.h"
#include "sql.h"

#define PAGES_AT_ONCE 1024

/* All of one instant: the transaction of the reader keeps a recorder from moving on under the copy, which
 * would have to begin again each time. */
static int copy_pages(struct db *db, struct new_file *file, const struct maintenance *work,
                      struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(file->db, "main", db->db, "main");
    int rc = SQLITE_OK;

    if (!backup)
        return sql_fail(file->db, sqlite3_errcode(file->db), err);
    while (rc == SQLITE_OK) {
        int total = sqlite3_backup_pagecount(backup);

        progress_show(work->progress, "copying", total - sqlite3_backup_remaining(backup), total);
        rc = sqlite3_backup_step(backup, PAGES_AT_ONCE);
    }
    sqlite3_backup_finish(backup);
    if (rc == SQLITE_DONE)
        return 0;
    /* what the one could not read, the other could not write */
    return sql_fail(sqlite3_errcode(db->db) == rc ? db->db : file->db, rc, err);
}

int maintain_copy(const char *path, const char *to, const struct maintenance *work, struct err *err)
{
    _cleanup_(cleanup_new_file_free) struct new_file *file = NULL;
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    int r = db_open(path, &db, err);

    if (r >= 0)
        r = new_file_open(to, &file, err);
    if (r < 0)
        return r;
    r = db_begin(db, err);
    if (r >= 0) /* begins to read: BEGIN alone does not */
        r = sql_exec(db->db, "SELECT 1 FROM sqlite_schema", err);
    if (r >= 0)
        r = copy_pages(db, file, work, err);
    db_end(db);
    progress_clear(work->progress);
    return r < 0 ? r : new_file_finish(file, err);
}

/* Statements in their order: what others refer to comes last, by what is there. ?1 and ?2: the span. */
struct part {
    const char *what; /* for progress */
    const char *sql;
    int edition; /* the first one that has it */
};

#define ROLLUP_MS "CASE r.tier WHEN 1 THEN 60000 WHEN 2 THEN 3600000 ELSE 86400000 END"

#define CLOSING "((key >> 16 & (1 << 42) - 1) - late_ms)"

static const struct part parts[] = {
    {"runs", "INSERT INTO boots SELECT * FROM old.boots", 1},
    {"runs", "INSERT INTO recordings SELECT * FROM old.recordings WHERE started_ms < ?2", 1},
    {"runs", "UPDATE recordings SET ended_ms = ?2 WHERE ended_ms > ?2", 1},
    {"runs",
     "INSERT OR IGNORE INTO recordings SELECT * FROM old.recordings WHERE id IN (SELECT \"after\" "
     "FROM old.pauses WHERE until_ms > ?1 AND from_ms < ?2)",
     3},
    {"runs", "INSERT INTO epochs SELECT * FROM old.epochs", 1},
    {"runs", "INSERT INTO service_names SELECT * FROM old.service_names", 1},
    {"runs", "REPLACE INTO loss_kinds SELECT * FROM old.loss_kinds", 1},
    {"runs", "REPLACE INTO program SELECT * FROM old.program", 1},
    {"losses", "INSERT INTO losses SELECT * FROM old.losses WHERE until_ms >= ?1 AND from_ms < ?2",
     1},
    {"snapshots",
     "INSERT INTO snapshots SELECT * FROM old.snapshots WHERE start_ms >= ?1 AND start_ms < ?2", 1},
    {"counts",
     "INSERT INTO tallies SELECT t.* FROM old.services AS s CROSS JOIN old.states AS st CROSS JOIN "
     "old.tallies AS t WHERE t.service = s.id AND t.state = st.state AND t.at_ms >= ?1 AND t.at_ms "
     "< ?2",
     1},
    {"counts by period",
     "INSERT INTO tally_rollups SELECT r.* FROM (SELECT 1 AS tier UNION ALL SELECT 2 UNION ALL "
     "SELECT 3) AS i CROSS JOIN old.services AS s CROSS JOIN old.states AS st CROSS JOIN "
     "old.tally_rollups AS r WHERE r.tier = i.tier AND r.service = s.id AND r.state = st.state AND "
     "r.at_ms >= ?1 AND r.at_ms < ?2 AND r.at_ms + " ROLLUP_MS " <= ?2",
     3},
    {"counts by period",
     "INSERT INTO netns_tallies SELECT r.* FROM old.netns_tallies AS r WHERE r.at_ms >= ?1 AND "
     "r.at_ms + " ROLLUP_MS " <= ?2",
     3},
    {"counts by period",
     "INSERT INTO netns_covers SELECT r.* FROM old.netns_covers AS r WHERE r.at_ms >= ?1 AND "
     "r.at_ms + " ROLLUP_MS " <= ?2",
     3},
    {"counts by period",
     "INSERT INTO cover_rollups SELECT r.* FROM old.cover_rollups AS r WHERE r.at_ms >= ?1 AND "
     "r.at_ms + " ROLLUP_MS " <= ?2",
     3},
    {"rates",
     "INSERT INTO rate_rollups SELECT r.* FROM (SELECT 1 AS tier UNION ALL SELECT 2 UNION ALL "
     "SELECT 3) AS i CROSS JOIN old.services AS s CROSS JOIN old.rate_rollups AS r WHERE r.tier = "
     "i.tier AND r.service = s.id AND r.at_ms >= ?1 AND r.at_ms < ?2 AND r.at_ms + " ROLLUP_MS
     " <= ?2",
     2},
    {"pauses", "INSERT INTO pauses SELECT * FROM old.pauses WHERE until_ms > ?1 AND from_ms < ?2",
     3},
    {"tiers",
     "REPLACE INTO tiers SELECT tier, name, max(from_ms, ?1), iif(tier < 1, until_ms, "
     "min(until_ms, "
     "?2 / length * length)) FROM (SELECT r.*, " ROLLUP_MS " AS length FROM old.tiers AS r)",
     3},
    {"prunings",
     "INSERT INTO prunings SELECT * FROM old.prunings WHERE until_ms > ?1 AND from_ms < ?2", 3},
    {"open sockets",
     "INSERT INTO open SELECT life, cookie, inode, service, local, remote, local_port, "
     "remote_port, scope, owner, since_ms, traits & ~15 | state_before(states, since_ms, ?2), "
     "states_before(states, since_ms, ?2) FROM old.open WHERE since_ms < ?2",
     1},
    {"open sockets",
     "INSERT INTO open_facts SELECT * FROM old.open_facts WHERE at_ms < ?2 AND life IN (SELECT "
     "life FROM open)",
     2},
    /* What closed behind the span was open at its end. It gets a number where it had kept none; its
     * cookie is none of the kernel's, which are positive. */
    {"open sockets",
     "INSERT INTO open SELECT number, -number, 0, service, local, remote, local_port, remote_port, "
     "scope, owner, since_ms, traits & ~15 | state_before(states, since_ms, ?2), "
     "states_before(states, since_ms, ?2) FROM (SELECT *, coalesce(life, (SELECT next_life FROM "
     "program) + row_number() OVER (ORDER BY key)) AS number, " CLOSING " - duration_ms AS "
     "since_ms FROM closed WHERE " CLOSING " >= ?2)",
     1},
    {"open sockets", "DELETE FROM closed WHERE " CLOSING " >= ?2", 1},
    {"open sockets",
     "UPDATE program SET next_life = max(next_life, (SELECT coalesce(max(life), 0) + 1 FROM open))",
     1},
    {"late", "INSERT INTO late SELECT * FROM old.late WHERE life IN (SELECT life FROM closed)", 2},
    {"queues",
     "INSERT INTO queues SELECT * FROM old.queues WHERE at_ms < ?2 AND (life IN (SELECT life FROM "
     "open) OR life IN (SELECT life FROM closed))",
     1},
    {"owner_changes",
     "INSERT INTO owner_changes SELECT * FROM old.owner_changes WHERE life IN (SELECT life FROM "
     "open) OR life IN (SELECT life FROM closed)",
     2},
    {"offloads",
     "INSERT INTO offloads SELECT * FROM old.offloads WHERE at_ms < ?2 AND (life IN (SELECT life "
     "FROM "
     "open) OR life IN (SELECT life FROM closed))",
     2},
    {"namespaces",
     "INSERT INTO incomplete SELECT * FROM old.incomplete WHERE start_ms >= ?1 AND start_ms < ?2",
     2},
    {"namespaces",
     "INSERT INTO netns_spans SELECT * FROM old.netns_spans WHERE coalesce(until_ms, ?2) >= ?1 AND "
     "from_ms < ?2",
     2},
    {"holders",
     "INSERT INTO holders SELECT * FROM old.holders WHERE life IN (SELECT life FROM open) OR life "
     "IN (SELECT life FROM closed)",
     1},
    {"counters", "INSERT INTO counter_names SELECT * FROM old.counter_names", 4},
    {"counters",
     "INSERT INTO readings SELECT * FROM old.readings WHERE at_ms < ?2 AND at_ms >= "
     "coalesce((SELECT "
     "max(r.at_ms) FROM old.readings AS r WHERE r.at_ms <= ?1), ?1)",
     4},
    {"counters",
     "INSERT INTO reading_lacks SELECT * FROM old.reading_lacks WHERE at_ms >= ?1 AND at_ms < ?2",
     4},
    /* values are looked for back to the begin of their hour, then by the hour, then by the day */
    {"counters",
     "INSERT INTO counters SELECT * FROM old.counters WHERE at_ms >= ?1 / 3600000 * 3600000 AND "
     "at_ms < ?2",
     4},
    {"counters",
     "INSERT INTO counter_rollups SELECT r.* FROM old.counter_rollups AS r WHERE r.at_ms >= ?1 / "
     "86400000 * 86400000 AND r.at_ms + " ROLLUP_MS " <= ?2",
     4},
    {"counters",
     "INSERT INTO counter_rollups SELECT tier, netns, max(at_ms), counter, 0, 0, last, NULL, NULL, "
     "turns FROM old.counter_rollups WHERE tier = 3 AND at_ms < ?1 / 86400000 * 86400000 AND "
     "?2 > 0 GROUP BY netns, counter",
     4},
    {"counters",
     "INSERT INTO counter_cover SELECT r.* FROM old.counter_cover AS r WHERE r.at_ms >= ?1 / "
     "86400000 * 86400000 AND r.at_ms + " ROLLUP_MS " <= ?2",
     4},
    {"interfaces",
     "INSERT INTO interfaces SELECT * FROM old.interfaces WHERE coalesce(until_ms, ?2) > ?1 AND "
     "from_ms < ?2",
     4},
    {"routes",
     "INSERT INTO routes SELECT * FROM old.routes WHERE coalesce(until_ms, ?2) > ?1 AND from_ms < "
     "?2",
     4},
    {"routes",
     "INSERT INTO route_ways SELECT * FROM old.route_ways WHERE route IN (SELECT id FROM routes)",
     4},
    {"names",
     "INSERT INTO services SELECT * FROM old.services WHERE id IN (SELECT service FROM open UNION "
     "SELECT service FROM closed UNION SELECT service FROM tallies)",
     1},
    {"names",
     "INSERT OR IGNORE INTO services SELECT * FROM old.services WHERE id IN (SELECT service FROM "
     "rate_rollups)",
     2},
    {"names",
     "INSERT OR IGNORE INTO services SELECT * FROM old.services WHERE id IN (SELECT service FROM "
     "tally_rollups UNION SELECT service FROM netns_tallies)",
     3},
    {"names",
     "INSERT INTO netns SELECT * FROM old.netns WHERE name = '' OR id IN (SELECT netns FROM "
     "services)",
     1},
    {"names",
     "INSERT OR IGNORE INTO netns SELECT * FROM old.netns WHERE id IN (SELECT netns FROM "
     "incomplete UNION SELECT netns FROM netns_spans)",
     2},
    {"names",
     "INSERT OR IGNORE INTO netns SELECT * FROM old.netns WHERE id IN (SELECT netns FROM "
     "netns_covers)",
     3},
    {"names",
     "INSERT OR IGNORE INTO netns SELECT * FROM old.netns WHERE id IN (SELECT netns FROM counters "
     "UNION SELECT netns FROM counter_rollups UNION SELECT netns FROM interfaces UNION SELECT "
     "netns FROM routes UNION SELECT netns FROM reading_lacks UNION SELECT netns FROM "
     "counter_cover)",
     4},
    {"names",
     "INSERT INTO owners SELECT * FROM old.owners WHERE id IN (SELECT owner FROM open UNION SELECT "
     "owner FROM closed UNION SELECT owner FROM holders)",
     1},
    {"names",
     "INSERT OR IGNORE INTO owners SELECT * FROM old.owners WHERE id IN (SELECT owner FROM "
     "owner_changes)",
     2},
    {"names",
     "INSERT INTO processes SELECT * FROM old.processes WHERE id IN (SELECT process FROM owners)",
     1},
    {"names",
     "INSERT INTO programs SELECT * FROM old.programs WHERE id IN (SELECT program FROM owners)", 1},
    {"names",
     "INSERT INTO cgroups SELECT * FROM old.cgroups WHERE id IN (SELECT cgroup FROM owners)", 1},
    {"names",
     "INSERT INTO addresses (id, bytes) SELECT id, bytes FROM old.addresses WHERE id IN (SELECT "
     "local FROM open UNION SELECT local FROM closed)",
     1},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

static int run_part(sqlite3 *db, const struct part *part, int64_t from_ms, int64_t until_ms,
                    struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, part->sql, &stmt, err);

    if (r < 0)
        return r;
    /* not each has both */
    for (int i = 1; i <= sqlite3_bind_parameter_count(stmt); i++)
        sqlite3_bind_int64(stmt, i, i == 1 ? from_ms : until_ms);
    return sql_run(stmt, err);
}

/* Those that were alive in the span: by class, each needs a short range of keys alone. */
static int copy_closed(sqlite3 *db, int64_t from_ms, int64_t until_ms, struct err *err)
{
    static const char sql[] =
        "INSERT INTO closed SELECT * FROM old.closed WHERE key BETWEEN ?1 AND ?2 "
        "AND (key >> 16 & (1 << 42) - 1) - late_ms > ?3 "
        "AND (key >> 16 & (1 << 42) - 1) - late_ms - duration_ms < ?4";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    for (unsigned class = 0; class < FILE_CLASSES && r >= 0; class ++) {
        int64_t first, last;

        file_alive_range(class, from_ms, until_ms, &first, &last);
        SQL_BIND(stmt, first, last, from_ms, until_ms);
        r = sql_run(stmt, err);
    }
    return r;
}

/* Of the values (states, since_ms, until_ms): what changed before until_ms, and ret_state. */
static size_t cut_states(sqlite3_value **values, unsigned *ret_state)
{
    const uint8_t *bytes = sqlite3_value_blob(values[0]);
    size_t n = (size_t)sqlite3_value_bytes(values[0]), offset = 0, kept = 0;
    struct history_change change = {.at_ms = sqlite3_value_int64(values[1])};
    int64_t until_ms = sqlite3_value_int64(values[2]);

    while (history_next(bytes, n, &offset, &change) > 0 && (kept == 0 || change.at_ms < until_ms)) {
        *ret_state = change.state;
        kept = offset;
    }
    return kept;
}

/* states_before(states, since_ms, until_ms) */
static void f_states_before(sqlite3_context *context, int n, sqlite3_value **values)
{
    unsigned state = 0;
    size_t kept = cut_states(values, &state);

    (void)n;
    sqlite3_result_blob(context, sqlite3_value_blob(values[0]), (int)kept, SQLITE_TRANSIENT);
}

/* state_before(states, since_ms, until_ms) */
static void f_state_before(sqlite3_context *context, int n, sqlite3_value **values)
{
    unsigned state = 0;

    (void)n;
    cut_states(values, &state);
    sqlite3_result_int(context, (int)state);
}

static int add_functions(sqlite3 *db, struct err *err)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    int rc =
        sqlite3_create_function(db, "states_before", 3, flags, NULL, f_states_before, NULL, NULL);

    if (rc == SQLITE_OK)
        rc =
            sqlite3_create_function(db, "state_before", 3, flags, NULL, f_state_before, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sql_fail(db, rc, err);
}

/* So that the first counts of the copy are whole: the last full ones before it. */
static int find_begin(sqlite3 *db, int64_t *from_ms, struct err *err)
{
    static const char sql[] = "SELECT max(start_ms) FROM old.snapshots WHERE anchor = 1 "
                              "AND start_ms <= ?1";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, *from_ms);
    r = sql_step(stmt, err);
    if (r > 0 && sqlite3_column_type(stmt, 0) != SQLITE_NULL)
        *from_ms = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

static int copy_parts(sqlite3 *db, int edition, int64_t from_ms, int64_t until_ms,
                      const struct maintenance *work, struct err *err)
{
    int r = add_functions(db, err);

    if (r >= 0)
        r = sql_exec(db, "BEGIN", err);
    if (r >= 0)
        r = find_begin(db, &from_ms, err);
    progress_show(work->progress, "sockets", 0, (int64_t)PARTS + 1);
    if (r >= 0)
        r = copy_closed(db, from_ms, until_ms, err);
    for (size_t i = 0; i < PARTS && r >= 0; i++) {
        progress_show(work->progress, parts[i].what, (int64_t)i + 1, (int64_t)PARTS + 1);
        if (parts[i].edition <= edition)
            r = run_part(db, &parts[i], from_ms, until_ms, err);
    }
    return r < 0 ? r : sql_exec(db, "COMMIT", err);
}

/* Read-only, whatever the file beside it may be opened for. */
static int attach(sqlite3 *db, const char *path, struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    _cleanup_free_ char *real = realpath(path, NULL);
    sqlite3_str *uri = sqlite3_str_new(db);
    char *text;
    int r;

    for (const char *p = real ? real : path; *p; p++)
        sqlite3_str_appendf(uri, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
    text = sqlite3_str_finish(uri);
    if (!text)
        return err_errno(err, -ENOMEM, "%s", path);
    uri = sqlite3_str_new(db);
    sqlite3_str_appendf(uri, "file:%s?mode=ro", text);
    sqlite3_free(text);
    text = sqlite3_str_finish(uri);
    r = text ? sql_prepare(db, "ATTACH ?1 AS old", &stmt, err)
             : err_errno(err, -ENOMEM, "%s", path);
    if (r >= 0) {
        sqlite3_bind_text(stmt, 1, text, -1, SQLITE_STATIC);
        r = sql_run(stmt, err);
    }
    sqlite3_free(text);
    return r;
}

int maintain_copy_span(const char *path, const char *to, int64_t from_ms, int64_t until_ms,
                       const struct maintenance *work, struct err *err)
{
    _cleanup_(cleanup_new_file_free) struct new_file *file = NULL;
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    int r = db_open(path, &db, err);

    if (r >= 0)
        r = new_file_open(to, &file, err);
    if (r >= 0)
        r = new_file_format(file, db_edition(db), err);
    if (r >= 0)
        r = attach(file->db, path, err);
    if (r >= 0)
        r = copy_parts(file->db, db_edition(db), from_ms, until_ms, work, err);
    progress_clear(work->progress);
    if (r >= 0)
        r = sql_exec(file->db, "DETACH old", err);
    return r < 0 ? r : new_file_finish(file, err);
}
