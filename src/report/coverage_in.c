/* SPDX-License-Identifier: MIT */
/* The coverage of single namespaces, where it is another than that of all: each snapshot is looked at. */
#include <errno.h>

#include "connhist/model/batch.h"
#include "connhist/store/db.h"
#include "survey.h"

static const char span_in_sql[] =
    "SELECT s.start_ms, s.recording, NOT " SNAPSHOT_COMPLETE_IN ", s.unkept FROM snapshots AS s "
    "WHERE s.start_ms >= ?1 AND s.start_ms < ?3 ORDER BY s.start_ms";
static const char before_in_sql[] =
    "SELECT s.start_ms, s.recording FROM snapshots AS s "
    "WHERE s.start_ms < ?1 AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms DESC LIMIT 1";
static const char after_in_sql[] =
    "SELECT s.start_ms, s.recording FROM snapshots AS s "
    "WHERE s.start_ms >= ?1 AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms LIMIT 1";

/* The complete snapshot next to an instant; *ret stays empty when there is none. */
static int find_mark(struct survey *survey, bool before, int64_t at_ms, struct mark *ret,
                     struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    const char *chosen = netns_choice_text(&survey->netns);
    const struct lapse *lapse;
    int r = db_prepare(survey->db, before ? before_in_sql : after_in_sql, &stmt, err);

    if (r < 0)
        return r;
    do { /* out of each lapse, further and further */
        stmt_reset(stmt);
        stmt_bind_i64(stmt, 1, at_ms);
        stmt_bind_text(stmt, 2, chosen);
        r = stmt_step(stmt, err);
        if (r <= 0)
            return r;
        lapse = netns_choice_lapse(&survey->netns, stmt_i64(stmt, 0));
        if (lapse)
            at_ms = before ? lapse->from_ms + 1 : lapse->until_ms;
    } while (lapse);
    ret->at_ms = stmt_i64(stmt, 0);
    return survey_find_run(survey, stmt_i64(stmt, 1), ret, err);
}

static int count_snapshot(struct survey *survey, struct stmt *stmt, struct snapshot_times *times,
                          struct err *err)
{
    struct mark mark = {.at_ms = stmt_i64(stmt, 0), .run = survey->last.run};
    int r;

    if (netns_choice_lapse(&survey->netns, mark.at_ms)) /* not there to see it */
        return 0;
    r = survey_find_run(survey, stmt_i64(stmt, 1), &mark, err);
    if (r < 0)
        return r;
    survey->coverage.unkept += stmt_i64(stmt, 3);
    survey->coverage.details |= mark.run->detail;
    if (stmt_i64(stmt, 2) != SNAPSHOT_COMPLETE) {
        survey->coverage.interrupted++;
        survey->interrupted = true;
        return 0;
    }
    survey->coverage.done++;
    r = survey_pass(survey, &mark);
    if (r == 0 && times)
        r = vec_push(times, mark.at_ms);
    survey->last = mark;
    survey->interrupted = false;
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

static int count_snapshots(struct survey *survey, struct snapshot_times *times, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(survey->db, span_in_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, survey->from_ms);
    stmt_bind_text(stmt, 2, netns_choice_text(&survey->netns));
    stmt_bind_i64(stmt, 3, survey->until_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        r = count_snapshot(survey, stmt, times, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int look_at_end(struct survey *survey, const struct mark *after, struct err *err)
{
    int r = after->run ? survey_pass(survey, after) : survey_pass_end(survey);

    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

/* Losses that explain gaps which reach out of the span are needed, too. */
static int load_losses(struct survey *survey, const struct mark *after, struct err *err)
{
    int64_t from_ms = survey->last.run ? survey->last.at_ms : survey->from_ms;
    int64_t until_ms = after->run ? after->at_ms : survey->until_ms;

    return losses_load(&survey->losses, survey->db, from_ms, until_ms, err);
}

static int look(struct survey *survey, struct snapshot_times *times, struct err *err)
{
    struct mark after = {0};
    int r = find_mark(survey, true, survey->from_ms, &survey->last, err);

    if (r == 0)
        r = find_mark(survey, false, survey->until_ms, &after, err);
    if (r == 0)
        r = load_losses(survey, &after, err);
    if (r == 0)
        r = count_snapshots(survey, times, err);
    return r < 0 ? r : look_at_end(survey, &after, err);
}

int coverage_load_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t from_ms, int64_t until_ms, struct coverage *ret,
                     struct snapshot_times *times, bool *ret_apart, struct err *err)
{
    _cleanup_(survey_finish) struct survey survey = {
        .db = db, .walltime = walltime, .from_ms = from_ms, .until_ms = until_ms};
    int r = netns_choice_load(&survey.netns, db, filter, err);

    if (r < 0)
        return r;
    if (ret_apart)
        *ret_apart = survey.netns.apart;
    if (!survey.netns.apart)
        return coverage_load(db, walltime, from_ms, until_ms, ret, ret_apart ? NULL : times, err);
    r = runs_load(&survey.runs, db, err);
    if (r == 0)
        r = look(&survey, times, err);
    return r < 0 ? r : survey_end(&survey, ret, err);
}
