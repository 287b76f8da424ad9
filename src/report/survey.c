/* SPDX-License-Identifier: MIT */
#include "survey.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"

/* How late the next snapshot of a running recorder may be before it is missed. */
#define GRACE_MS 5000

void survey_finish(struct survey *survey)
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

int survey_pass(struct survey *survey, const struct mark *next)
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

int survey_pass_end(struct survey *survey)
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

int survey_find_run(const struct survey *survey, int64_t id, struct mark *mark, struct err *err)
{
    if (!mark->run || mark->run->id != id)
        mark->run = runs_find(&survey->runs, id);
    return mark->run ? 0 : err_set(err, -EBADMSG, "a snapshot belongs to no run of the recorder");
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

int survey_end(struct survey *survey, struct coverage *ret, struct err *err)
{
    struct coverage *coverage = &survey->coverage;
    int r = add_deaf(survey);

    if (r < 0)
        return err_errno(err, r, "reading what was lost");
    coverage->missed = losses_missed(&survey->losses, survey->from_ms, survey->until_ms);
    coverage->planned = coverage->done + coverage->interrupted + coverage->missed;
    *ret = *coverage;
    *coverage = (struct coverage){0};
    return 0;
}
