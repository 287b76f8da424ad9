/* SPDX-License-Identifier: MIT */
#include "counter_grid_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/store/db.h"
#include "counted.h"

/* The last reading of a step. */
struct mark {
    int64_t at_ms; /* record time */
    size_t step;
    bool no_interfaces; /* those could not be read */
};

/* While an interface was there; record time. */
struct stretch {
    size_t slot;
    int64_t from_ms;
    int64_t until_ms;
};

/* What is being read of one namespace. */
struct rows {
    const struct grid_span *span;     /* not owned */
    const struct grid_series *series; /* not owned */
    const struct grid_place *place;   /* not owned */
    int64_t *values;                  /* not owned */
    size_t *slots;                    /* by counter: index of its series + 1; 0: none; owned */
    size_t n_slots;
    struct {
        VEC_FIELDS(size_t);
    } wanted;     /* indexes of the namespace's series; owned */
    int64_t *now; /* value of each series as of the row at hand; owned */
    bool *there;  /* of each series: its interface is there; owned */
    struct {
        VEC_FIELDS(struct mark);
    } marks; /* owned */
    struct {
        VEC_FIELDS(struct stretch);
    } stretches;      /* owned */
    size_t next_mark; /* the first one whose values are not put */
};

static void rows_finish(struct rows *rows)
{
    free(rows->slots);
    free(rows->now);
    free(rows->there);
    vec_finish(&rows->wanted);
    vec_finish(&rows->marks);
    vec_finish(&rows->stretches);
}

static int64_t floor_to(int64_t at_ms, int64_t length_ms)
{
    return at_ms - at_ms % length_ms;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int grid_span_load(struct grid_span *span, struct db *db, struct err *err)
{
    struct counted_spans kept = {0}; /* of no namespace */
    int64_t begin_ms, unused;
    int r = counted_kept_load(&kept, db, err);

    if (r < 0)
        return r;
    walltime_to_record(span->walltime, span->since_ms, &begin_ms, &unused);
    walltime_to_record(span->walltime, span->until_ms, &unused, &span->end_ms);
    span->days_ms = span->hours_ms = span->readings_ms = begin_ms;
    if (begin_ms < kept.minutes_from_ms) {
        span->days_ms = span->hours_ms = floor_to(begin_ms, COUNTED_HOUR_MS);
        span->readings_ms = floor_to(kept.minutes_from_ms + COUNTED_HOUR_MS - 1, COUNTED_HOUR_MS);
    }
    if (begin_ms < kept.hours_from_ms) {
        span->days_ms = floor_to(begin_ms, COUNTED_DAY_MS);
        span->hours_ms = floor_to(kept.hours_from_ms + COUNTED_DAY_MS - 1, COUNTED_DAY_MS);
        span->readings_ms = later(span->readings_ms, span->hours_ms);
    }
    return 0;
}

static int add_mark(struct rows *rows, int64_t at_ms, struct err *err)
{
    const struct grid_span *span = rows->span;
    int64_t wall_ms = walltime_of_record(span->walltime, at_ms);
    struct mark mark = {.at_ms = at_ms};

    if (wall_ms < span->since_ms || wall_ms >= span->until_ms)
        return 0;
    mark.step = (size_t)((wall_ms - span->since_ms) / span->step_ms);
    if (rows->marks.n && rows->marks.items[rows->marks.n - 1].step == mark.step)
        rows->marks.items[rows->marks.n - 1] = mark;
    else if (vec_push(&rows->marks, mark) < 0)
        return err_errno(err, -ENOMEM, "reading the counters");
    return 0;
}

struct marking {
    struct rows *rows;
    struct err *err;
    int failed;
};

static void mark_reading(void *arg, int64_t at_ms, uint32_t readings, int64_t covered_ms)
{
    struct marking *marking = arg;

    (void)readings;
    (void)covered_ms;
    if (marking->failed == 0)
        marking->failed = add_mark(marking->rows, at_ms, marking->err);
}

static int prepare(struct db *db, const char *sql, const struct rows *rows,
                   const struct counted_piece *piece, struct stmt **ret, struct err *err)
{
    int r = db_prepare(db, sql, ret, err);

    if (r < 0)
        return r;
    stmt_bind_i64(*ret, 1, rows->place->netns);
    stmt_bind_i64(*ret, 2, piece->from_ms);
    stmt_bind_i64(*ret, 3, piece->end_ms);
    stmt_bind_i64(*ret, 4, piece->tier);
    return 0;
}

/* The readings of a stretch; of an hour or a day the last one, whose values it has. */
static int load_marks(struct rows *rows, struct db *db, const struct counted_piece *piece,
                      struct err *err)
{
    static const char sql[] = "SELECT last_ms FROM counter_cover WHERE tier = ?4 AND netns = ?1 "
                              "AND at_ms >= ?2 AND at_ms < ?3 ORDER BY at_ms";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    const struct counted_spans none = {0}; /* what lies between readings is not asked */
    struct marking marking = {.rows = rows, .err = err};
    int r;

    if (piece->tier == 1) {
        r = counted_cover_each(db, &none, rows->place->netns, piece, mark_reading, &marking, err);
        return r < 0 ? r : marking.failed;
    }
    r = prepare(db, sql, rows, piece, &stmt, err);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0)
        r = add_mark(rows, stmt_i64(stmt, 0), err);
    return r;
}

static int load_lacks(struct rows *rows, struct db *db, struct err *err)
{
    static const char sql[] = "SELECT at_ms FROM reading_lacks WHERE netns = ?1 AND lacks & ?4 "
                              "AND at_ms >= ?2 AND at_ms < ?3 ORDER BY at_ms";
    const struct counted_piece piece = {rows->span->readings_ms, rows->span->end_ms, 1};
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    size_t i = 0;
    int r = prepare(db, sql, rows, &piece, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 4, COUNTED_INTERFACES);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        int64_t at_ms = stmt_i64(stmt, 0);

        while (i < rows->marks.n && rows->marks.items[i].at_ms < at_ms)
            i++;
        if (i < rows->marks.n && rows->marks.items[i].at_ms == at_ms)
            rows->marks.items[i].no_interfaces = true;
    }
    return r;
}

/* Those of the namespace's interfaces that have a series. */
static int load_stretches(struct rows *rows, struct db *db, struct err *err)
{
    static const char sql[] = "SELECT name, from_ms, coalesce(until_ms, 9223372036854775807) FROM "
                              "interfaces WHERE netns = ?1 AND has_stats ORDER BY from_ms";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, rows->place->netns);
    while ((r = stmt_step(stmt, err)) > 0)
        for (size_t i = 0; i < rows->wanted.n; i++) {
            const size_t slot = rows->wanted.items[i];
            struct stretch stretch = {slot, stmt_i64(stmt, 1), stmt_i64(stmt, 2)};

            if (strcmp(rows->series[slot].told.interface, stmt_text(stmt, 0)) == 0 &&
                vec_push(&rows->stretches, stretch) < 0)
                return err_errno(err, -ENOMEM, "reading the interfaces");
        }
    return r;
}

/* Which interfaces are there at an instant. */
static void find_there(struct rows *rows, int64_t at_ms)
{
    for (size_t i = 0; i < rows->wanted.n; i++) {
        size_t slot = rows->wanted.items[i];

        rows->there[slot] = *rows->series[slot].told.interface == '\0';
    }
    for (size_t i = 0; i < rows->stretches.n; i++) {
        const struct stretch *stretch = &rows->stretches.items[i];

        if (stretch->from_ms <= at_ms && at_ms < stretch->until_ms)
            rows->there[stretch->slot] = true;
    }
}

/* Puts values at the marks before an instant. */
static void put_until(struct rows *rows, int64_t at_ms)
{
    for (; rows->next_mark < rows->marks.n; rows->next_mark++) {
        const struct mark *mark = &rows->marks.items[rows->next_mark];

        if (mark->at_ms >= at_ms)
            return;
        find_there(rows, mark->at_ms);
        for (size_t i = 0; i < rows->wanted.n; i++) {
            size_t slot = rows->wanted.items[i];
            bool known = !(mark->no_interfaces && *rows->series[slot].told.interface);

            /* none is left of an earlier boot's reading in this step either */
            rows->values[slot * rows->span->n_steps + mark->step] =
                rows->there[slot] && known ? rows->now[slot] : COUNTER_GRID_NONE;
        }
    }
}

/* What changed in a stretch: of an hour or a day, at its last reading. */
static int take_changes(struct rows *rows, struct db *db, const struct counted_piece *piece,
                        struct err *err)
{
    static const char readings_sql[] =
        "SELECT counter, value, at_ms FROM counters WHERE netns = ?1 AND at_ms >= ?2 "
        "AND at_ms < ?3 AND ?4 = 1 ORDER BY at_ms";
    static const char rollups_sql[] =
        "SELECT r.counter, r.last, coalesce(c.last_ms, r.at_ms) FROM counter_rollups AS r "
        "LEFT JOIN counter_cover AS c ON c.tier = r.tier AND c.netns = r.netns "
        "AND c.at_ms = r.at_ms WHERE r.tier = ?4 AND r.netns = ?1 AND r.at_ms >= ?2 "
        "AND r.at_ms < ?3 ORDER BY r.at_ms";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = prepare(db, piece->tier == 1 ? readings_sql : rollups_sql, rows, piece, &stmt, err);

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        int64_t counter = stmt_i64(stmt, 0);

        put_until(rows, stmt_i64(stmt, 2));
        if (counter > 0 && (size_t)counter < rows->n_slots && rows->slots[counter])
            rows->now[rows->slots[counter] - 1] = stmt_i64(stmt, 1);
    }
    return r;
}

/* The pieces of the span, and before them what it begins with: a value holds until the next. */
static int take_all(struct rows *rows, struct db *db, struct err *err)
{
    const struct grid_span *span = rows->span;
    const int64_t begin_ms = span->days_ms, day_ms = floor_to(begin_ms, COUNTED_DAY_MS),
                  hour_ms = floor_to(begin_ms, COUNTED_HOUR_MS);
    const struct counted_piece pieces[] = {
        {0, day_ms, 3},
        {day_ms, hour_ms, 2},
        {hour_ms, begin_ms, 1},
        {begin_ms, span->hours_ms, 3},
        {span->hours_ms, span->readings_ms, 2},
        {span->readings_ms, span->end_ms, 1},
    };
    int r = 0;

    for (size_t i = 3; r >= 0 && i < sizeof(pieces) / sizeof(pieces[0]); i++)
        if (pieces[i].from_ms < pieces[i].end_ms)
            r = load_marks(rows, db, &pieces[i], err);
    if (r >= 0)
        r = load_lacks(rows, db, err);
    if (r >= 0)
        r = load_stretches(rows, db, err);
    if (r < 0 || rows->marks.n == 0)
        return r;
    for (size_t i = 0; r >= 0 && i < sizeof(pieces) / sizeof(pieces[0]); i++)
        if (pieces[i].from_ms < pieces[i].end_ms)
            r = take_changes(rows, db, &pieces[i], err);
    put_until(rows, INT64_MAX);
    return r;
}

/* Which series are the namespace's. */
static int choose(struct rows *rows, size_t n, struct err *err)
{
    rows->n_slots = 1;
    for (size_t i = 0; i < n; i++)
        if ((size_t)rows->series[i].counter >= rows->n_slots)
            rows->n_slots = (size_t)rows->series[i].counter + 1;
    rows->slots = calloc(rows->n_slots, sizeof(*rows->slots));
    rows->now = calloc(n + 1, sizeof(*rows->now));
    rows->there = calloc(n + 1, sizeof(*rows->there));
    if (!rows->slots || !rows->now || !rows->there)
        return err_errno(err, -ENOMEM, "reading the counters");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows->series[i].told.netns, rows->place->label) != 0)
            continue;
        rows->slots[rows->series[i].counter] = i + 1;
        if (vec_push(&rows->wanted, i) < 0)
            return err_errno(err, -ENOMEM, "reading the counters");
    }
    return 0;
}

int grid_rows_read(const struct grid_span *span, struct db *db, const struct grid_place *place,
                   const struct grid_series *series, size_t n, int64_t *values, struct err *err)
{
    _cleanup_(rows_finish) struct rows rows = {
        .span = span, .series = series, .place = place, .values = values};
    int r = choose(&rows, n, err);

    return r < 0 || rows.wanted.n == 0 ? r : take_all(&rows, db, err);
}
