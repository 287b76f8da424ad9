/* SPDX-License-Identifier: MIT */
#include "connhist/report/coverage.h"

#include <errno.h>

#include "connhist/store/db.h"
#include "coverage_count.h"
#include "edition.h"
#include "moments.h"
#include "survey.h"

/* What the file has of pauses: those that touch the span, which do not lie upon each other. */
static const char pauses_sql[] =
    "SELECT from_ms, until_ms, before, after, interrupted FROM pauses WHERE from_ms < ?2 "
    "AND until_ms > ?1 AND from_ms >= coalesce((SELECT max(p.from_ms) FROM pauses AS p "
    "WHERE p.from_ms <= ?1), 0) ORDER BY from_ms";

/* The same of a file that has no such table. */
static const char old_pauses_sql[] =
    "SELECT p.from_ms, p.until_ms, p.before, p.after, (SELECT count(*) FROM snapshots AS i "
    "WHERE i.start_ms > p.from_ms AND i.start_ms < p.until_ms AND i.status <> 0) FROM ("
    "SELECT lag(s.start_ms) OVER later AS from_ms, s.start_ms AS until_ms, "
    "lag(s.recording) OVER later AS before, s.recording AS after FROM snapshots AS s "
    "WHERE s.status = 0 AND s.start_ms >= coalesce((SELECT max(b.start_ms) FROM snapshots AS b "
    "WHERE b.status = 0 AND b.start_ms < ?1), ?1) AND s.start_ms <= coalesce((SELECT "
    "min(a.start_ms) FROM snapshots AS a WHERE a.status = 0 AND a.start_ms > ?2), ?2) "
    "WINDOW later AS (ORDER BY s.start_ms)) AS p WHERE p.from_ms IS NOT NULL ORDER BY p.from_ms";

static const char last_sql[] = "SELECT start_ms, recording FROM snapshots WHERE status = 0 "
                               "AND start_ms <= ?1 ORDER BY start_ms DESC LIMIT 1";
static const char first_sql[] = "SELECT start_ms, recording FROM snapshots WHERE status = 0 "
                                "AND start_ms >= ?1 ORDER BY start_ms LIMIT 1";
static const char first_run_sql[] =
    "SELECT coalesce((SELECT id FROM recordings WHERE started_ms <= ?1 ORDER BY id DESC LIMIT 1), "
    "(SELECT min(id) FROM recordings))";
static const char failed_sql[] = "SELECT 1 FROM snapshots WHERE start_ms > ?1 AND start_ms < ?2 "
                                 "AND status <> 0 LIMIT 1";

/* The first row of two numbers: when, and whose. *ret stays empty when there is none. */
static int find_mark(struct survey *survey, const char *sql, int64_t at_ms, struct mark *ret,
                     struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(survey->db, sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, at_ms);
    r = stmt_step(stmt, err);
    if (r <= 0)
        return r;
    ret->at_ms = stmt_i64(stmt, 0);
    return survey_find_run(survey, stmt_i64(stmt, 1), ret, err);
}

/* The first complete snapshot ever; it may be removed by now. */
static int find_first(struct survey *survey, struct mark *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t first_ms, last_ms;
    int r = find_mark(survey, first_sql, INT64_MIN, ret, err);

    if (r == 0)
        r = coverage_extent(survey->db, &first_ms, &last_ms, err);
    if (r < 0 || first_ms > last_ms || (ret->run && ret->at_ms <= first_ms))
        return r;
    ret->at_ms = first_ms;
    r = db_prepare(survey->db, first_run_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, first_ms);
    r = stmt_step(stmt, err);
    return r <= 0 ? r : survey_find_run(survey, stmt_i64(stmt, 0), ret, err);
}

static int pass_pause(struct survey *survey, struct stmt *stmt, struct err *err)
{
    struct mark next = {.at_ms = stmt_i64(stmt, 1)};
    int r;

    survey->last = (struct mark){.at_ms = stmt_i64(stmt, 0)};
    survey->interrupted = stmt_i64(stmt, 4) > 0;
    r = survey_find_run(survey, stmt_i64(stmt, 2), &survey->last, err);
    if (r == 0)
        r = survey_find_run(survey, stmt_i64(stmt, 3), &next, err);
    if (r < 0)
        return r;
    r = survey_pass(survey, &next);
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

static int pass_pauses(struct survey *survey, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(survey->db, edition_has_tiers(survey->db) ? pauses_sql : old_pauses_sql,
                       &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, survey->from_ms);
    stmt_bind_i64(stmt, 2, survey->until_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        r = pass_pause(survey, stmt, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* The begin of the record, if the span reaches before it. */
static int look_at_begin(struct survey *survey, const struct mark *first, struct err *err)
{
    int r;

    if (!first->run || first->at_ms < survey->from_ms)
        return 0;
    survey->last = (struct mark){0};
    r = survey_pass(survey, first);
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

/* The end of the record, if the span reaches behind it. */
static int look_at_end(struct survey *survey, const struct mark *last, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (last->run && last->at_ms >= survey->until_ms)
        return 0;
    survey->last = *last;
    r = db_prepare(survey->db, failed_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, last->run ? last->at_ms : survey->from_ms);
    stmt_bind_i64(stmt, 2, survey->until_ms);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    survey->interrupted = r > 0;
    r = survey_pass_end(survey);
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

/* Losses that explain gaps which reach out of the span are needed, too. */
static int load_losses(struct survey *survey, struct err *err)
{
    struct mark before = {.at_ms = survey->from_ms}, after = {.at_ms = survey->until_ms};
    int r = find_mark(survey, last_sql, survey->from_ms, &before, err);

    if (r == 0)
        r = find_mark(survey, first_sql, survey->until_ms, &after, err);
    return r < 0 ? r : losses_load(&survey->losses, survey->db, before.at_ms, after.at_ms, err);
}

static int look(struct survey *survey, struct err *err)
{
    struct mark first = {0}, last = {0};
    int r = find_first(survey, &first, err);

    if (r == 0)
        r = find_mark(survey, last_sql, INT64_MAX, &last, err);
    if (r == 0)
        r = load_losses(survey, err);
    if (r == 0)
        r = look_at_begin(survey, &first, err);
    if (r == 0)
        r = pass_pauses(survey, err);
    return r < 0 ? r : look_at_end(survey, &last, err);
}

static int load_times(struct db *db, int64_t from_ms, int64_t until_ms,
                      struct snapshot_times *times, struct err *err)
{
    struct piece piece = {.from_ms = from_ms, .end_ms = until_ms};
    struct moments moments = {.times = *times, .pieces = {.items = &piece, .n = 1}};
    int r = moments_load(&moments, db, NULL, err);

    *times = moments.times;
    return r;
}

int coverage_load(struct db *db, const struct walltime *walltime, int64_t from_ms, int64_t until_ms,
                  struct coverage *ret, struct snapshot_times *times, struct err *err)
{
    _cleanup_(survey_finish) struct survey survey = {
        .db = db, .walltime = walltime, .from_ms = from_ms, .until_ms = until_ms};
    int r;

    r = runs_load(&survey.runs, db, err);
    if (r == 0)
        r = look(&survey, err);
    if (r == 0)
        r = coverage_count(db, walltime, from_ms, until_ms, &survey.coverage, err);
    if (r == 0 && times)
        r = load_times(db, from_ms, until_ms, times, err);
    return r < 0 ? r : survey_end(&survey, ret, err);
}
