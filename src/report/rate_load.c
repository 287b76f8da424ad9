/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "connhist/store/histogram.h"
#include "rate_rows.h"

/* total() is of double: it can't overflow, whatever stands in the file. */
#define TOTAL_SQL(what)  \
    "SELECT total(" what \
    ") FROM rate_rollups WHERE tier = ?4 AND service = ?1 AND at_ms >= ?2 AND at_ms < ?3"
#define ALL_CLOSED "closed_local + closed_remote + closed_reset + closed_timeout + closed_unknown"
#define POINTS_SQL(what)                                                       \
    "SELECT at_ms, " what                                                      \
    " FROM rate_rollups WHERE tier = ?4 AND service = ?1 AND at_ms >= ?2 AND " \
    "at_ms < ?3 ORDER BY at_ms"

static const char *totals_sql(enum rate_measure measure)
{
    switch (measure) {
    case RATE_OPENED:
        return TOTAL_SQL("opened");
    case RATE_CLOSED:
        return TOTAL_SQL(ALL_CLOSED);
    case RATE_BYTES:
        return TOTAL_SQL("sent_bytes + received_bytes");
    case RATE_DURATION:
        return TOTAL_SQL("iif(durations IS NULL, 0, " ALL_CLOSED ")");
    case RATE_RTT:
        return TOTAL_SQL("iif(rtts IS NULL, 0, " ALL_CLOSED ")");
    }
    return NULL;
}

static const char *points_sql(enum rate_measure measure)
{
    switch (measure) {
    case RATE_OPENED:
        return POINTS_SQL("opened");
    case RATE_CLOSED:
        return POINTS_SQL("closed_unknown, closed_local, closed_remote, closed_reset, "
                          "closed_timeout");
    case RATE_BYTES:
        return POINTS_SQL("sent_bytes, received_bytes");
    case RATE_DURATION:
        return POINTS_SQL("durations");
    case RATE_RTT:
        return POINTS_SQL("rtts");
    }
    return NULL;
}

static void bind_piece(struct stmt *stmt, int64_t service, const struct piece *range)
{
    stmt_reset(stmt);
    stmt_bind_i64(stmt, 1, service);
    stmt_bind_i64(stmt, 2, range->from_ms);
    stmt_bind_i64(stmt, 3, range->end_ms);
    stmt_bind_i64(stmt, 4, range->tier);
}

static int load_total(struct stmt *stmt, int64_t service, const struct rate_span *span, double *ret,
                      struct err *err)
{
    double total = 0;

    for (size_t i = 0; i < span->totals.n; i++) {
        int r;

        bind_piece(stmt, service, &span->totals.items[i]);
        r = stmt_step(stmt, err);
        if (r < 0)
            return r;
        if (r > 0)
            total += stmt_double(stmt, 0);
    }
    *ret = total;
    return 0;
}

int rate_load_totals(struct db *db, const struct lookup *lookup,
                     const struct rate_question *question, const struct rate_span *span,
                     struct rated_services *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    r = db_prepare(db, totals_sql(question->measure), &stmt, err);
    for (size_t i = 0; r >= 0 && i < lookup->services.n; i++) {
        const struct known_service *service = &lookup->services.items[i];
        struct rated_service rated = {.id = service->id};

        if (!service->chosen)
            continue;
        r = load_total(stmt, service->id, span, &rated.total, err);
        if (r < 0)
            return r;
        rated.key = series_key_make(question->by, &service->key, 0);
        if (rated.total != 0 && vec_push(ret, rated) < 0)
            return err_errno(err, -ENOMEM, "reading the rates");
    }
    return r < 0 ? r : 0;
}

int rate_load_other(struct db *db, const struct lookup *lookup,
                    const struct rate_question *question, const struct rate_span *span,
                    int64_t *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    double sum = 0, total = 0;
    int r = db_prepare(db, totals_sql(question->measure == RATE_OPENED ? RATE_OPENED : RATE_CLOSED),
                       &stmt, err);

    for (size_t i = 0; r >= 0 && i < lookup->services.n; i++) {
        if (!lookup_may_hide(&question->filter, &lookup->services.items[i]))
            continue;
        r = load_total(stmt, lookup->services.items[i].id, span, &total, err);
        sum += total;
    }
    if (r < 0)
        return r;
    *ret = sum < 9e18 ? (int64_t)sum : INT64_MAX;
    return 0;
}

struct rate_reader {
    const struct walltime *walltime; /* not owned */
    const struct rate_span *span;    /* not owned */
    enum rate_measure measure;
    struct rate_point *points;        /* not owned */
    struct histogram_sum *histograms; /* one for each point; NULL: none needed; owned */
};

static void rate_reader_finish(struct rate_reader *reader)
{
    free(reader->histograms);
}

static int damaged(struct err *err)
{
    return err_set(err, -EBADMSG, "the file is damaged: a row of `rate_rollups` can't be read");
}

/* Sums of a few counts are still below INT64_MAX. */
#define COUNT_MAX ((uint64_t)INT64_MAX / 8)

/* Adds a column; false: it is no count, or the sum is none. */
static bool add_column(struct stmt *stmt, int column, uint64_t *sum)
{
    int64_t value = stmt_i64(stmt, column);

    return value >= 0 && !__builtin_add_overflow(*sum, (uint64_t)value, sum) && *sum <= COUNT_MAX;
}

static bool add_histogram(struct rate_reader *reader, struct stmt *stmt, size_t bucket)
{
    size_t n = 0;
    const void *bytes = stmt_blob(stmt, 1, &n);

    if (reader->measure == RATE_DURATION || n > 0)
        reader->points[bucket].recorded = true;
    return histogram_add_packed(&reader->histograms[bucket], bytes, n) >= 0;
}

/* A row counts what came and went. What that carried it tells only if there is something: it is 0,
 * too, where the kernel was not asked. */
static bool add_bytes(struct stmt *stmt, struct rate_point *point)
{
    if (stmt_i64(stmt, 1) || stmt_i64(stmt, 2))
        point->recorded = true;
    return add_column(stmt, 1, &point->sent_bytes) && add_column(stmt, 2, &point->received_bytes);
}

static bool add_counts(struct rate_reader *reader, struct stmt *stmt, struct rate_point *point)
{
    bool good = true;

    switch (reader->measure) {
    case RATE_OPENED:
        point->recorded = true;
        return add_column(stmt, 1, &point->opened);
    case RATE_BYTES:
        return add_bytes(stmt, point);
    default:
        point->recorded = true;
        /* the columns are in the order of enum closed_by */
        for (int by = CLOSED_BY_UNKNOWN; good && by <= CLOSED_BY_TIMEOUT; by++)
            good = add_column(stmt, 1 + by, &point->closed[by]);
        return good;
    }
}

static int add_period(struct rate_reader *reader, struct stmt *stmt, enum tier tier,
                      struct err *err)
{
    const struct rate_span *span = reader->span;
    int64_t wall_ms = period_middle(reader->walltime, tier, stmt_i64(stmt, 0));
    size_t bucket = (size_t)((wall_ms - span->since_ms) / span->step_ms);

    /* a longer one that nothing finer is kept of may reach over the span, and lie behind its end */
    if (wall_ms < span->since_ms || bucket >= span->n)
        return tier == TIER_MINUTES ? damaged(err) : 0;
    if (reader->histograms ? !add_histogram(reader, stmt, bucket)
                           : !add_counts(reader, stmt, &reader->points[bucket]))
        return damaged(err);
    return 0;
}

static void set_percentiles(struct rate_reader *reader)
{
    for (size_t i = 0; i < reader->span->n; i++) {
        const struct histogram_sum *sum = &reader->histograms[i];
        struct rate_point *point = &reader->points[i];

        point->n = histogram_count(sum);
        point->p50 = histogram_percentile(sum, 0.5);
        point->p90 = histogram_percentile(sum, 0.9);
        point->p99 = histogram_percentile(sum, 0.99);
    }
}

static int read_service(struct rate_reader *reader, struct stmt *stmt, int64_t service,
                        struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < reader->span->points.n; i++) {
        const struct piece *piece = &reader->span->points.items[i];

        bind_piece(stmt, service, piece);
        while ((r = stmt_step(stmt, err)) > 0) {
            r = add_period(reader, stmt, piece->tier, err);
            if (r < 0)
                return r;
        }
    }
    return r;
}

int rate_load_points(struct db *db, const struct walltime *walltime, enum rate_measure measure,
                     const struct rate_span *span, const struct rated_service *services, size_t n,
                     struct rate_point *points, struct err *err)
{
    _cleanup_(rate_reader_finish) struct rate_reader reader = {
        .walltime = walltime, .span = span, .measure = measure, .points = points};
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (measure == RATE_DURATION || measure == RATE_RTT) {
        reader.histograms = calloc(span->n, sizeof(*reader.histograms));
        if (!reader.histograms)
            return err_errno(err, -ENOMEM, "reading the rates");
    }
    r = db_prepare(db, points_sql(measure), &stmt, err);
    if (r == 0)
        for (size_t i = 0; r == 0 && i < n; i++)
            r = read_service(&reader, stmt, services[i].id, err);
    if (r == 0 && reader.histograms)
        set_percentiles(&reader);
    return r;
}
