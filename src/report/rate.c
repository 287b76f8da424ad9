/* SPDX-License-Identifier: MIT */
#include "connhist/report/rate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "buckets.h"
#include "connhist/report/coverage.h"
#include "connhist/store/db.h"
#include "edition.h"
#include "rate_rows.h"

#define BUCKETS_MAX 100000
#define DAY_MS      INT64_C(86400000)

/* What came and went is told of so long before the first snapshot or behind the last one, at most. */
#define MARGIN_MS (2 * DAY_MS)

/* An answer with more than this is asked for by mistake: it takes 120 bytes each. */
#define POINTS_MAX 8000000

/* Services of one series, which stand next to each other. */
struct group {
    size_t first;
    size_t end;
    double total;
};

struct work {
    struct db *db;                        /* not owned */
    const struct walltime *walltime;      /* not owned */
    const struct rate_question *question; /* not owned */
    struct kept kept;
    struct rate_span span;
    struct lookup lookup;           /* owned */
    struct rated_services services; /* owned */
    struct {
        VEC_FIELDS(struct group);
    } groups;                   /* owned */
    struct bucket_cover *cover; /* of each bucket; owned */
    struct rates rates;         /* the answer; owned */
};

static void work_finish(struct work *work)
{
    lookup_finish(&work->lookup);
    vec_finish(&work->services);
    vec_finish(&work->groups);
    free(work->cover);
    rate_span_finish(&work->span);
    rates_finish(&work->rates);
}

/* The tiers that the file has, and the shortest periods that are there at the begin of the span. */
static int find_kept(struct work *work, struct err *err)
{
    struct rate_span *span = &work->span;
    int64_t from_ms, last_ms, unused;
    int r = kept_load(&work->kept, work->db, err);

    if (r == 0)
        r = coverage_extent(work->db, &span->first_ms, &last_ms, err);
    if (r == 0 && span->first_ms > last_ms)
        r = coverage_any(work->db, &span->first_ms, &last_ms, err);
    if (r < 0)
        return r;
    span->shortest_ms = RATE_PERIOD_MS;
    if (span->first_ms > last_ms) { /* no snapshot was whole: nothing was added up either */
        span->first_ms = INT64_MIN / 2;
        span->last_ms = INT64_MAX / 2;
        return 0;
    }
    walltime_to_record(work->walltime, work->question->since_ms, &from_ms, &unused);
    if (from_ms < span->first_ms)
        from_ms = span->first_ms;
    if (from_ms <= last_ms)
        span->shortest_ms = tier_length_ms(kept_finest(&work->kept, TIER_MINUTES, from_ms));
    span->first_ms -= MARGIN_MS;
    span->last_ms = last_ms + MARGIN_MS;
    return 0;
}

static int choose_span(struct work *work, struct err *err)
{
    const struct rate_question *question = work->question;
    struct rate_span *span = &work->span;
    int64_t length_ms, step_ms = question->step_ms, from_ms, unused;

    if (question->until_ms <= question->since_ms ||
        __builtin_sub_overflow(question->until_ms, question->since_ms, &length_ms) ||
        length_ms > INT64_MAX - DAY_MS || question->since_ms < INT64_MIN + DAY_MS)
        return err_set(err, -EINVAL, "the end of the time asked for does not lie behind its begin");
    if (step_ms < 0 || step_ms > INT64_MAX - DAY_MS)
        return err_set(err, -EINVAL, "the step is out of range");
    span->since_ms = floor_to(question->since_ms, span->shortest_ms);
    walltime_to_record(work->walltime, span->since_ms, &from_ms, &unused);
    span->until_ms =
        kept_end(&work->kept, work->walltime, TIER_MINUTES, from_ms, question->until_ms);
    length_ms = span->until_ms - span->since_ms;
    if (step_ms == 0)
        step_ms = buckets_choose_step(length_ms, span->shortest_ms);
    span->step_ms = floor_to(step_ms + span->shortest_ms - 1, span->shortest_ms);
    if ((length_ms - 1) / span->step_ms >= BUCKETS_MAX)
        return err_set(err, -EINVAL, "more than %d steps: use a longer step or a shorter time",
                       BUCKETS_MAX);
    span->n = (size_t)((length_ms - 1) / span->step_ms + 1);
    walltime_to_record(work->walltime, span->since_ms, &span->from_ms, &unused);
    walltime_to_record(work->walltime, span->until_ms, &unused, &span->end_ms);
    if (rate_find_pieces(work->walltime, &work->kept, span) < 0)
        return err_errno(err, -ENOMEM, "reading the rates");
    work->rates.since_ms = span->since_ms;
    work->rates.until_ms = span->until_ms;
    work->rates.step_ms = span->step_ms;
    work->rates.shortest_ms = span->shortest_ms;
    work->rates.tier = TIER_MINUTES;
    for (size_t i = 0; i < span->points.n; i++)
        if (span->points.items[i].tier > work->rates.tier)
            work->rates.tier = span->points.items[i].tier;
    return 0;
}

static int compare_keys(const struct series_key *left, const struct series_key *right)
{
    if (left->port != right->port)
        return left->port < right->port ? -1 : 1;
    if (left->protocol != right->protocol)
        return left->protocol < right->protocol ? -1 : 1;
    return (left->role > right->role) - (left->role < right->role);
}

static int by_key(const void *left, const void *right)
{
    const struct rated_service *a = left, *b = right;

    return compare_keys(&a->key, &b->key);
}

/* Those of the same total stay in the order of their keys. */
static int by_total(const void *left, const void *right)
{
    const struct group *a = left, *b = right;

    if (a->total != b->total)
        return a->total > b->total ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

static int group_services(struct work *work)
{
    struct rated_service *items = work->services.items;

    if (work->services.n > 1)
        qsort(items, work->services.n, sizeof(*items), by_key);
    for (size_t i = 0; i < work->services.n; i++) {
        struct group group = {.first = i, .end = i + 1, .total = items[i].total};
        struct group *last = work->groups.n ? &work->groups.items[work->groups.n - 1] : NULL;

        if (last && compare_keys(&items[last->first].key, &items[i].key) == 0) {
            last->end = i + 1;
            last->total += items[i].total;
        } else if (vec_push(&work->groups, group) < 0) {
            return -ENOMEM;
        }
    }
    if (work->question->top && work->groups.n > 1)
        qsort(work->groups.items, work->groups.n, sizeof(struct group), by_total);
    return 0;
}

static int add_series(struct work *work, const struct group *group, struct err *err)
{
    const struct rated_service *services = &work->services.items[group->first];
    struct rate_series *series;

    if (vec_push(&work->rates.series, ((struct rate_series){
                                          .protocol = services->key.protocol,
                                          .role = services->key.role,
                                          .port = services->key.port,
                                      })) < 0)
        return err_errno(err, -ENOMEM, "reading the rates");
    series = &work->rates.series.items[work->rates.series.n - 1];
    if (vec_reserve(&series->points, work->span.n) < 0)
        return err_errno(err, -ENOMEM, "reading the rates");
    series->points.n = work->span.n;
    for (size_t i = 0; i < work->span.n; i++)
        series->points.items[i] = (struct rate_point){
            .at_ms = work->span.since_ms + (int64_t)i * work->span.step_ms,
            .covered_ms = work->cover[i].covered_ms,
            .recorded = work->cover[i].covered_ms > 0,
            .at_least = work->cover[i].at_least,
        };
    return rate_load_points(work->db, work->walltime, work->question->measure, &work->span,
                            services, group->end - group->first, series->points.items, err);
}

static int answer(struct work *work, struct err *err)
{
    size_t shown;
    int r;

    r = lookup_load(&work->lookup, work->db, &work->question->filter, err);
    if (r == 0)
        r = rate_load_totals(work->db, &work->lookup, work->question, &work->span, &work->services,
                             err);
    if (r == 0 && work->question->filter.n_ports > 0)
        r = rate_load_other(work->db, &work->lookup, work->question, &work->span,
                            &work->rates.other_sockets, err);
    if (r < 0)
        return r;
    if (group_services(work) < 0)
        return err_errno(err, -ENOMEM, "reading the rates");
    shown = work->groups.n;
    if (work->question->top && work->question->top < shown)
        shown = work->question->top;
    work->rates.series_hidden = work->groups.n - shown;
    if (shown * work->span.n > POINTS_MAX)
        return err_set(
            err, -EINVAL,
            "%zu series of %zu steps are too many: use a longer step, or show only the top ones",
            shown, work->span.n);
    for (size_t i = 0; r == 0 && i < shown; i++)
        r = add_series(work, &work->groups.items[i], err);
    return r;
}

int rate_ask(struct db *db, const struct walltime *walltime, const struct rate_question *question,
             struct rates *ret, struct err *err)
{
    _cleanup_(work_finish) struct work work = {
        .db = db, .walltime = walltime, .question = question};
    int r;

    if (!edition_has_events(db))
        return err_set(err, -ENODATA,
                       "%s is of an older edition, which has no rates; they are recorded from when "
                       "a recorder of this version writes it",
                       db_path(db));
    r = find_kept(&work, err);
    if (r == 0)
        r = choose_span(&work, err);
    if (r == 0)
        r = coverage_load_in(db, walltime, &question->filter, work.span.from_ms, work.span.end_ms,
                             &work.rates.coverage, NULL, NULL, err);
    if (r == 0)
        r = coverage_add_pruned(db, walltime, TIER_DAYS, work.span.from_ms, work.span.end_ms,
                                &work.rates.coverage, err);
    if (r == 0)
        r = rate_cover(db, walltime, question->measure, &work.span, &work.rates.coverage,
                       &work.cover, err);
    if (r == 0)
        r = answer(&work, err);
    if (r < 0)
        return r;
    *ret = work.rates;
    work.rates = (struct rates){0};
    return 0;
}

uint64_t rate_closed(const struct rate_point *point)
{
    uint64_t n = 0;

    for (size_t i = 0; i < sizeof(point->closed) / sizeof(point->closed[0]); i++)
        n += point->closed[i];
    return n;
}

double rate_per_second(const struct rate_point *point, uint64_t n)
{
    return point->covered_ms >= RATE_LEAST_MS ? (double)n * 1000 / (double)point->covered_ms : NAN;
}

void rates_finish(struct rates *rates)
{
    for (size_t i = 0; i < rates->series.n; i++)
        vec_finish(&rates->series.items[i].points);
    vec_finish(&rates->series);
    coverage_finish(&rates->coverage);
}
