/* SPDX-License-Identifier: MIT */
/* The counts of a range, series by series: those of one service in one state. */
#include <errno.h>
#include <stdlib.h>

#include "rollup.h"
#include "sql.h"
#include "writer.h"

/* What a series takes, and what a row that is written does, in rows that are read. */
#define SERIES_ROWS  4
#define WRITTEN_ROWS 4

/* A count that holds from an instant on, or what a shorter period says. */
struct count {
    int64_t at_ms;
    int64_t min, max, last, sum;
};

struct count_vec {
    VEC_FIELDS(struct count);
};

/* A period that is being added up. */
struct sum {
    struct count count; /* at_ms: its begin */
    bool has;           /* something was added */
    bool apart;         /* a moment in it is */
    bool netns;         /* over the snapshots that were complete in the namespace, not in all */
};

/* Behind all rows of a series: the seek must not end at its first one, and go through them. */
static const char next_tally_sql[] =
    "SELECT service, state FROM tallies "
    "WHERE (service, state, at_ms) > (?1, ?2, 9223372036854775807) "
    "ORDER BY service, state LIMIT 1";
#define NEXT_OF(table)                                      \
    "SELECT service, state FROM " table " WHERE tier = ?3 " \
    "AND (service, state, at_ms) > (?1, ?2, 9223372036854775807) ORDER BY service, state LIMIT 1"

static const char next_rollup_sql[] = NEXT_OF("tally_rollups");
static const char next_either_sql[] =
    "SELECT * FROM (" NEXT_OF("tally_rollups") ") UNION ALL SELECT * FROM (" NEXT_OF(
        "netns_tallies") ") ORDER BY service, state LIMIT 1";

/* Latest first: the first one before the range is what holds at its begin. */
static const char tallies_sql[] = "SELECT at_ms, count FROM tallies WHERE service = ?1 "
                                  "AND state = ?2 AND at_ms < ?3 ORDER BY at_ms DESC";
#define ROWS_OF(table)                                                                   \
    "SELECT at_ms, min, max, last, sum FROM " table " WHERE tier = ?5 AND service = ?1 " \
    "AND state = ?2 AND at_ms < ?3 AND at_ms >= ?4 ORDER BY at_ms DESC"

static const char rollups_sql[] = ROWS_OF("tally_rollups");
static const char netns_sql[] = ROWS_OF("netns_tallies");

/* Moves on to the next series. 1: there is one. */
static int next_series(struct store *store, struct err *err)
{
    struct rollup *rollup = &store->rollup;
    bool ticks = rollup->tier == TIER_MINUTES;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store,
                        ticks           ? STMT_NEXT_TALLY
                        : rollup->apart ? STMT_NEXT_EITHER
                                        : STMT_NEXT_ROLLUP,
                        ticks           ? next_tally_sql
                        : rollup->apart ? next_either_sql
                                        : next_rollup_sql,
                        &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, rollup->service, rollup->state);
    if (!ticks)
        sqlite3_bind_int64(stmt, 3, rollup->tier - 1);
    r = sql_step(stmt, err);
    if (r <= 0)
        return r;
    rollup->service = sqlite3_column_int64(stmt, 0);
    rollup->state = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return 1;
}

/* The rows of a series in the range, latest first, and of ticks the one before. */
static int read_series(struct store *store, bool netns, struct count_vec *counts, struct err *err)
{
    const struct rollup *rollup = &store->rollup;
    bool ticks = rollup->tier == TIER_MINUTES;
    sqlite3_stmt *stmt;
    int r = writer_stmt(store,
                        ticks   ? STMT_LIST_TALLIES
                        : netns ? STMT_LIST_NETNS
                                : STMT_LIST_ROLLUPS,
                        ticks   ? tallies_sql
                        : netns ? netns_sql
                                : rollups_sql,
                        &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, rollup->service, rollup->state, rollup->end_ms);
    if (!ticks) {
        sqlite3_bind_int64(stmt, 4, rollup->from_ms);
        sqlite3_bind_int64(stmt, 5, rollup->tier - 1);
    }
    vec_clear(counts);
    while ((r = sql_step(stmt, err)) > 0) {
        struct count count = {.at_ms = sqlite3_column_int64(stmt, 0)};

        count.min = sqlite3_column_int64(stmt, 1);
        count.max = ticks ? count.min : sqlite3_column_int64(stmt, 2);
        count.last = ticks ? count.min : sqlite3_column_int64(stmt, 3);
        count.sum = ticks ? count.min : sqlite3_column_int64(stmt, 4);
        if (count.at_ms < rollup->base_ms && ticks)
            break;
        if (vec_push(counts, count) < 0) {
            sqlite3_reset(stmt);
            return err_errno(err, -ENOMEM, "%s", store->path);
        }
        if (count.at_ms < rollup->from_ms)
            break;
    }
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

#define PUT_INTO(table)                                                         \
    "INSERT OR REPLACE INTO " table " (tier, service, state, at_ms, min, max, " \
    "last, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"

static int put(struct store *store, const struct sum *sum, int *rows, struct err *err)
{
    static const char all_sql[] = PUT_INTO("tally_rollups");
    static const char one_sql[] = PUT_INTO("netns_tallies");
    const struct rollup *rollup = &store->rollup;
    const struct count *count = &sum->count;

    *rows -= WRITTEN_ROWS;
    return WRITER_RUN(store, sum->netns ? STMT_PUT_NETNS : STMT_PUT_ROLLUP,
                      sum->netns ? one_sql : all_sql, err, rollup->tier, rollup->service,
                      rollup->state, count->at_ms, count->min, count->max, count->last, count->sum);
}

static int end_period(struct store *store, struct sum *sum, int *rows, struct err *err)
{
    bool wanted = sum->has && sum->count.max > 0 && (sum->apart || !sum->netns);
    int r = wanted ? put(store, sum, rows, err) : 0;

    sum->has = sum->apart = false;
    return r < 0 ? r : 0;
}

/* Adds what a moment of the range says; count NULL: it says nothing of this. */
static int add(struct store *store, struct sum *sum, const struct moment *moment,
               const struct count *count, int *rows, struct err *err)
{
    int64_t length_ms = tier_length_ms(store->rollup.tier);
    int64_t period_ms = moment->at_ms - moment->at_ms % length_ms;
    int r = sum->count.at_ms != period_ms ? end_period(store, sum, rows, err) : 0;

    if (r < 0)
        return r;
    sum->count.at_ms = period_ms;
    sum->apart |= moment->apart;
    if (!count)
        return 0;
    if (!sum->has) {
        sum->count = *count;
        sum->count.at_ms = period_ms;
        sum->has = true;
        return 0;
    }
    if (count->min < sum->count.min)
        sum->count.min = count->min;
    if (count->max > sum->count.max)
        sum->count.max = count->max;
    sum->count.last = count->last;
    sum->count.sum += count->sum;
    return 0;
}

/* Counts hold from their instant until the next one, or until an anchor leaves them out. counts is
 * used up from its end. */
static struct count at_snapshot(struct count_vec *counts, const struct moment *moment,
                                struct count now)
{
    while (counts->n > 0 && counts->items[counts->n - 1].at_ms < moment->at_ms)
        now = counts->items[--counts->n];
    if (moment->anchor)
        now = (struct count){0};
    while (counts->n > 0 && counts->items[counts->n - 1].at_ms <= moment->at_ms)
        now = counts->items[--counts->n];
    return now;
}

/* Of a shorter period without a row all counts were 0. */
static struct count at_period(struct count_vec *counts, const struct moment *moment)
{
    while (counts->n > 0 && counts->items[counts->n - 1].at_ms < moment->at_ms)
        counts->n--;
    if (counts->n > 0 && counts->items[counts->n - 1].at_ms == moment->at_ms)
        return counts->items[--counts->n];
    return (struct count){0};
}

static int compare_lacks(const void *left, const void *right)
{
    const struct rollup_lack *a = left, *b = right;

    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return (a->netns > b->netns) - (a->netns < b->netns);
}

/* Something was complete in the namespace. */
static bool is_complete_in(const struct rollup *rollup, int64_t netns, const struct moment *moment)
{
    const struct rollup_lack lack = {.at_ms = moment->at_ms, .netns = netns};

    if (!moment->apart)
        return !moment->partial;
    return rollup->lacks.n == 0 ||
           !bsearch(&lack, rollup->lacks.items, rollup->lacks.n, sizeof(lack), compare_lacks);
}

/* The namespace of the series; 0: no moment of the range is apart, and it is not needed. */
static int find_netns(struct store *store, int64_t *ret, struct err *err)
{
    static const char sql[] = "SELECT netns FROM services WHERE id = ?1";
    sqlite3_stmt *stmt;
    int r;

    *ret = 0;
    if (!store->rollup.apart)
        return 0;
    r = writer_stmt(store, STMT_GET_SERVICE_NETNS, sql, &stmt, err);
    if (r < 0)
        return r;
    SQL_BIND(stmt, store->rollup.service);
    r = sql_step(stmt, err);
    if (r > 0)
        *ret = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return r < 0 ? r : 0;
}

static bool is_zero(const struct sum *sum)
{
    return !sum->has || sum->count.max == 0;
}

/* counts are those of all; apart those of the namespace in periods that are. */
static int add_series(struct store *store, struct count_vec *counts, struct count_vec *apart,
                      int *rows, struct err *err)
{
    const struct rollup *rollup = &store->rollup;
    bool ticks = rollup->tier == TIER_MINUTES;
    struct sum all = {0}, own = {.netns = true};
    struct count now = {0}, there;
    int64_t netns;
    int r = find_netns(store, &netns, err);

    for (size_t i = 0; i < rollup->moments.n && r >= 0; i++) {
        const struct moment *moment = &rollup->moments.items[i];

        if (counts->n == 0 && apart->n == 0 && now.max == 0 && is_zero(&all) && is_zero(&own))
            break;
        now = ticks ? at_snapshot(counts, moment, now) : at_period(counts, moment);
        if (!moment->partial)
            r = add(store, &all, moment, &now, rows, err);
        if (r < 0 || netns == 0)
            continue;
        there = ticks || !moment->apart ? now : at_period(apart, moment);
        r = add(store, &own, moment, is_complete_in(rollup, netns, moment) ? &there : NULL, rows,
                err);
    }
    if (r >= 0)
        r = end_period(store, &all, rows, err);
    return r < 0 ? r : end_period(store, &own, rows, err);
}

int rollup_counts(struct store *store, int *rows, struct err *err)
{
    struct count_vec counts = {0}, apart = {0};
    int r = 1;

    while (r > 0 && *rows > 0) {
        r = next_series(store, err);
        if (r <= 0)
            break;
        r = read_series(store, false, &counts, err);
        if (r >= 0 && store->rollup.apart && store->rollup.tier != TIER_MINUTES)
            r = read_series(store, true, &apart, err);
        *rows -= SERIES_ROWS + (int)counts.n + (int)apart.n;
        if (r >= 0)
            r = add_series(store, &counts, &apart, rows, err);
        r = r < 0 ? r : 1;
    }
    vec_finish(&counts);
    vec_finish(&apart);
    return r;
}
