/* SPDX-License-Identifier: MIT */
/* How much of the buckets of an answer was counted. */
#include <errno.h>
#include <stdlib.h>

#include "connhist/report/coverage.h"
#include "connhist/store/db.h"
#include "rate_rows.h"

/* Runs that did not count all, and until when. The first edition counted nothing; without events
 * what came and went between two snapshots lacks, and nobody tells what it carried. */
static const char partial_sql[] =
    "SELECT r.started_ms, (SELECT n.started_ms FROM recordings AS n WHERE n.id > r.id "
    "ORDER BY n.id LIMIT 1), r.event_buffer FROM recordings AS r WHERE coalesce(r.event_buffer, 0) "
    "= 0 ORDER BY r.id";
static const char starts_sql[] =
    "SELECT started_ms FROM recordings WHERE started_ms BETWEEN ?1 AND ?2";

static const char first_sql[] = "SELECT started_ms FROM recordings ORDER BY id LIMIT 1";

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN + 1;
    return sum;
}

struct survey {
    const struct walltime *walltime;
    const struct rate_span *span;
    struct bucket_cover *cover; /* one for each bucket */
};

/* What to do to the buckets of a stretch. */
enum deed { ADD = 1, TAKE = -1, MARK = 0 };

static void touch_wall(struct survey *survey, int64_t from_ms, int64_t until_ms, enum deed deed)
{
    const struct rate_span *span = survey->span;

    if (from_ms < span->since_ms)
        from_ms = span->since_ms;
    if (until_ms > span->until_ms)
        until_ms = span->until_ms;
    while (from_ms < until_ms) {
        size_t bucket = (size_t)((from_ms - span->since_ms) / span->step_ms);
        int64_t end_ms = add(span->since_ms, (int64_t)bucket * span->step_ms);

        end_ms = add(end_ms, span->step_ms);
        if (end_ms > until_ms)
            end_ms = until_ms;
        survey->cover[bucket].covered_ms += deed * (end_ms - from_ms);
        survey->cover[bucket].at_least |= deed != ADD;
        from_ms = end_ms;
    }
}

/* The same by the record's clock: the wall clock may show it in pieces. */
static void touch(struct survey *survey, int64_t from_ms, int64_t until_ms, enum deed deed)
{
    if (from_ms < survey->span->from_ms)
        from_ms = survey->span->from_ms;
    if (until_ms > survey->span->end_ms)
        until_ms = survey->span->end_ms;
    while (from_ms < until_ms) {
        int64_t next_ms = walltime_until(survey->walltime, from_ms);
        int64_t wall_ms = walltime_of_record(survey->walltime, from_ms);

        if (next_ms > until_ms)
            next_ms = until_ms;
        touch_wall(survey, wall_ms, add(wall_ms, add(next_ms, -from_ms)), deed);
        from_ms = next_ms;
    }
}

/* Before the first run nobody counted, however short that is. INT64_MIN: there is no run. */
static int find_first(struct db *db, int64_t *ret_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, first_sql, &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    if (r >= 0)
        *ret_ms = r > 0 ? stmt_i64(stmt, 0) : INT64_MIN;
    return r < 0 ? r : 0;
}

/* Takes what lies before the first run, and the gaps, which may lie upon each other and on that. */
static void take_gaps(struct survey *survey, int64_t first_ms, const struct gap_vec *gaps)
{
    int64_t taken_ms = first_ms;

    touch(survey, INT64_MIN, first_ms, TAKE);
    for (size_t i = 0; i < gaps->n; i++) {
        const struct gap *gap = &gaps->items[i];

        touch(survey, gap->record_from_ms > taken_ms ? gap->record_from_ms : taken_ms,
              gap->record_until_ms, TAKE);
        if (gap->record_until_ms > taken_ms)
            taken_ms = gap->record_until_ms;
    }
}

/* Cuts off what a gap says already at the ends of a stretch. */
static void cut(const struct gap_vec *gaps, int64_t *from_ms, int64_t *until_ms)
{
    for (size_t i = 0; i < gaps->n; i++) {
        const struct gap *gap = &gaps->items[i];

        if (gap->record_from_ms <= *from_ms && gap->record_until_ms > *from_ms)
            *from_ms = gap->record_until_ms;
        if (gap->record_from_ms < *until_ms && gap->record_until_ms >= *until_ms)
            *until_ms = gap->record_from_ms;
    }
}

static int add_gap(struct survey *survey, struct gap_vec *gaps, int64_t from_ms, int64_t until_ms,
                   const char *reason)
{
    struct gap gap;

    if (from_ms < survey->span->from_ms)
        from_ms = survey->span->from_ms;
    if (until_ms > survey->span->end_ms)
        until_ms = survey->span->end_ms;
    cut(gaps, &from_ms, &until_ms);
    if (from_ms >= until_ms)
        return 0;
    coverage_gap(survey->walltime, from_ms, until_ms, reason, &gap);
    return vec_push(gaps, gap);
}

static int add_partial_runs(struct survey *survey, struct db *db, enum rate_measure measure,
                            struct gap_vec *gaps, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, partial_sql, &stmt, err);

    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t from_ms = stmt_i64(stmt, 0);
        int64_t until_ms = stmt_is_null(stmt, 1) ? INT64_MAX : stmt_i64(stmt, 1);
        int added = 0;

        if (stmt_is_null(stmt, 2))
            added = add_gap(survey, gaps, from_ms, until_ms,
                            "by an older version, which kept no rates");
        else if (measure == RATE_BYTES || measure == RATE_RTT)
            added = add_gap(survey, gaps, from_ms, until_ms,
                            "the kernel was not asked about closed sockets");
        else
            touch(survey, from_ms, until_ms, MARK);
        if (added < 0)
            return err_errno(err, added, "reading the recorder's runs");
    }
    return r;
}

/* Between two runs nobody looked, however short that was. */
static int mark_starts(struct survey *survey, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, starts_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, survey->span->from_ms);
    stmt_bind_i64(stmt, 2, survey->span->end_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        touch(survey, stmt_i64(stmt, 0), add(stmt_i64(stmt, 0), 1), MARK);
    return r;
}

static int by_begin(const void *left, const void *right)
{
    const struct gap *a = left, *b = right;

    return (a->record_from_ms > b->record_from_ms) - (a->record_from_ms < b->record_from_ms);
}

int rate_cover(struct db *db, const struct walltime *walltime, enum rate_measure measure,
               const struct rate_span *span, struct coverage *coverage, struct bucket_cover **ret,
               struct err *err)
{
    _cleanup_free_ struct bucket_cover *cover = calloc(span->n, sizeof(*cover));
    struct survey survey = {.walltime = walltime, .span = span, .cover = cover};
    struct gap_vec *gaps = &coverage->gaps;
    int64_t first_ms = INT64_MIN;
    int r;

    if (!cover)
        return err_errno(err, -ENOMEM, "reading the rates");
    touch(&survey, span->from_ms, span->end_ms, ADD);
    r = add_partial_runs(&survey, db, measure, gaps, err);
    if (r == 0)
        r = mark_starts(&survey, db, err);
    if (r == 0)
        r = find_first(db, &first_ms, err);
    if (r < 0)
        return r;
    if (gaps->n > 1)
        qsort(gaps->items, gaps->n, sizeof(*gaps->items), by_begin);
    take_gaps(&survey, first_ms, gaps);
    for (size_t i = 0; i < coverage->deaf.n; i++)
        touch(&survey, coverage->deaf.items[i].record_from_ms,
              add(coverage->deaf.items[i].record_until_ms, 1), MARK);
    *ret = TAKE_PTR(cover);
    return 0;
}
