/* SPDX-License-Identifier: MIT */
/* The coverage of single namespaces, where it is another than that of all: each snapshot is looked at where some
 * failed, as long as it is there. */
#include <errno.h>

#include "connhist/model/batch.h"
#include "connhist/store/db.h"
#include "edition.h"
#include "netns_periods.h"
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

static const char run_sql[] =
    "SELECT id FROM recordings WHERE started_ms <= ?1 ORDER BY id DESC LIMIT 1";
static const char pauses_in_sql[] = "SELECT from_ms, until_ms, interrupted FROM pauses WHERE "
                                    "(interrupted = 0 OR ?3 = 0) AND from_ms >= ?1 "
                                    "AND until_ms <= ?2 ORDER BY from_ms";

/* The run of a snapshot that may be removed by now. */
static int find_run_at(struct survey *survey, struct mark *mark, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(survey->db, run_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, mark->at_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        return survey_find_run(survey, stmt_i64(stmt, 0), mark, err);
    mark->run = survey->runs.n ? &survey->runs.items[0] : NULL; /* that run is removed, too */
    return r;
}

/* The same of removed snapshots, as far as periods tell of them. */
static int find_period_mark(struct survey *survey, bool before, int64_t at_ms, struct mark *ret,
                            struct err *err)
{
    int r = 0;

    for (enum tier tier = TIER_MINUTES; r >= 0 && !ret->run && tier <= TIER_DAYS; tier++) {
        _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
        struct netns_period period;

        r = netns_periods_find(survey->db, &survey->netns, tier, before ? INT64_MIN : at_ms,
                               before ? at_ms - tier_length_ms(tier) + 1 : INT64_MAX, before, &stmt,
                               err);
        while (r >= 0 && !ret->run &&
               (r = netns_periods_next(stmt, &survey->netns, tier, &period, err)) > 0) {
            struct mark mark = {.at_ms = before ? period.last_ms : period.first_ms};

            if (period.done == 0 || netns_choice_lapse(&survey->netns, mark.at_ms))
                continue;
            r = find_run_at(survey, &mark, err);
            *ret = mark;
        }
    }
    return r < 0 ? r : 0;
}

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
        if (r == 0 && edition_has_tiers(survey->db))
            return find_period_mark(survey, before, at_ms, ret, err);
        if (r <= 0)
            return r;
        lapse = netns_choice_lapse(&survey->netns, stmt_i64(stmt, 0));
        if (lapse)
            at_ms = before ? lapse->from_ms + 1 : lapse->until_ms;
    } while (lapse);
    ret->at_ms = stmt_i64(stmt, 0);
    return survey_find_run(survey, stmt_i64(stmt, 1), ret, err);
}

static int count_snapshot(struct survey *survey, struct stmt *stmt, struct err *err)
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
    survey->last = mark;
    survey->interrupted = false;
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

static int count_snapshots(struct survey *survey, int64_t from_ms, int64_t end_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(survey->db, span_in_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from_ms);
    stmt_bind_text(stmt, 2, netns_choice_text(&survey->netns));
    stmt_bind_i64(stmt, 3, end_ms);
    while ((r = stmt_step(stmt, err)) > 0) {
        r = count_snapshot(survey, stmt, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int pass_to(struct survey *survey, int64_t at_ms, struct err *err)
{
    struct mark mark = {.at_ms = at_ms};
    int r = find_run_at(survey, &mark, err);

    if (r == 0)
        r = survey_pass(survey, &mark);
    survey->last = mark;
    survey->interrupted = false;
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

/* A period whose snapshots are removed, or that needs no closer look. Pauses that lie in it are known where there was
 * no snapshot at all. */
static int count_period(struct survey *survey, const struct netns_period *period, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    survey->coverage.unkept += period->unkept;
    survey->coverage.details |= period->details;
    survey->coverage.done += period->done;
    survey->coverage.interrupted += period->interrupted;
    if (period->done == 0) {
        survey->interrupted |= period->interrupted > 0;
        return 0;
    }
    r = pass_to(survey, period->first_ms, err);
    if (r == 0)
        r = db_prepare(survey->db, pauses_in_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, period->first_ms);
    stmt_bind_i64(stmt, 2, period->last_ms);
    stmt_bind_i64(stmt, 3, period->some);
    while ((r = stmt_step(stmt, err)) > 0) {
        survey->last.at_ms = stmt_i64(stmt, 0);
        r = find_run_at(survey, &survey->last, err);
        survey->interrupted = stmt_i64(stmt, 2) > 0;
        if (r == 0)
            r = pass_to(survey, stmt_i64(stmt, 1), err);
        if (r < 0)
            return r;
    }
    survey->last.at_ms = period->last_ms;
    return r < 0 ? r : find_run_at(survey, &survey->last, err);
}

/* What lies in [from_ms, end_ms): by periods of a tier, of which those in which some failed are looked at more closely
 * where there is something finer. There are few levels: each is a tier. */
static int count_tier(struct survey *survey, const struct kept *kept, enum tier tier,
                      int64_t from_ms, int64_t end_ms,
                      struct err *err) /* NOLINT(misc-no-recursion) */
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct netns_period period;
    int r;

    if (tier == TIER_TICKS)
        return count_snapshots(survey, from_ms, end_ms, err);
    r = netns_periods_find(survey->db, &survey->netns, tier, from_ms, end_ms, false, &stmt, err);
    if (r < 0)
        return r;
    while ((r = netns_periods_next(stmt, &survey->netns, tier, &period, err)) > 0) {
        r = period.some && kept->from_ms[tier - 1 + 1] <= period.at_ms
                ? count_tier(survey, kept, tier - 1, period.at_ms,
                             period.at_ms + tier_length_ms(tier), err)
                : count_period(survey, &period, err);
        if (r < 0)
            return r;
    }
    return r;
}

static int count(struct survey *survey, struct err *err)
{
    struct kept kept;
    struct pieces pieces = {0};
    struct grid grid = {.walltime = survey->walltime,
                        .kept = &kept,
                        .finest = TIER_TICKS,
                        .coarsest = TIER_DAYS,
                        .any_shift = true};
    int64_t last_ms = INT64_MIN, end_ms, from_ms = INT64_MAX;
    int r = kept_load(&kept, survey->db, err);

    if (r == 0)
        r = coverage_any(survey->db, &from_ms, &last_ms, err);
    if (r < 0)
        return r;
    if (from_ms < survey->from_ms)
        from_ms = survey->from_ms;
    end_ms = survey->until_ms <= last_ms ? survey->until_ms : last_ms + (last_ms < INT64_MAX);
    /* snapshots stay as long as detail or ticks do */
    if (kept.from_ms[TIER_DETAIL + 1] < kept.from_ms[TIER_TICKS + 1])
        kept.from_ms[TIER_TICKS + 1] = kept.from_ms[TIER_DETAIL + 1];
    if (from_ms < end_ms && netns_choice_cut(&survey->netns, &grid, from_ms, end_ms, &pieces) < 0)
        r = err_errno(err, -ENOMEM, "reading the snapshots");
    for (size_t i = 0; r == 0 && i < pieces.n; i++)
        r = count_tier(survey, &kept, pieces.items[i].tier, pieces.items[i].from_ms,
                       pieces.items[i].end_ms, err);
    vec_finish(&pieces);
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

static int look(struct survey *survey, struct err *err)
{
    struct mark after = {0};
    int r = find_mark(survey, true, survey->from_ms, &survey->last, err);

    if (r == 0)
        r = find_mark(survey, false, survey->until_ms, &after, err);
    if (r == 0)
        r = load_losses(survey, &after, err);
    if (r == 0)
        r = count(survey, err);
    return r < 0 ? r : look_at_end(survey, &after, err);
}

static int load_times(struct survey *survey, struct snapshot_times *times, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(survey->db, span_in_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, survey->from_ms);
    stmt_bind_text(stmt, 2, netns_choice_text(&survey->netns));
    stmt_bind_i64(stmt, 3, survey->until_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if (stmt_i64(stmt, 2) == SNAPSHOT_COMPLETE &&
            !netns_choice_lapse(&survey->netns, stmt_i64(stmt, 0)) &&
            vec_push(times, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the snapshots");
    return r;
}

int coverage_load_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t from_ms, int64_t until_ms, struct coverage *ret,
                     struct snapshot_times *times, bool *ret_apart, struct err *err)
{
    _cleanup_(survey_finish) struct survey survey = {
        .db = db, .walltime = walltime, .from_ms = from_ms, .until_ms = until_ms};
    int r = netns_choice_load(&survey.netns, db, filter, from_ms, until_ms, err);

    if (r < 0)
        return r;
    if (ret_apart)
        *ret_apart = survey.netns.apart;
    if (!survey.netns.apart)
        return coverage_load(db, walltime, from_ms, until_ms, ret, times, err);
    r = runs_load(&survey.runs, db, err);
    if (r == 0)
        r = look(&survey, err);
    if (r == 0 && times)
        r = load_times(&survey, times, err);
    return r < 0 ? r : survey_end(&survey, ret, err);
}
