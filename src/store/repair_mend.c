/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "repair.h"
#include "senses.h"
#include "sql.h"

static int mend_senses(struct repair *repair, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < senses_n && r >= 0; i++) {
        const struct sense *sense = &senses[i];
        int64_t n = 0;

        progress_show(repair->work->progress, "mending", (int64_t)i, (int64_t)senses_n);
        if (sense->edition > repair->edition)
            continue;
        r = senses_count(repair->db, sense, &n, err);
        if (r < 0 || n == 0)
            continue;
        repair_tell(repair, "%s: %lld row%s %s%s", sense->table, (long long)n, n > 1 ? "s" : "",
                    sense->words,
                    sense->check_only ? ": left as they are"
                    : sense->mend     ? ""
                                      : ": left out");
        r = sense->check_only ? 0 : senses_mend(repair->db, sense, err);
    }
    return r < 0 ? r : 0;
}

struct unsound {
    sqlite3_stmt *stmt;
    int64_t n, first_ms, last_ms;
    struct err *err;
};

static int note(void *arg, int64_t start_ms)
{
    struct unsound *unsound = arg;

    if (unsound->n++ == 0)
        unsound->first_ms = start_ms;
    unsound->last_ms = start_ms;
    SQL_BIND(unsound->stmt, start_ms);
    return sql_run(unsound->stmt, unsound->err);
}

/* n_demoted: snapshots that were complete until now. */
static void tell_counts(struct repair *repair, const struct unsound *unsound, int64_t n_demoted)
{
    bool more = n_demoted > 1;

    if (unsound->n > 1)
        repair_tell(repair,
                    "tallies: %lld snapshots between %lld and %lld ms lack counts: with all that "
                    "have the same full counts %lld %s no longer complete",
                    (long long)unsound->n, (long long)unsound->first_ms,
                    (long long)unsound->last_ms, (long long)n_demoted, more ? "are" : "is");
    else
        repair_tell(repair,
                    "tallies: the snapshot at %lld ms lacks counts: with all that have the same "
                    "full counts %lld %s no longer complete",
                    (long long)unsound->first_ms, (long long)n_demoted, more ? "are" : "is");
}

/* A snapshot whose counts are not all there is not complete: then nobody takes what lacks for 0. Sums can be right by
 * chance, as where a socket changed its state and both counts are gone: so all from the full counts before up to the next ones are in
 * doubt. */
static int mend_counts(struct repair *repair, struct err *err)
{
    static const char sql[] =
        "UPDATE snapshots SET status = 1 WHERE status = 0 AND start_ms IN (SELECT s.start_ms FROM "
        "(SELECT DISTINCT coalesce((SELECT a.start_ms FROM snapshots AS a WHERE a.anchor = 1 AND "
        "a.start_ms <= u.start_ms ORDER BY a.start_ms DESC LIMIT 1), u.start_ms) AS from_ms, "
        "coalesce((SELECT a.start_ms FROM snapshots AS a WHERE a.anchor = 1 AND a.start_ms > "
        "u.start_ms ORDER BY a.start_ms LIMIT 1), 9223372036854775807) AS until_ms FROM "
        "temp.unsound AS u) AS d JOIN snapshots AS s ON s.start_ms >= d.from_ms AND s.start_ms < "
        "d.until_ms)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    struct unsound unsound = {.err = err};
    const struct counts_faults faults = {.unsound = note, .arg = &unsound};
    int r = sql_exec(repair->db, "CREATE TEMP TABLE unsound (start_ms INTEGER PRIMARY KEY)", err);

    if (r >= 0)
        r = sql_prepare(repair->db, "INSERT OR IGNORE INTO temp.unsound VALUES (?1)", &stmt, err);
    unsound.stmt = stmt;
    if (r >= 0)
        r = senses_each_counts_fault(repair->db, repair->edition, &faults, err);
    if (r >= 0)
        r = sql_exec(repair->db, sql, err);
    if (r >= 0 && unsound.n > 0)
        tell_counts(repair, &unsound, sqlite3_changes64(repair->db));
    return r < 0 ? r : sql_exec(repair->db, "DROP TABLE temp.unsound", err);
}

/* How many sockets a snapshot saw says nothing of its counts where it was complete in some namespaces alone. So where
 * counts may be gone none of them is trusted: each is complete in no namespace. */
static int mend_incomplete(struct repair *repair, struct err *err)
{
    int64_t n = 0;
    int r = sql_query_i64(repair->db, "SELECT count(DISTINCT start_ms) FROM incomplete", &n, err);

    if (r < 0 || n == 0)
        return r < 0 ? r : 0;
    repair_tell(repair,
                "tallies: %lld snapshot%s that %s complete in some namespaces may lack counts: %s "
                "complete in none",
                (long long)n, n > 1 ? "s" : "", n > 1 ? "were" : "was",
                n > 1 ? "they are" : "it is");
    return sql_exec(repair->db, "DELETE FROM incomplete", err);
}

/* Where snapshots are gone, or no longer complete, nothing is known. */
static int mend_pauses(struct repair *repair, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO pauses "
        "SELECT p.from_ms, p.until_ms, p.before, p.after, (SELECT count(*) FROM snapshots AS i "
        "WHERE i.start_ms > p.from_ms AND i.start_ms < p.until_ms) FROM ("
        "SELECT w.*, max(b.interval_ms, a.interval_ms) AS interval_ms, "
        "coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= w.until_ms ORDER BY "
        "e.from_ms DESC LIMIT 1), 0) - coalesce((SELECT e.offset_ms FROM epochs AS e WHERE "
        "e.from_ms <= w.from_ms ORDER BY e.from_ms DESC LIMIT 1), 0) AS set_ms FROM ("
        "SELECT lag(s.start_ms) OVER later AS from_ms, s.start_ms AS until_ms, "
        "lag(s.recording) OVER later AS before, s.recording AS after "
        "FROM snapshots AS s WHERE s.status = 0 WINDOW later AS (ORDER BY s.start_ms)) AS w "
        "JOIN recordings AS b ON b.id = w.before JOIN recordings AS a ON a.id = w.after) AS p "
        "WHERE p.until_ms - p.from_ms + max(p.set_ms, 0) > p.interval_ms + p.interval_ms / 2;"
        "DELETE FROM pauses WHERE EXISTS (SELECT 1 FROM pauses AS p WHERE p.from_ms <= "
        "pauses.from_ms AND p.until_ms >= pauses.until_ms AND (p.from_ms < pauses.from_ms OR "
        "p.until_ms > pauses.until_ms))";

    return repair->edition < 3 ? 0 : sql_exec(repair->db, sql, err);
}

/* The begin and the end of all that is known: of counts added up, runs and sockets too, where no snapshot
 * is left. Ends of sockets may be still to come. */
#define KNOWN_SQL                                                                    \
    "SELECT min(start_ms) AS from_ms, max(start_ms) AS until_ms FROM snapshots "     \
    "UNION ALL SELECT min(started_ms), max(max(started_ms, coalesce(ended_ms, 0))) " \
    "FROM recordings "                                                               \
    "UNION ALL SELECT min(since_ms), max(since_ms) FROM open "                       \
    "UNION ALL SELECT min((key >> 16 & (1 << 42) - 1) - late_ms - duration_ms), "    \
    "max((key >> 16 & (1 << 42) - 1) - late_ms - duration_ms) FROM closed "          \
    "UNION ALL SELECT nullif(last_ms, 0), last_ms FROM program "
#define KNOWN_ROLLUPS_SQL                                                                  \
    "UNION ALL SELECT min(coalesce(first_ms, at_ms)), max(coalesce(last_ms, at_ms)) FROM " \
    "cover_rollups "

/* Readers of the new file shall know: the whole record may lack something. */
static int note_loss(struct repair *repair, struct err *err)
{
    static const char sql[] =
        "INSERT INTO losses (from_ms, until_ms, kind, count, text) "
        "SELECT coalesce(min(from_ms), 0), coalesce(max(until_ms), 0), 8, ?1, "
        "'the file was damaged and repaired' FROM (" KNOWN_SQL KNOWN_ROLLUPS_SQL ")";
    static const char old_sql[] =
        "INSERT INTO losses (from_ms, until_ms, kind, count, text) "
        "SELECT coalesce(min(from_ms), 0), coalesce(max(until_ms), 0), 8, ?1, "
        "'the file was damaged and repaired' FROM (" KNOWN_SQL ")";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r =
        sql_exec(repair->db, "INSERT OR IGNORE INTO loss_kinds VALUES (8, 'file damaged')", err);

    if (r >= 0)
        r = sql_prepare(repair->db, repair->edition < 3 ? old_sql : sql, &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, repair->lost_pages);
    return sql_run(stmt, err);
}

int repair_mend(struct repair *repair, struct err *err)
{
    int r = senses_register(repair->db, err);

    if (r >= 0)
        r = mend_senses(repair, err);
    if (r >= 0)
        r = mend_counts(repair, err);
    if (r >= 0 && repair->counts_lost && repair->edition >= 2)
        r = mend_incomplete(repair, err);
    if (r >= 0 && repair->edition >= 3) /* made again of the sockets that were saved */
        r = sql_exec(repair->db, "DELETE FROM hours", err);
    if (r >= 0 && repair->lost > 0) {
        r = mend_pauses(repair, err);
        if (r >= 0)
            r = note_loss(repair, err);
    }
    return r;
}
