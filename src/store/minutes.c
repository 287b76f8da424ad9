/* SPDX-License-Identifier: MIT */
#include "minutes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/vec.h"
#include "sql.h"

#define MINUTE_MS INT64_C(60000)
#define STATES    16

/* A service in a state that had a socket in this minute. */
struct cell {
    int64_t service, state, now;
    int64_t min, max, last,
        sum;   /* over the complete snapshots of the minute; min INT64_MAX: none yet */
    bool told; /* the file has a row of it */
};

struct places {
    uint32_t of[STATES]; /* index of the cell + 1; 0: none */
};

struct minutes {
    struct {
        VEC_FIELDS(struct cell);
    } cells;
    struct {
        VEC_FIELDS(struct places);
    } services;          /* by number */
    sqlite3_stmt *rows;  /* of counts, by minute */
    sqlite3_stmt *cover; /* how many snapshots a minute had */
    int (*fn)(void *arg, int64_t at_ms, int64_t service, int64_t state);
    void *arg;
    int64_t begin_ms, end_ms;  /* minutes in there are compared */
    int64_t at_ms;             /* begin of the minute at hand; INT64_MIN: none yet */
    int64_t done, interrupted; /* snapshots in it */
    int64_t row_ms;            /* minute of the row that rows stands at; INT64_MAX: at its end */
};

static int next_row(struct minutes *minutes, struct err *err)
{
    int r = sql_step(minutes->rows, err);

    if (r >= 0)
        minutes->row_ms = r ? sqlite3_column_int64(minutes->rows, 0) : INT64_MAX;
    return r < 0 ? r : 0;
}

static int prepare(struct minutes *minutes, sqlite3 *db, struct err *err)
{
    static const char rows_sql[] =
        "SELECT at_ms, service, state, min, max, last, sum FROM tally_rollups "
        "WHERE tier = 1 AND at_ms >= ?1 AND at_ms < ?2 ORDER BY at_ms";
    static const char cover_sql[] =
        "SELECT done, interrupted FROM cover_rollups WHERE tier = 1 AND at_ms = ?1";
    int r = sql_prepare(db, rows_sql, &minutes->rows, err);

    if (r >= 0)
        r = sql_prepare(db, cover_sql, &minutes->cover, err);
    if (r < 0)
        return r;
    SQL_BIND(minutes->rows, minutes->begin_ms, minutes->end_ms);
    return next_row(minutes, err);
}

int minutes_new(sqlite3 *db, int64_t begin_ms,
                int (*fn)(void *arg, int64_t at_ms, int64_t service, int64_t state), void *arg,
                struct minutes **ret, struct err *err)
{
    static const char end_sql[] =
        "SELECT until_ms FROM tiers WHERE tier = 1 AND NOT EXISTS (SELECT 1 FROM losses WHERE kind "
        "= 8)";
    struct minutes *minutes;
    int64_t end_ms = 0, from_ms = 0;
    int r = sql_query_i64(db, end_sql, &end_ms, err);

    *ret = NULL;
    if (r >= 0)
        r = sql_query_i64(db, "SELECT from_ms FROM tiers WHERE tier = 1", &from_ms, err);
    if (begin_ms < from_ms)
        begin_ms = from_ms;
    begin_ms += (MINUTE_MS - begin_ms % MINUTE_MS) % MINUTE_MS;
    if (r < 0 || begin_ms >= end_ms)
        return r < 0 ? r : 0;
    minutes = calloc(1, sizeof(*minutes));
    if (!minutes)
        return err_errno(err, -ENOMEM, "checking minutes");
    minutes->fn = fn;
    minutes->arg = arg;
    minutes->begin_ms = begin_ms;
    minutes->end_ms = end_ms;
    minutes->at_ms = INT64_MIN;
    r = prepare(minutes, db, err);
    if (r < 0) {
        minutes_free(minutes);
        return r;
    }
    *ret = minutes;
    return 0;
}

void minutes_free(struct minutes *minutes)
{
    if (!minutes)
        return;
    sqlite3_finalize(minutes->rows);
    sqlite3_finalize(minutes->cover);
    vec_finish(&minutes->cells);
    vec_finish(&minutes->services);
    free(minutes);
}

static struct cell *find(const struct minutes *minutes, int64_t service, int64_t state)
{
    uint32_t place = 0;

    if (service >= 0 && service < (int64_t)minutes->services.n && state >= 0 && state < STATES)
        place = minutes->services.items[service].of[state];
    return place ? &minutes->cells.items[place - 1] : NULL;
}

static int add(struct minutes *minutes, int64_t service, int64_t state, int64_t count)
{
    struct cell cell = {.service = service, .state = state, .now = count};
    size_t wanted = (size_t)service + 1, had = minutes->services.n;

    if (wanted > had) {
        if (vec_reserve(&minutes->services, wanted - had) < 0)
            return -ENOMEM;
        memset(minutes->services.items + had, 0, (wanted - had) * sizeof(*minutes->services.items));
        minutes->services.n = wanted;
    }
    cell.min = minutes->done ? 0 : INT64_MAX;
    if (vec_push(&minutes->cells, cell) < 0)
        return -ENOMEM;
    minutes->services.items[service].of[state] = (uint32_t)minutes->cells.n;
    return 0;
}

int minutes_count(struct minutes *minutes, int64_t service, int64_t state, int64_t count,
                  struct err *err)
{
    struct cell *cell = minutes ? find(minutes, service, state) : NULL;

    if (cell)
        cell->now = count;
    else if (minutes && count && add(minutes, service, state, count) < 0)
        return err_errno(err, -ENOMEM, "checking minutes");
    return 0;
}

void minutes_anchor(struct minutes *minutes)
{
    for (size_t i = 0; minutes && i < minutes->cells.n; i++)
        minutes->cells.items[i].now = 0;
}

static int compare_cover(const struct minutes *minutes, struct err *err)
{
    bool same = false;
    int r;

    SQL_BIND(minutes->cover, minutes->at_ms);
    r = sql_step(minutes->cover, err);
    if (r > 0)
        same = sqlite3_column_int64(minutes->cover, 0) == minutes->done &&
               sqlite3_column_int64(minutes->cover, 1) == minutes->interrupted;
    sqlite3_reset(minutes->cover);
    return r < 0 || same ? r : minutes->fn(minutes->arg, minutes->at_ms, 0, 0);
}

/* The row of the file that is at hand. */
static int compare_row(const struct minutes *minutes)
{
    int64_t service = sqlite3_column_int64(minutes->rows, 1);
    int64_t state = sqlite3_column_int64(minutes->rows, 2);
    struct cell *cell = find(minutes, service, state);

    if (cell)
        cell->told = true;
    if (cell && cell->min == sqlite3_column_int64(minutes->rows, 3) &&
        cell->max == sqlite3_column_int64(minutes->rows, 4) &&
        cell->last == sqlite3_column_int64(minutes->rows, 5) &&
        cell->sum == sqlite3_column_int64(minutes->rows, 6))
        return 0;
    return minutes->fn(minutes->arg, minutes->row_ms, service, state);
}

/* Rows of minutes in which there was no snapshot tell what nobody saw. */
static int pass_rows(struct minutes *minutes, int64_t until_ms, struct err *err)
{
    int r = 0;

    while (r >= 0 && minutes->row_ms < until_ms) {
        r = minutes->fn(minutes->arg, minutes->row_ms, sqlite3_column_int64(minutes->rows, 1),
                        sqlite3_column_int64(minutes->rows, 2));
        if (r >= 0)
            r = next_row(minutes, err);
    }
    return r;
}

static int compare(struct minutes *minutes, struct err *err)
{
    int r = compare_cover(minutes, err);

    if (r >= 0)
        r = pass_rows(minutes, minutes->at_ms, err);
    while (r >= 0 && minutes->row_ms == minutes->at_ms) {
        r = compare_row(minutes);
        if (r >= 0)
            r = next_row(minutes, err);
    }
    for (size_t i = 0; i < minutes->cells.n && r >= 0; i++) {
        const struct cell *cell = &minutes->cells.items[i];

        if (cell->max > 0 && !cell->told)
            r = minutes->fn(minutes->arg, minutes->at_ms, cell->service, cell->state);
    }
    return r < 0 ? r : 0;
}

/* What is 0 now takes no place in the next minute. */
static void begin_minute(struct minutes *minutes, int64_t at_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < minutes->cells.n; i++) {
        struct cell cell = minutes->cells.items[i];

        if (cell.now) {
            cell.min = INT64_MAX;
            cell.max = cell.last = cell.sum = 0;
            cell.told = false;
            minutes->cells.items[n++] = cell;
        }
        minutes->services.items[cell.service].of[cell.state] = cell.now ? (uint32_t)n : 0;
    }
    minutes->cells.n = n;
    minutes->at_ms = at_ms;
    minutes->done = minutes->interrupted = 0;
}

int minutes_reach(struct minutes *minutes, int64_t at_ms, struct err *err)
{
    int64_t begin_ms = at_ms - at_ms % MINUTE_MS;
    int r = 0;

    if (!minutes || minutes->at_ms == begin_ms)
        return 0;
    if (minutes->at_ms >= minutes->begin_ms && minutes->at_ms < minutes->end_ms)
        r = compare(minutes, err);
    if (r >= 0 && begin_ms >= minutes->end_ms)
        r = pass_rows(minutes, INT64_MAX, err);
    begin_minute(minutes, begin_ms);
    return r;
}

void minutes_snapshot(struct minutes *minutes, bool complete)
{
    if (!minutes)
        return;
    minutes->done += complete;
    minutes->interrupted += !complete;
    for (size_t i = 0; complete && i < minutes->cells.n; i++) {
        struct cell *cell = &minutes->cells.items[i];

        if (cell->now < cell->min)
            cell->min = cell->now;
        if (cell->now > cell->max)
            cell->max = cell->now;
        cell->last = cell->now;
        cell->sum += cell->now;
    }
}
