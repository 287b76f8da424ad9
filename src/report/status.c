/* SPDX-License-Identifier: MIT */
#include "connhist/report/status.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/life.h"
#include "connhist/report/coverage.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "edition.h"

#define COVERAGE_MS (INT64_C(24) * 3600 * 1000)

/* A run must have lasted so long, and for an interval, to be told as a share of a core. */
#define SHARE_MIN_MS 10000

/* Closed lives are counted up to here. */
#define COUNTED_MAX 100000

static const char latest_sql[] =
    "SELECT started_ms, ended_ms, interval_ms, detail, version, "
    "cpu_ms, rss_bytes, queue_peak_bytes, "
    "roles_guessed, services_other, (SELECT count(*) FROM recordings), "
    "owners_later, owners_absent, owners_denied "
    "FROM recordings ORDER BY id DESC LIMIT 1";
static const char first_sql[] = "SELECT start_ms FROM snapshots ORDER BY start_ms LIMIT 1";
static const char last_sql[] =
    "SELECT start_ms, took_us, sockets FROM snapshots ORDER BY start_ms DESC LIMIT 1";
static const char open_sql[] = "SELECT count(*) FROM open";
static const char closed_sql[] = "SELECT count(*) FROM (SELECT 1 FROM closed LIMIT ?1)";
static const char lives_sql[] = "SELECT next_life - 1 FROM program WHERE id = 1";

static const char events_sql[] = "SELECT closings, unconnected, unresolved, event_buffer, "
                                 "event_buffer_others, netns, netns_lacks, events_asked "
                                 "FROM recordings ORDER BY id DESC LIMIT 1";

/* One question to the file; the row that it gave, if any, is in *ret. 1: a row is there. */
static int ask(struct db *db, const char *sql, struct stmt **ret, struct err *err)
{
    int r = db_prepare(db, sql, ret, err);

    return r < 0 ? r : stmt_step(*ret, err);
}

struct ages {
    int64_t started_ms; /* of the latest run; record time, TIME_UNKNOWN: never */
    int64_t ended_ms;   /* its end in good order; record time or TIME_UNKNOWN */
    int64_t first_ms;   /* first snapshot; record time or TIME_UNKNOWN */
    int64_t begin_ms;   /* of the oldest that there is; likewise */
    int64_t last_ms;    /* last snapshot; record time or TIME_UNKNOWN */
};

static int ask_latest(struct db *db, struct status *status, struct ages *ages, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = ask(db, latest_sql, &stmt, err);

    if (r <= 0)
        return r;
    ages->started_ms = stmt_i64(stmt, 0);
    if (!stmt_is_null(stmt, 1))
        ages->ended_ms = stmt_i64(stmt, 1);
    status->interval_ms = stmt_i64(stmt, 2);
    snprintf(status->detail, sizeof(status->detail), "%s", stmt_text(stmt, 3));
    snprintf(status->version, sizeof(status->version), "%s", stmt_text(stmt, 4));
    status->cpu_ms = stmt_i64(stmt, 5);
    status->rss_bytes = stmt_i64(stmt, 6);
    status->queue_peak_bytes = stmt_i64(stmt, 7);
    status->roles_guessed = stmt_i64(stmt, 8);
    status->services_other = stmt_i64(stmt, 9);
    status->recordings = stmt_i64(stmt, 10);
    status->owners_later = stmt_i64(stmt, 11);
    status->owners_absent = stmt_i64(stmt, 12);
    status->owners_denied = stmt_i64(stmt, 13);
    return 0;
}

static int ask_events(struct db *db, struct status *status, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (!edition_has_events(db))
        return 0;
    r = ask(db, events_sql, &stmt, err);
    if (r <= 0)
        return r;
    status->closings = stmt_i64(stmt, 0);
    status->unconnected = stmt_i64(stmt, 1);
    status->unresolved = stmt_i64(stmt, 2);
    status->event_buffer = stmt_i64(stmt, 3);
    status->event_buffer_others = stmt_i64(stmt, 4);
    status->netns = stmt_i64(stmt, 5);
    status->netns_lacks = stmt_i64(stmt, 6);
    status->events_asked = stmt_i64(stmt, 7);
    return 0;
}

static int ask_left_out(struct db *db, struct status *status, struct err *err)
{
    static const char sql[] = "SELECT left_out FROM readings ORDER BY at_ms DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (!edition_has_counters(db))
        return 0;
    r = ask(db, sql, &stmt, err);
    if (r > 0)
        status->counters_left_out = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

/* What was added up may be older than all snapshots that are left; periods that they are in begin before them. */
static int ask_periods(struct db *db, struct ages *ages, struct err *err)
{
    static const char sql[] = "SELECT min(at_ms) FROM cover_rollups WHERE tier = ?1";
    static const int64_t lengths_ms[] = {60000, 3600000, 86400000};
    int r = 0;

    for (int i = 0; i < 3 && edition_has_tiers(db) && r >= 0; i++) {
        _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;

        r = db_prepare(db, sql, &stmt, err);
        if (r < 0)
            return r;
        stmt_bind_i64(stmt, 1, i + 1);
        r = stmt_step(stmt, err);
        if (r > 0 && !stmt_is_null(stmt, 0) &&
            (ages->begin_ms == TIME_UNKNOWN || stmt_i64(stmt, 0) + lengths_ms[i] <= ages->begin_ms))
            ages->begin_ms = stmt_i64(stmt, 0);
    }
    return r < 0 ? r : 0;
}

static int ask_snapshots(struct db *db, struct status *status, struct ages *ages, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *first = NULL;
    _cleanup_(cleanup_stmt_free) struct stmt *last = NULL;
    int r = ask(db, first_sql, &first, err);

    if (r <= 0)
        return r;
    ages->first_ms = ages->begin_ms = stmt_i64(first, 0);
    r = ask(db, last_sql, &last, err);
    if (r <= 0)
        return r;
    ages->last_ms = stmt_i64(last, 0);
    status->last_took_us = stmt_i64(last, 1);
    status->last_sockets = stmt_i64(last, 2);
    return 0;
}

static int ask_number(struct db *db, const char *sql, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = ask(db, sql, &stmt, err);

    if (r > 0)
        *ret = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

static int ask_lives(struct db *db, struct status *status, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t lives = 0;
    int r = ask_number(db, open_sql, &status->open_lives, err);

    if (r < 0)
        return r;
    r = db_prepare(db, closed_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, COUNTED_MAX + 1);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    status->closed_lives = stmt_i64(stmt, 0);
    status->closed_exact = status->closed_lives <= COUNTED_MAX;
    if (status->closed_exact)
        return 0;
    /* every life gets a number, so those that are not open have closed: more than this only if the
     * recorder died with some that it never wrote */
    r = ask_number(db, lives_sql, &lives, err);
    if (r == 0 && lives - status->open_lives > status->closed_lives)
        status->closed_lives = lives - status->open_lives;
    return r;
}

static int64_t file_size(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int look_at_files(struct db *db, struct status *status, struct err *err)
{
    const char *path = db_path(db);
    _cleanup_free_ char *wal = NULL;

    if (asprintf(&wal, "%s-wal", path) < 0) {
        wal = NULL;
        return err_errno(err, -ENOMEM, "looking at the file");
    }
    status->file_bytes = file_size(path);
    status->wal_bytes = file_size(wal);
    status->recorder_pid = file_recorder_pid(path);
    return 0;
}

/* The latest run's CPU time as a share of its own time, which ended with it or with its last
 * snapshot. Of a shorter run it would tell what starting costs. */
static double cpu_share(const struct status *status, const struct ages *ages, int64_t now_ms)
{
    int64_t until_ms = ages->last_ms, enough_ms = SHARE_MIN_MS;

    if (ages->started_ms == TIME_UNKNOWN)
        return -1;
    if (ages->ended_ms != TIME_UNKNOWN)
        until_ms = ages->ended_ms;
    else if (status->recorder_pid > 0)
        until_ms = now_ms;
    if (status->interval_ms > enough_ms)
        enough_ms = status->interval_ms;
    return until_ms - ages->started_ms >= enough_ms
               ? (double)status->cpu_ms / (double)(until_ms - ages->started_ms)
               : -1;
}

static int ask_coverage(struct db *db, const struct walltime *walltime, const struct ages *ages,
                        int64_t now_ms, struct status *status, struct err *err)
{
    int64_t from_ms = now_ms - COVERAGE_MS;

    if (ages->first_ms == TIME_UNKNOWN)
        from_ms = now_ms;
    else if (ages->first_ms > from_ms)
        from_ms = ages->first_ms < now_ms ? ages->first_ms : now_ms;
    status->coverage_from_ms = walltime_of_record(walltime, from_ms);
    status->coverage_until_ms = walltime_of_record(walltime, now_ms);
    return coverage_load(db, walltime, from_ms, now_ms, &status->coverage, NULL, err);
}

int status_ask(struct db *db, const struct walltime *walltime, int64_t now_ms, struct status *ret,
               struct err *err)
{
    _cleanup_(status_finish) struct status status = {0};
    struct ages ages = {TIME_UNKNOWN, TIME_UNKNOWN, TIME_UNKNOWN, TIME_UNKNOWN, TIME_UNKNOWN};
    int64_t unused, record_ms;
    int r;

    walltime_to_record(walltime, now_ms, &unused, &record_ms);
    r = look_at_files(db, &status, err);
    if (r == 0)
        r = ask_latest(db, &status, &ages, err);
    if (r == 0)
        r = ask_events(db, &status, err);
    if (r == 0)
        r = ask_left_out(db, &status, err);
    if (r == 0)
        r = ask_snapshots(db, &status, &ages, err);
    if (r == 0)
        r = ask_periods(db, &ages, err);
    if (r == 0)
        r = ask_lives(db, &status, err);
    if (r == 0)
        r = ask_coverage(db, walltime, &ages, record_ms, &status, err);
    if (r < 0)
        return r;
    status.started_ms = walltime_of_record(walltime, ages.started_ms);
    status.ended_ms = walltime_of_record(walltime, ages.ended_ms);
    status.first_snapshot_ms = walltime_of_record(walltime, ages.first_ms);
    status.begin_ms = walltime_of_record(walltime, ages.begin_ms);
    status.last_snapshot_ms = walltime_of_record(walltime, ages.last_ms);
    status.cpu_share = cpu_share(&status, &ages, record_ms);
    *ret = status;
    status.coverage = (struct coverage){0};
    return 0;
}

void status_finish(struct status *status)
{
    coverage_finish(&status->coverage);
}
