/* SPDX-License-Identifier: MIT */
#include "connhist/report/coverage.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/model/batch.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "coverage_netns.h"
#include "losses.h"
#include "recordings.h"

/* How late the next snapshot of a running recorder may be before it is missed. */
#define GRACE_MS 5000

/* Each once for all namespaces, and once for those of ?2. */
static const char span_sql[] = "SELECT start_ms, recording, status, unkept FROM snapshots "
                               "WHERE start_ms BETWEEN ?1 AND ?3 ORDER BY start_ms";
static const char span_in_sql[] =
    "SELECT s.start_ms, s.recording, NOT " SNAPSHOT_COMPLETE_IN ", s.unkept FROM snapshots AS s "
    "WHERE s.start_ms BETWEEN ?1 AND ?3 ORDER BY s.start_ms";
static const char before_sql[] =
    "SELECT start_ms, recording FROM snapshots "
    "WHERE start_ms < ?1 AND status = 0 ORDER BY start_ms DESC LIMIT 1";
static const char before_in_sql[] =
    "SELECT s.start_ms, s.recording FROM snapshots AS s "
    "WHERE s.start_ms < ?1 AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms DESC LIMIT 1";
static const char after_sql[] = "SELECT start_ms, recording FROM snapshots "
                                "WHERE start_ms > ?1 AND status = 0 ORDER BY start_ms LIMIT 1";
static const char after_in_sql[] =
    "SELECT s.start_ms, s.recording FROM snapshots AS s "
    "WHERE s.start_ms > ?1 AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms LIMIT 1";

/* A complete snapshot at one side of a possible gap. */
struct mark {
    int64_t at_ms;         /* record time; meaningful only if run is there */
    const struct run *run; /* NULL: there is none on this side */
};

struct survey {
    struct db *db;
    const struct walltime *walltime;
    struct netns_choice netns;  /* owned */
    int64_t from_ms;            /* record time */
    int64_t until_ms;           /* record time */
    struct runs runs;           /* owned */
    struct noted_losses losses; /* owned */
    struct mark last;           /* the complete snapshot seen last */
    bool interrupted;           /* snapshots failed since then */
    struct coverage coverage;   /* as far as known; owned */
};

static void survey_finish(struct survey *survey)
{
    netns_choice_finish(&survey->netns);
    vec_finish(&survey->runs);
    vec_finish(&survey->losses);
    coverage_finish(&survey->coverage);
}

/* Why nothing complete lies between two snapshots, both there. */
static void reason_between(const struct survey *survey, const struct mark *before,
                           const struct mark *after, char *buf, size_t size)
{
    const struct lapse *lapse = netns_choice_between(&survey->netns, before->at_ms, after->at_ms);

    if (lapse) {
        snprintf(buf, size, "%s", lapse->reason);
        return;
    }
    if (before->run->id != after->run->id) {
        snprintf(buf, size, "%s%s", before->run->ended ? "recorder not running" : "recorder died",
                 before->run->boot != after->run->boot ? " (host rebooted)" : "");
        return;
    }
    losses_reason(&survey->losses, before->at_ms, after->at_ms, buf, size);
    if (!buf[0])
        snprintf(buf, size, "%s", survey->interrupted ? "dump failed" : "no snapshots");
}

/* Why nothing complete follows the last snapshot of the file. */
static void reason_behind(const struct survey *survey, const struct mark *before, int pid,
                          char *buf, size_t size)
{
    const struct lapse *lapse =
        netns_choice_between(&survey->netns, before->at_ms, survey->until_ms);

    if (lapse) {
        snprintf(buf, size, "%s", lapse->reason);
        return;
    }
    if (pid == 0) {
        snprintf(buf, size, "recorder not running%s", before->run->ended ? "" : " (it died)");
        return;
    }
    losses_reason(&survey->losses, before->at_ms, survey->until_ms, buf, size);
    if (!buf[0])
        snprintf(buf, size, "%s", survey->interrupted ? "dump failed" : "no snapshots");
}

void coverage_gap(const struct walltime *walltime, int64_t from_ms, int64_t until_ms,
                  const char *reason, struct gap *ret)
{
    *ret = (struct gap){
        .from_ms = walltime_of_record(walltime, from_ms),
        .until_ms = walltime_of_record(walltime, until_ms),
        .record_from_ms = from_ms,
        .record_until_ms = until_ms,
    };
    snprintf(ret->reason, sizeof(ret->reason), "%.*s", (int)sizeof(ret->reason) - 1, reason);
}

static int add_gap(struct survey *survey, int64_t from_ms, int64_t until_ms, const char *reason)
{
    struct gap gap;

    if (from_ms < survey->from_ms)
        from_ms = survey->from_ms;
    if (until_ms > survey->until_ms)
        until_ms = survey->until_ms;
    if (from_ms >= until_ms)
        return 0;
    coverage_gap(survey->walltime, from_ms, until_ms, reason, &gap);
    return vec_push(&survey->coverage.gaps, gap);
}

/* The clock was set forward between two snapshots: there was none of the time between. */
static bool is_jump(const struct survey *survey, const struct mark *last, const struct mark *next)
{
    int64_t distance_ms = walltime_of_record(survey->walltime, next->at_ms) -
                          walltime_of_record(survey->walltime, last->at_ms);

    return distance_ms > next->at_ms - last->at_ms &&
           runs_is_gap(last->run, next->run, distance_ms);
}

/* Looks at the stretch from the last complete snapshot to the next one. */
static int pass_stretch(struct survey *survey, const struct mark *next)
{
    const struct mark *last = &survey->last;
    char reason[sizeof(((struct gap *)NULL)->reason)];

    if (!last->run) {
        const struct lapse *lapse =
            netns_choice_between(&survey->netns, survey->from_ms, next->at_ms);

        if (!lapse && !runs_is_gap(NULL, next->run, next->at_ms - survey->from_ms))
            return 0;
        return add_gap(survey, survey->from_ms, next->at_ms,
                       lapse ? lapse->reason : "nothing recorded yet");
    }
    if (netns_choice_between(&survey->netns, last->at_ms, next->at_ms)) {
        reason_between(survey, last, next, reason, sizeof(reason));
        return add_gap(survey, last->at_ms, next->at_ms, reason);
    }
    if (!runs_is_gap(last->run, next->run, next->at_ms - last->at_ms))
        return is_jump(survey, last, next)
                   ? add_gap(survey, last->at_ms, next->at_ms, "clock set forward")
                   : 0;
    reason_between(survey, last, next, reason, sizeof(reason));
    return add_gap(survey, last->at_ms, next->at_ms, reason);
}

/* Looks at the stretch behind the last complete snapshot of the file. */
static int pass_end(struct survey *survey)
{
    const struct mark *last = &survey->last;
    char reason[sizeof(((struct gap *)NULL)->reason)];
    int64_t grace_ms;
    int pid;

    if (!last->run) {
        const struct lapse *lapse =
            netns_choice_between(&survey->netns, survey->from_ms, survey->until_ms);

        return add_gap(survey, survey->from_ms, survey->until_ms,
                       lapse ? lapse->reason : "nothing recorded yet");
    }
    pid = file_recorder_pid(db_path(survey->db));
    grace_ms = pid == 0 ? 0 : GRACE_MS;
    if (!netns_choice_between(&survey->netns, last->at_ms, survey->until_ms) &&
        !runs_is_gap(last->run, NULL, survey->until_ms - last->at_ms - grace_ms))
        return 0;
    reason_behind(survey, last, pid, reason, sizeof(reason));
    return add_gap(survey, last->at_ms, survey->until_ms, reason);
}

/* The complete snapshot next to an instant; *ret stays empty when there is none. */
static int find_mark(struct survey *survey, bool before, int64_t at_ms, struct mark *ret,
                     struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    const char *chosen = netns_choice_text(&survey->netns);
    const struct lapse *lapse;
    int r = db_prepare(survey->db,
                       before ? (chosen ? before_in_sql : before_sql)
                              : (chosen ? after_in_sql : after_sql),
                       &stmt, err);

    if (r < 0)
        return r;
    do { /* out of each lapse, further and further */
        stmt_reset(stmt);
        stmt_bind_i64(stmt, 1, at_ms);
        if (chosen)
            stmt_bind_text(stmt, 2, chosen);
        r = stmt_step(stmt, err);
        if (r <= 0)
            return r;
        lapse = netns_choice_lapse(&survey->netns, stmt_i64(stmt, 0));
        if (lapse)
            at_ms = before ? lapse->from_ms + 1 : lapse->until_ms - 1;
    } while (lapse);
    ret->at_ms = stmt_i64(stmt, 0);
    ret->run = runs_find(&survey->runs, stmt_i64(stmt, 1));
    return ret->run ? 0 : err_set(err, -EBADMSG, "a snapshot belongs to no run of the recorder");
}

static int count_snapshot(struct survey *survey, struct stmt *stmt, struct snapshot_times *times,
                          struct err *err)
{
    int64_t id = stmt_i64(stmt, 1);
    struct mark mark = {.at_ms = stmt_i64(stmt, 0)};
    int r;

    if (netns_choice_lapse(&survey->netns, mark.at_ms)) /* not there to see it */
        return 0;
    mark.run = survey->last.run && survey->last.run->id == id ? survey->last.run
                                                              : runs_find(&survey->runs, id);
    if (!mark.run)
        return err_set(err, -EBADMSG, "a snapshot belongs to no run of the recorder");
    survey->coverage.unkept += stmt_i64(stmt, 3);
    survey->coverage.details |= mark.run->detail;
    if (stmt_i64(stmt, 2) != SNAPSHOT_COMPLETE) {
        survey->coverage.interrupted++;
        survey->interrupted = true;
        return 0;
    }
    survey->coverage.done++;
    r = pass_stretch(survey, &mark);
    if (r == 0 && times)
        r = vec_push(times, mark.at_ms);
    survey->last = mark;
    survey->interrupted = false;
    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

static int count_snapshots(struct survey *survey, struct snapshot_times *times, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    const char *chosen = netns_choice_text(&survey->netns);

    r = db_prepare(survey->db, chosen ? span_in_sql : span_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, survey->from_ms);
    if (chosen)
        stmt_bind_text(stmt, 2, chosen);
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
    int r = after->run ? pass_stretch(survey, after) : pass_end(survey);

    return r < 0 ? err_errno(err, r, "reading the snapshots") : 0;
}

/* Losses that explain gaps which reach out of the span are needed, too. */
static int load_losses(struct survey *survey, const struct mark *after, struct err *err)
{
    int64_t from_ms = survey->last.run ? survey->last.at_ms : survey->from_ms;
    int64_t until_ms = after->run ? after->at_ms : survey->until_ms;

    return losses_load(&survey->losses, survey->db, from_ms, until_ms, err);
}

/* A run that died is told once: what the next one noted of the time between may say it already. */
static bool is_told(const struct survey *survey, const struct loss *death)
{
    for (size_t i = 0; i < survey->losses.n; i++) {
        const struct loss *loss = &survey->losses.items[i].loss;

        if (loss->kind == LOSS_EVENTS && loss->from_ms <= death->from_ms &&
            loss->until_ms >= death->until_ms)
            return true;
    }
    return false;
}

/* What was lost between two snapshots makes no gap: the counts of both are whole. */
static int add_deaf(struct survey *survey)
{
    int r = 0;

    for (size_t i = 0; i < survey->losses.n && r == 0; i++) {
        const struct loss *loss = &survey->losses.items[i].loss;
        struct gap deaf;

        if (!loss_kind_is_deaf(loss->kind) || loss->until_ms < survey->from_ms ||
            loss->from_ms > survey->until_ms ||
            (loss->kind == LOSS_RECORDER_DIED && is_told(survey, loss)))
            continue;
        coverage_gap(survey->walltime, loss->from_ms, loss->until_ms, loss->text, &deaf);
        r = vec_push(&survey->coverage.deaf, deaf);
        survey->coverage.events_lost++;
    }
    return r;
}

int coverage_load_in(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t from_ms, int64_t until_ms, struct coverage *ret,
                     struct snapshot_times *times, struct err *err)
{
    _cleanup_(survey_finish) struct survey survey = {
        .db = db, .walltime = walltime, .from_ms = from_ms, .until_ms = until_ms};
    struct mark after = {0};
    int r;

    r = runs_load(&survey.runs, db, err);
    if (r == 0)
        r = netns_choice_load(&survey.netns, db, filter, err);
    if (r == 0)
        r = find_mark(&survey, true, from_ms, &survey.last, err);
    if (r == 0)
        r = find_mark(&survey, false, until_ms, &after, err);
    if (r == 0)
        r = load_losses(&survey, &after, err);
    if (r == 0)
        r = count_snapshots(&survey, times, err);
    if (r == 0)
        r = look_at_end(&survey, &after, err);
    if (r < 0)
        return r;
    r = add_deaf(&survey);
    if (r < 0)
        return err_errno(err, r, "reading what was lost");
    survey.coverage.missed = losses_missed(&survey.losses, from_ms, until_ms);
    survey.coverage.planned =
        survey.coverage.done + survey.coverage.interrupted + survey.coverage.missed;
    *ret = survey.coverage;
    survey.coverage = (struct coverage){0};
    return 0;
}

int coverage_load(struct db *db, const struct walltime *walltime, int64_t from_ms, int64_t until_ms,
                  struct coverage *ret, struct snapshot_times *times, struct err *err)
{
    return coverage_load_in(db, walltime, NULL, from_ms, until_ms, ret, times, err);
}
