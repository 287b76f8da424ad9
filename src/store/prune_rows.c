/* SPDX-License-Identifier: MIT */
/* Rows go some hundred at a time. Each tier has its tables as parts, which are gone through in order;
 * where a step ended the next one goes on. */
#include <errno.h>

#include "connhist/store/file.h"
#include "retention.h"
#include "sql.h"
#include "writer.h"

#define STEP_ROWS   400 /* removed in a step, about */
#define STEP_VISITS 200 /* services and the like that a step looks at */

struct step {
    struct store *store;
    struct prune_tier *tier;
    int number; /* of the tier */
    int64_t rows, visits;
};

static bool is_spent(const struct step *step)
{
    return step->rows >= STEP_ROWS || step->visits >= STEP_VISITS;
}

int prune_life(struct store *store, int64_t life, struct err *err)
{
    static const char changes_sql[] = "DELETE FROM owner_changes WHERE life = ?1";
    int r = WRITER_RUN(store, STMT_PRUNE_LATE, "DELETE FROM late WHERE life = ?1", err, life);

    if (r >= 0)
        r = WRITER_RUN(store, STMT_PRUNE_HOLDERS, "DELETE FROM holders WHERE life = ?1", err, life);
    if (r >= 0)
        r = WRITER_RUN(store, STMT_PRUNE_QUEUES, "DELETE FROM queues WHERE life = ?1", err, life);
    if (r >= 0 && store->retention.has_changes)
        r = WRITER_RUN(store, STMT_PRUNE_CHANGES, changes_sql, err, life);
    return r;
}

/* One row beyond the bound, so that what is left is known from how many went. */
static int drop_closed(struct step *step, int64_t first, int64_t last, int64_t *lives,
                       size_t *ret_n, int64_t *ret_rows, struct err *err)
{
    static const char sql[] =
        "DELETE FROM closed WHERE key BETWEEN ?1 AND coalesce((SELECT c.key FROM closed AS c WHERE "
        "c.key BETWEEN ?1 AND ?2 ORDER BY c.key LIMIT 1 OFFSET ?3), ?2) RETURNING life";
    sqlite3_stmt *stmt;
    int r = writer_stmt(step->store, STMT_PRUNE_CLOSED, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, first, last, STEP_ROWS - 1);
    while ((r = sql_step(stmt, err)) > 0) {
        (*ret_rows)++;
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL)
            lives[(*ret_n)++] = sqlite3_column_int64(stmt, 0);
    }
    return r;
}

/* Lives of one class that ended before from_ms, with what hangs on them. 1: all are gone. */
static int prune_class(struct step *step, unsigned class, struct err *err)
{
    int64_t first = file_closed_key(class, 0, 0), lives[STEP_ROWS], rows = 0;
    int64_t last = file_closed_key(class, step->tier->from_ms, 0) - 1;
    size_t n = 0;
    int r = last < first ? 0 : drop_closed(step, first, last, lives, &n, &rows, err);

    for (size_t i = 0; i < n && r >= 0; i++)
        r = prune_life(step->store, lives[i], err);
    step->rows += rows;
    step->visits++;
    return r < 0 ? r : rows < STEP_ROWS;
}

/* What is next in a table that is gone through: its one or two numbers are kept in at. 1: there is one. */
static int next_at(struct step *step, enum writer_stmt which, const char *sql, struct err *err)
{
    sqlite3_stmt *stmt;
    int r = writer_stmt(step->store, which, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, step->tier->at[0], step->tier->at[1], step->number);
    r = sql_step(stmt, err);
    step->visits++;
    if (r <= 0)
        return r;
    step->tier->at[0] = sqlite3_column_int64(stmt, 0);
    step->tier->at[1] = sqlite3_column_int64(stmt, 1);
    sqlite3_reset(stmt);
    return 1;
}

/* Removes rows of what at says; sql is bound to it, the tier and how many. */
static int drop_at(struct step *step, enum writer_stmt which, const char *sql, struct err *err)
{
    int r, rows;

    do {
        r = WRITER_RUN(step->store, which, sql, err, step->tier->at[0], step->tier->at[1],
                       step->number, step->tier->from_ms, STEP_ROWS);
        rows = r < 0 ? 0 : sqlite3_changes(step->store->db);
        step->rows += rows;
    } while (rows >= STEP_ROWS && !is_spent(step));
    return r < 0 ? r : rows < STEP_ROWS;
}

/* A part of which each group of rows is found by two numbers. 1: all is gone. */
static int prune_groups(struct step *step, enum writer_stmt next, const char *next_sql,
                        enum writer_stmt drop, const char *drop_sql, struct err *err)
{
    while (!is_spent(step)) {
        int64_t before[] = {step->tier->at[0], step->tier->at[1]};
        int r = next_at(step, next, next_sql, err);

        if (r <= 0)
            return r < 0 ? r : 1;
        r = drop_at(step, drop, drop_sql, err);
        if (r < 0)
            return r;
        if (r == 0) { /* more of the same is left */
            step->tier->at[0] = before[0];
            step->tier->at[1] = before[1];
        }
    }
    return 0;
}

/* A listener's queue holds until its next row: the last one before is kept. */
static int prune_queues(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_QUEUE,
        "SELECT life, 0 FROM queues WHERE life > ?1 AND ?2 >= -1 AND ?3 < 0 ORDER BY life LIMIT 1",
        STMT_THIN_QUEUE,
        "DELETE FROM queues WHERE life = ?1 AND ?2 >= -1 AND ?3 < 0 AND at_ms < (SELECT "
        "max(q.at_ms) "
        "FROM queues AS q WHERE q.life = ?1 AND q.at_ms <= ?4) AND at_ms <= coalesce((SELECT "
        "q.at_ms "
        "FROM queues AS q WHERE q.life = ?1 ORDER BY q.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

static int prune_tallies(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_TALLY,
        "SELECT service, state FROM tallies WHERE (service, state) > (?1, ?2) AND ?3 = 0 "
        "ORDER BY service, state LIMIT 1",
        STMT_PRUNE_TALLY,
        "DELETE FROM tallies WHERE service = ?1 AND state = ?2 AND ?3 = 0 AND at_ms < ?4 AND at_ms "
        "<= "
        "coalesce((SELECT t.at_ms FROM tallies AS t WHERE t.service = ?1 AND t.state = ?2 "
        "ORDER BY t.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

static int prune_rollups(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_ROLLUP,
        "SELECT service, state FROM tally_rollups WHERE tier = ?3 AND (service, state) > (?1, ?2) "
        "ORDER BY service, state LIMIT 1",
        STMT_PRUNE_ROLLUP,
        "DELETE FROM tally_rollups WHERE tier = ?3 AND service = ?1 AND state = ?2 AND at_ms < ?4 "
        "AND at_ms <= coalesce((SELECT t.at_ms FROM tally_rollups AS t WHERE t.tier = ?3 "
        "AND t.service = ?1 AND t.state = ?2 ORDER BY t.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

static int prune_rates(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_RATE,
        "SELECT service, 0 FROM rate_rollups WHERE tier = ?3 AND service > ?1 AND ?2 >= -1 "
        "ORDER BY service LIMIT 1",
        STMT_PRUNE_RATE,
        "DELETE FROM rate_rollups WHERE tier = ?3 AND service = ?1 AND ?2 >= -1 AND at_ms < ?4 "
        "AND at_ms <= coalesce((SELECT t.at_ms FROM rate_rollups AS t WHERE t.tier = ?3 "
        "AND t.service = ?1 ORDER BY t.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

static int prune_cover(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM cover_rollups WHERE tier = ?1 AND at_ms < ?2 AND at_ms <= coalesce((SELECT "
        "t.at_ms FROM cover_rollups AS t WHERE t.tier = ?1 ORDER BY t.at_ms LIMIT 1 OFFSET ?3), "
        "?2)";
    int r = WRITER_RUN(step->store, STMT_PRUNE_COVER, sql, err, step->number, step->tier->from_ms,
                       STEP_ROWS - 1);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    step->rows += rows;
    return r < 0 ? r : rows < STEP_ROWS;
}

/* Snapshots are of detail and of counts: they go when both are gone. */
static int prune_snapshots(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM snapshots WHERE start_ms < ?1 AND start_ms <= coalesce((SELECT s.start_ms "
        "FROM snapshots AS s ORDER BY s.start_ms LIMIT 1 OFFSET ?2), ?1)";
    static const char incomplete_sql[] =
        "DELETE FROM incomplete WHERE start_ms < "
        "(SELECT min(start_ms) FROM snapshots WHERE start_ms > ?1)";
    const struct prune_tier *tiers = step->store->retention.tiers;
    int64_t detail_ms = tiers[TIER_DETAIL + 1].from_ms, ticks_ms = tiers[TIER_TICKS + 1].from_ms;
    int r = WRITER_RUN(step->store, STMT_PRUNE_SNAPSHOTS, sql, err,
                       detail_ms < ticks_ms ? detail_ms : ticks_ms, STEP_ROWS - 1);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    step->rows += rows;
    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_INCOMPLETE, incomplete_sql, err, -1);
    return r < 0 ? r : rows < STEP_ROWS;
}

/* What lacked, where it paused and which runs there were is told as long as there are counts by the hour, or
 * anything finer. */
static int prune_notes(struct step *step, struct err *err)
{
    static const char losses_sql[] = "DELETE FROM losses WHERE id IN (SELECT l.id FROM losses AS l "
                                     "WHERE l.until_ms < ?1 ORDER BY l.until_ms LIMIT ?2)";
    static const char pauses_sql[] =
        "DELETE FROM pauses WHERE from_ms IN (SELECT p.from_ms FROM pauses AS p "
        "WHERE p.from_ms < ?1 AND p.until_ms < ?1 ORDER BY p.from_ms LIMIT ?2)";
    static const char runs_sql[] =
        "DELETE FROM recordings WHERE id IN (SELECT r.id FROM recordings AS r WHERE r.started_ms < "
        "?1 "
        "AND (SELECT n.started_ms FROM recordings AS n WHERE n.id > r.id ORDER BY n.id LIMIT 1) < "
        "?1 "
        "AND NOT EXISTS (SELECT 1 FROM pauses AS p WHERE r.id IN (p.before, p.after)) "
        "ORDER BY r.id LIMIT ?2 / 10)";
    static const char spans_sql[] =
        "DELETE FROM netns_spans WHERE (netns, from_ms) IN (SELECT s.netns, s.from_ms FROM "
        "netns_spans AS s WHERE s.until_ms < ?1 LIMIT ?2)";
    const struct prune_tier *tiers = step->store->retention.tiers;
    int64_t from_ms = tiers[TIER_HOURS + 1].from_ms;
    int r, rows = 0;

    for (int tier = TIER_DETAIL; tier < TIER_HOURS; tier++)
        if (tiers[tier + 1].from_ms < from_ms)
            from_ms = tiers[tier + 1].from_ms;
    r = WRITER_RUN(step->store, STMT_PRUNE_LOSSES, losses_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_PAUSES, pauses_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_RUNS, runs_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_SPANS, spans_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    step->rows += rows;
    return r < 0 ? r : rows == 0;
}

/* Readings with what they found, of the minutes. */
static int prune_readings(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM readings WHERE at_ms < ?1 AND at_ms <= coalesce((SELECT r.at_ms FROM "
        "readings AS r ORDER BY r.at_ms LIMIT 1 OFFSET ?2), ?1)";
    static const char lacks_sql[] =
        "DELETE FROM reading_lacks WHERE (at_ms, netns) IN (SELECT l.at_ms, l.netns FROM "
        "reading_lacks AS l WHERE l.at_ms < ?1 ORDER BY l.at_ms LIMIT ?2)";
    int64_t from_ms = step->tier->from_ms;
    int r = WRITER_RUN(step->store, STMT_PRUNE_READINGS, sql, err, from_ms, STEP_ROWS - 1);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_READING_LACKS, lacks_sql, err, from_ms, STEP_ROWS);
    if (r >= 0 && sqlite3_changes(step->store->db) > rows)
        rows = sqlite3_changes(step->store->db);
    step->rows += rows;
    return r < 0 ? r : rows < STEP_ROWS;
}

static int prune_counters(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_COUNTER,
        "SELECT netns, 0 FROM counters WHERE netns > ?1 AND ?2 >= -1 AND ?3 = 1 ORDER BY netns "
        "LIMIT 1",
        STMT_PRUNE_COUNTER,
        "DELETE FROM counters WHERE netns = ?1 AND ?2 >= -1 AND ?3 = 1 AND at_ms < ?4 AND at_ms "
        "<= coalesce((SELECT c.at_ms FROM counters AS c WHERE c.netns = ?1 "
        "ORDER BY c.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

/* The last value of each counter stays in its day: it holds until there is another, as long as the
 * namespace is recorded. */
static int prune_counter_rollups(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_COUNTER_ROLLUP,
        "SELECT netns, 0 FROM counter_rollups WHERE tier = ?3 AND netns > ?1 AND ?2 >= -1 "
        "ORDER BY netns LIMIT 1",
        STMT_PRUNE_COUNTER_ROLLUP,
        "DELETE FROM counter_rollups WHERE tier = ?3 AND netns = ?1 AND ?2 >= -1 AND at_ms < ?4 "
        "AND (?3 = 3 OR at_ms <= coalesce((SELECT c.at_ms FROM counter_rollups AS c WHERE c.tier = "
        "?3 AND c.netns = ?1 ORDER BY c.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)) AND (?3 = 2 "
        "OR NOT EXISTS (SELECT 1 FROM netns_spans AS s WHERE s.netns = ?1 AND s.until_ms IS NULL) "
        "OR EXISTS (SELECT 1 FROM counter_rollups AS l WHERE l.tier = ?3 AND l.netns = ?1 "
        "AND l.at_ms > counter_rollups.at_ms AND l.counter = counter_rollups.counter))",
        err);
}

/* How far they were read. */
static int prune_counter_cover(struct step *step, struct err *err)
{
    return prune_groups(
        step, STMT_GROUP_COUNTER_COVER,
        "SELECT netns, 0 FROM counter_cover WHERE tier = ?3 AND netns > ?1 AND ?2 >= -1 "
        "ORDER BY netns LIMIT 1",
        STMT_PRUNE_COUNTER_COVER,
        "DELETE FROM counter_cover WHERE tier = ?3 AND netns = ?1 AND ?2 >= -1 AND at_ms < ?4 AND "
        "at_ms <= coalesce((SELECT c.at_ms FROM counter_cover AS c WHERE c.tier = ?3 AND c.netns = "
        "?1 ORDER BY c.at_ms LIMIT 1 OFFSET ?5 - 1), ?4)",
        err);
}

/* Interfaces and routes that were other than they are. */
static int prune_spans_of(struct step *step, enum writer_stmt which, const char *sql,
                          struct err *err)
{
    int r = WRITER_RUN(step->store, which, sql, err, step->tier->from_ms, STEP_ROWS);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    step->rows += rows;
    return r < 0 ? r : rows < STEP_ROWS;
}

static int prune_interfaces(struct step *step, struct err *err)
{
    return prune_spans_of(
        step, STMT_PRUNE_INTERFACES,
        "DELETE FROM interfaces WHERE id IN (SELECT i.id FROM interfaces AS i WHERE coalesce("
        "i.until_ms, (SELECT iif(count(*) = count(s.until_ms), max(s.until_ms), NULL) FROM "
        "netns_spans "
        "AS s WHERE s.netns = i.netns)) < ?1 LIMIT ?2)",
        err);
}

/* A route goes with its ways: those go first, so that a crash leaves none without a route. */
static int prune_routes(struct step *step, struct err *err)
{
#define GONE_ROUTES                                                                    \
    "(SELECT i.id FROM routes AS i WHERE coalesce(i.until_ms, (SELECT iif(count(*) = " \
    "count(s.until_ms), max(s.until_ms), NULL) FROM netns_spans AS s WHERE s.netns = " \
    "i.netns)) < ?1 "                                                                  \
    "ORDER BY i.id LIMIT ?2)"
    int r = WRITER_RUN(step->store, STMT_PRUNE_ROUTE_WAYS,
                       "DELETE FROM route_ways WHERE route IN " GONE_ROUTES, err,
                       step->tier->from_ms, STEP_ROWS);

    return r < 0 ? r
                 : prune_spans_of(step, STMT_PRUNE_ROUTES,
                                  "DELETE FROM routes WHERE id IN " GONE_ROUTES, err);
}

typedef int (*part_fn)(struct step *step, struct err *err);

/* One part of what a tier has. 1: it is done with. *ret_last: there is none behind it. */
static int prune_part(struct step *step, bool *ret_last, struct err *err)
{
    static const part_fn detail[] = {prune_queues, prune_snapshots};
    static const part_fn ticks[] = {prune_tallies, prune_snapshots};
    static const part_fn minutes[] = {prune_rollups, prune_rates, prune_cover, prune_counters,
                                      prune_readings};
    static const part_fn hours[] = {prune_rollups,         prune_rates,         prune_cover,
                                    prune_counter_rollups, prune_counter_cover, prune_interfaces,
                                    prune_routes,          prune_notes};
    static const part_fn days[] = {prune_rollups, prune_rates, prune_cover, prune_counter_rollups,
                                   prune_counter_cover};
    unsigned part = step->tier->part;

    if (step->number == TIER_DETAIL) {
        if (part < FILE_CLASSES)
            return prune_class(step, part, err);
        *ret_last = part == FILE_CLASSES + 1;
        return detail[part - FILE_CLASSES](step, err);
    }
    if (step->number == TIER_TICKS) {
        *ret_last = part == 1;
        return ticks[part](step, err);
    }
    if (step->number == TIER_MINUTES) {
        *ret_last = part + 1 == sizeof(minutes) / sizeof(minutes[0]);
        return minutes[part](step, err);
    }
    if (step->number == TIER_HOURS) {
        *ret_last = part + 1 == sizeof(hours) / sizeof(hours[0]);
        return hours[part](step, err);
    }
    *ret_last = part + 1 == sizeof(days) / sizeof(days[0]);
    return days[part](step, err);
}

static void begin_part(struct prune_tier *tier, unsigned part)
{
    tier->part = part;
    tier->at[0] = tier->at[1] = -1;
}

int prune_rows(struct store *store, enum tier number, int64_t *ret_rows, struct err *err)
{
    struct prune_tier *tier = &store->retention.tiers[number + 1];
    struct step step = {.store = store, .tier = tier, .number = number};
    bool last = false;
    int r = 0;

    while (!is_spent(&step) && tier->dirty) {
        r = prune_part(&step, &last, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        begin_part(tier, last ? 0 : tier->part + 1);
        tier->dirty = !last;
    }
    *ret_rows = step.rows;
    return 0;
}

int prune_oldest_closing(struct store *store, int64_t until_ms, int64_t *ret, struct err *err)
{
    static const char sql[] = "SELECT key >> 16 & (1 << 42) - 1 FROM closed "
                              "WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1";
    int64_t oldest = INT64_MAX;

    if (until_ms < 0)
        return 0;
    for (unsigned class = 0; class < FILE_CLASSES; class ++) {
        sqlite3_stmt *stmt;
        int r = writer_stmt(store, STMT_OLDEST_CLOSED, sql, &stmt, err);

        if (r < 0)
            return r;
        SQL_BIND(stmt, file_closed_key(class, 0, 0),
                 file_closed_key(class, until_ms, FILE_SERIALS - 1));
        r = sql_step(stmt, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        if (sqlite3_column_int64(stmt, 0) < oldest)
            oldest = sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
    }
    if (oldest == INT64_MAX)
        return 0;
    *ret = oldest;
    return 1;
}
