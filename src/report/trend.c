/* SPDX-License-Identifier: MIT */
#include "connhist/report/trend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buckets.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "lookup.h"
#include "netns_periods.h"
#include "sweep.h"
#include "trend_rows.h"

#define BUCKETS_MAX 100000

/* An answer with more than this is asked for by mistake: it takes 48 bytes each. */
#define POINTS_MAX 16000000

static const char interval_sql[] =
    "SELECT max(interval_ms) FROM recordings WHERE id BETWEEN "
    "(SELECT recording FROM snapshots WHERE start_ms >= ?1 ORDER BY start_ms LIMIT 1) AND "
    "(SELECT recording FROM snapshots WHERE start_ms <= ?2 ORDER BY start_ms DESC LIMIT 1)";

/* The snapshot may be removed by now. */
static const char last_sql[] =
    "SELECT interval_ms FROM recordings WHERE id = coalesce((SELECT recording FROM snapshots "
    "WHERE start_ms = ?1), (SELECT max(id) FROM recordings WHERE started_ms <= ?1))";

/* How late the next snapshot may be before the last one is of the past. */
#define GRACE_MS 5000

struct work {
    struct db *db;                         /* not owned */
    const struct trend_question *question; /* not owned */
    int64_t from_ms;                       /* record time */
    int64_t until_ms;                      /* record time */
    int64_t first_ms;                      /* first complete snapshot of the file, record time */
    int64_t last_ms;                       /* its last one */
    struct kept kept;                      /* the file's tiers */
    struct moments moments;                /* owned */
    bool apart;                            /* moments are of the namespaces that were asked for */
    struct netns_choice netns;             /* ... these; owned */
    struct lookup lookup;                  /* owned */
    struct labels labels;                  /* owned */
    struct buckets buckets;                /* owned */
    struct sweep sweep;                    /* owned */
    struct trend trend;                    /* the answer; owned */
};

static void work_finish(struct work *work)
{
    moments_finish(&work->moments);
    netns_choice_finish(&work->netns);
    lookup_finish(&work->lookup);
    labels_finish(&work->labels);
    buckets_finish(&work->buckets);
    sweep_finish(&work->sweep);
    trend_finish(&work->trend);
}

/* The longest interval that was recorded with in the span; 0: nothing was recorded. */
static int find_interval(struct work *work, int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(work->db, interval_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, work->from_ms);
    stmt_bind_i64(stmt, 2, work->until_ms);
    r = stmt_step(stmt, err);
    if (r > 0)
        *ret = stmt_i64(stmt, 0);
    return r < 0 ? r : 0;
}

/* Tallies know no addresses and no owners. */
static bool needs_lives(const struct trend_question *question)
{
    return question->by & TREND_BY_LIVES || question->filter.has_peer ||
           question->filter.has_local || question->filter.family ||
           filter_by_owner(&question->filter);
}

/* A step is no shorter than the periods that are there where the answer begins, and its buckets
 * begin as they do. 0: those are snapshots. */
static int64_t shortest_step(const struct work *work)
{
    int64_t from_ms = work->from_ms > work->first_ms ? work->from_ms : work->first_ms;

    if (needs_lives(work->question) || work->first_ms > work->last_ms || from_ms > work->last_ms)
        return 0;
    return tier_length_ms(kept_finest(&work->kept, TIER_TICKS, from_ms));
}

static int choose_span(struct work *work, const struct walltime *walltime, int64_t *ret_span_ms,
                       struct err *err)
{
    const struct trend_question *question = work->question;
    int64_t unused, span_ms;

    if (question->until_ms <= question->since_ms ||
        __builtin_sub_overflow(question->until_ms, question->since_ms, &span_ms))
        return err_set(err, -EINVAL, "the end of the time asked for does not lie behind its begin");
    if (question->step_ms < 0)
        return err_set(err, -EINVAL, "the step is negative");
    walltime_to_record(walltime, question->since_ms, &work->from_ms, &unused);
    walltime_to_record(walltime, question->until_ms, &unused, &work->until_ms);
    work->trend.since_ms = question->since_ms;
    work->trend.until_ms = question->until_ms;
    work->trend.shortest_ms = shortest_step(work);
    if (work->trend.shortest_ms) {
        work->trend.since_ms = floor_to(question->since_ms, work->trend.shortest_ms);
        walltime_to_record(walltime, work->trend.since_ms, &work->from_ms, &unused);
        work->trend.until_ms =
            kept_end(&work->kept, walltime, TIER_TICKS, work->from_ms, question->until_ms);
        walltime_to_record(walltime, work->trend.until_ms, &unused, &work->until_ms);
        if (__builtin_sub_overflow(work->trend.until_ms, work->trend.since_ms, &span_ms))
            return err_set(err, -EINVAL, "the time asked for is too long");
    }
    *ret_span_ms = span_ms;
    return 0;
}

static int choose_step(struct work *work, const struct walltime *walltime, struct err *err)
{
    int64_t step_ms = work->question->step_ms, interval_ms = 0, span_ms = 0, shortest_ms;
    int r = choose_span(work, walltime, &span_ms, err);

    if (r < 0)
        return r;
    shortest_ms = work->trend.shortest_ms;
    if (step_ms == 0) {
        r = find_interval(work, &interval_ms, err);
        if (r < 0)
            return r;
        step_ms =
            buckets_choose_step(span_ms, interval_ms > shortest_ms ? interval_ms : shortest_ms);
    }
    if (shortest_ms && step_ms > INT64_MAX - shortest_ms)
        return err_set(err, -EINVAL, "the step is out of range");
    if (shortest_ms)
        step_ms = floor_to(step_ms + shortest_ms - 1, shortest_ms);
    if ((span_ms - 1) / step_ms >= BUCKETS_MAX)
        return err_set(err, -EINVAL, "more than %d steps: use a longer step or a shorter time",
                       BUCKETS_MAX);
    work->trend.step_ms = step_ms;
    return 0;
}

/* Counts everything at the moments. */
static int count(struct work *work, struct err *err)
{
    int r;

    sweep_init(&work->sweep, &work->moments);
    if (work->moments.times.n == 0)
        return 0;
    if (needs_lives(work->question))
        r = trend_load_lives(work->db, &work->lookup, work->question, &work->labels, &work->kept,
                             &work->sweep, &work->trend.unkept, err);
    else
        r = trend_load(work->db, &work->lookup, work->question, &work->labels, &work->sweep, err);
    if (r < 0)
        return r;
    sweep_settle(&work->sweep);
    r = sweep_measure(&work->sweep);
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

/* How many sockets at most are counted where their port can't be known any more. */
static int count_other(struct work *work, struct err *err)
{
    _cleanup_(sweep_finish) struct sweep other = {0};
    struct trend_question question = *work->question;
    int r;

    if (question.filter.n_ports == 0 || work->moments.times.n == 0)
        return 0;
    sweep_init(&other, &work->moments);
    question.by = 0;
    for (size_t i = 0; i < work->lookup.services.n; i++) {
        struct known_service *service = &work->lookup.services.items[i];

        service->chosen = lookup_may_hide(&question.filter, service);
    }
    r = trend_load(work->db, &work->lookup, &question, NULL, &other, err);
    if (r < 0)
        return r;
    sweep_settle(&other);
    r = sweep_measure(&other);
    if (r < 0)
        return err_errno(err, r, "counting the sockets");
    if (other.series.n > 0)
        work->trend.other_sockets = other.series.items[0].max;
    return 0;
}

static int find_last(struct work *work, const struct walltime *walltime, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t interval_ms, at_ms;
    int r;

    work->trend.last_ms = work->trend.stale_ms = TIME_UNKNOWN;
    if (work->moments.times.n == 0)
        return 0;
    at_ms = moments_last(&work->moments);
    r = db_prepare(work->db, last_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, at_ms);
    r = stmt_step(stmt, err);
    if (r <= 0)
        return r;
    interval_ms = stmt_i64(stmt, 0);
    work->trend.last_ms = walltime_of_record(walltime, at_ms);
    work->trend.stale_ms = work->trend.last_ms + interval_ms + interval_ms / 2 + GRACE_MS;
    return 0;
}

/* Leaves out series that are 0 throughout, puts the rest in order; returns how many are shown. */
static size_t select_series(struct work *work)
{
    bool ranked = work->question->top || work->question->by & TREND_BY_LIVES;
    struct counted *items = work->sweep.series.items;
    size_t kept = 0, shown;

    for (size_t i = 0; i < work->sweep.series.n; i++) {
        struct counted series = items[i];

        if (series.max == 0) {
            vec_finish(&series.changes);
            vec_finish(&series.periods);
        } else {
            items[kept++] = series;
        }
    }
    work->sweep.series.n = kept;
    trend_order(items, kept, ranked, &work->labels);
    shown = work->question->top && work->question->top < kept ? work->question->top : kept;
    work->trend.series_hidden = kept - shown;
    return shown;
}

/* The owner's part of a series; its strings stay those of the labels. */
static void name_series(const struct work *work, const struct counted *counted,
                        struct trend_series *series)
{
    const struct label_set *set = &counted->key.labels;
    const struct present *present = &counted->present;
    const struct label *process = set->process ? labels_get(&work->labels, set->process) : NULL;

    if (process) {
        series->process = process->name;
        series->kernel = labels_is_kernel(process);
        series->exe = process->exe && *process->exe ? process->exe : NULL;
    }
    if (set->unit)
        series->unit = labels_get(&work->labels, set->unit)->name;
    if (set->container)
        series->container = labels_get(&work->labels, set->container)->name;
    if (set->netns)
        series->netns = labels_get(&work->labels, set->netns)->name;
    if (work->question->by & TREND_BY_UID && counted->key.uid != UID_UNKNOWN)
        series->uid = counted->key.uid;
    series->pid = process && process->pid ? process->pid : present->pid;
    if (present->any)
        series->oldest_ms =
            work->moments.times.items[work->moments.times.n - 1] - present->since_ms;
}

static int add_series(struct work *work, const struct walltime *walltime,
                      const struct counted *counted)
{
    struct trend_series series = {
        .protocol = counted->key.protocol,
        .role = counted->key.role,
        .state = counted->key.state,
        .port = counted->key.port,
        .max = counted->max,
        .max_at_ms = walltime_of_record(walltime, moments_first(&work->moments, counted->max_at)),
        .now = counted->now,
        .per_hour = counted->per_hour,
        .direction = counted->direction,
        .uid = -1,
        .oldest_ms = -1,
    };
    struct trend_series *added;

    name_series(work, counted, &series);
    if (counted->key.peer_family)
        address_format(counted->key.peer_family, &counted->key.peer, series.peer);
    if (vec_push(&work->trend.series, series) < 0)
        return -ENOMEM;
    added = &work->trend.series.items[work->trend.series.n - 1];
    if (buckets_fill(&work->buckets, &work->sweep, counted, added) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < added->points.n; i++)
        work->trend.bounds |= added->points.items[i].bounds;
    return 0;
}

static int answer(struct work *work, const struct walltime *walltime, struct err *err)
{
    size_t shown = select_series(work);
    int r = 0;

    if (shown * work->buckets.n > POINTS_MAX)
        return err_set(
            err, -EINVAL,
            "%zu series of %zu steps are too many: use a longer step, or show only the top ones",
            shown, work->buckets.n);
    for (size_t i = 0; r == 0 && i < shown; i++)
        r = add_series(work, walltime, &work->sweep.series.items[i]);
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

/* Where the clock was set back, some snapshots of the stretch were taken at wall times that nobody
 * asked for. */
static int put_in_buckets(struct work *work, const struct walltime *walltime)
{
    struct trend *trend = &work->trend;
    int r = buckets_init(&work->buckets, walltime, trend->since_ms, trend->until_ms, trend->step_ms,
                         &work->moments);

    if (r < 0)
        return r;
    trend->coverage.done -= work->buckets.outside;
    trend->coverage.planned -= work->buckets.outside;
    trend->tier = moments_coarsest(&work->moments);
    return 0;
}

static int fill_buckets(struct work *work, const struct walltime *walltime, struct err *err)
{
    const struct trend *trend = &work->trend;
    struct grid grid = {
        .walltime = walltime,
        .kept = &work->kept,
        .since_ms = trend->since_ms,
        .until_ms = trend->until_ms,
        .step_ms = trend->step_ms,
        .finest = needs_lives(work->question) ? TIER_DETAIL : TIER_TICKS,
        .coarsest = TIER_DAYS,
    };
    /* what was recorded first may be in a period that begins before it */
    int64_t first_ms = floor_to(work->first_ms, tier_length_ms(TIER_DAYS));
    int64_t from_ms = work->from_ms > first_ms ? work->from_ms : first_ms;
    int64_t until_ms = work->until_ms <= work->last_ms ? work->until_ms : work->last_ms + 1;
    _cleanup_(trend_sums_finish) struct trend_sums sums = {0};
    int r = trend_sums_find(&sums, work->db, &work->lookup, &work->labels, work->question, from_ms,
                            until_ms, err);

    if (r < 0)
        return r;
    if (sums.add_up)
        grid.coarsest = trend_sums_tier(trend->step_ms);
    grid.cuts = sums.cuts.items;
    grid.n_cuts = sums.cuts.n;
    if (from_ms < until_ms &&
        netns_choice_cut(&work->netns, &grid, from_ms, until_ms, &work->moments.pieces) < 0)
        return err_errno(err, -ENOMEM, "reading the snapshots");
    r = moments_load(&work->moments, work->db, work->apart ? &work->netns : NULL, err);
    if (r < 0)
        return r;
    r = put_in_buckets(work, walltime);
    return r < 0 ? err_errno(err, r, "counting the sockets") : 0;
}

/* Names are what the answer keeps of the labels. */
static int keep_texts(struct work *work)
{
    if (vec_reserve(&work->trend.texts, 2 * work->labels.items.n) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < work->labels.items.n; i++) {
        struct label *label = &work->labels.items.items[i];

        work->trend.texts.items[work->trend.texts.n++] = label->name;
        work->trend.texts.items[work->trend.texts.n++] = label->exe;
        label->name = label->exe = NULL;
    }
    return 0;
}

static int prepare(struct work *work, const struct walltime *walltime, struct err *err)
{
    const struct trend_question *question = work->question;
    int r = kept_load(&work->kept, work->db, err);

    /* where no snapshot was complete everywhere there may be some that were in a namespace */
    if (r == 0)
        r = (question->filter.netns ? coverage_any : coverage_extent)(work->db, &work->first_ms,
                                                                      &work->last_ms, err);
    if (r == 0)
        r = lookup_load(&work->lookup, work->db, &question->filter, err);
    if (r == 0)
        r = choose_step(work, walltime, err);
    if (r == 0)
        r = coverage_load_in(work->db, walltime, &question->filter, work->from_ms, work->until_ms,
                             &work->trend.coverage, NULL, &work->apart, err);
    if (r == 0 && work->apart)
        r = netns_choice_load(&work->netns, work->db, &question->filter, work->from_ms,
                              work->until_ms, err);
    if (r == 0)
        r = coverage_add_pruned(work->db, walltime, needs_lives(question) ? TIER_DETAIL : TIER_DAYS,
                                work->from_ms, work->until_ms, &work->trend.coverage, err);
    return r;
}

int trend_ask(struct db *db, const struct walltime *walltime, const struct trend_question *question,
              struct trend *ret, struct err *err)
{
    _cleanup_(work_finish) struct work work = {.db = db, .question = question};
    int r = prepare(&work, walltime, err);

    if (r == 0)
        r = fill_buckets(&work, walltime, err);
    if (r == 0)
        r = count(&work, err);
    if (r == 0)
        r = count_other(&work, err);
    if (r == 0)
        r = find_last(&work, walltime, err);
    if (r == 0)
        r = answer(&work, walltime, err);
    if (r == 0 && keep_texts(&work) < 0)
        r = err_errno(err, -ENOMEM, "counting the sockets");
    if (r < 0)
        return r;
    *ret = work.trend;
    work.trend = (struct trend){0};
    return 0;
}

void trend_finish(struct trend *trend)
{
    for (size_t i = 0; i < trend->series.n; i++)
        vec_finish(&trend->series.items[i].points);
    vec_finish(&trend->series);
    for (size_t i = 0; i < trend->texts.n; i++)
        free(trend->texts.items[i]);
    vec_finish(&trend->texts);
    coverage_finish(&trend->coverage);
}
