/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes that go, some hundred rows at a time. */
#include "prune_rows.h"
#include "sql.h"
#include "writer.h"

/* Readings with what they found, of the minutes. */
int prune_readings(struct step *step, struct err *err)
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

int prune_counters(struct step *step, struct err *err)
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
int prune_counter_rollups(struct step *step, struct err *err)
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
int prune_counter_cover(struct step *step, struct err *err)
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

int prune_interfaces(struct step *step, struct err *err)
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
int prune_routes(struct step *step, struct err *err)
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
