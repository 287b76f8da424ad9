/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes that go, some hundred rows at a time. */
#include "prune_rows.h"
#include "sql.h"
#include "writer.h"

/* Readings with what they found, of the minutes. */
int prune_readings(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM readings WHERE at_ms <= coalesce((SELECT r.at_ms FROM readings AS r WHERE "
        "r.at_ms < ?1 ORDER BY r.at_ms LIMIT 1 OFFSET ?2), ?1 - 1)";
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
    static const struct prune_group group = {
        .next = STMT_GROUP_COUNTER,
        .next_sql = "SELECT netns, 0 FROM counters WHERE netns > ?1 AND ?2 >= -1 AND ?3 = 1 ORDER "
                    "BY netns LIMIT 1",
        .drop = STMT_PRUNE_COUNTER,
        .drop_sql = "DELETE FROM counters WHERE netns = ?1 AND ?2 >= -1 AND ?3 = 1 AND at_ms <= "
                    "coalesce((SELECT c.at_ms FROM counters AS c WHERE c.netns = ?1 AND c.at_ms "
                    "< ?4 ORDER BY c.at_ms LIMIT 1 OFFSET ?5 - 1), ?4 - 1)",
    };

    return prune_groups(step, &group, err);
}

#define NEXT_COUNTED(table)                                                                \
    "SELECT netns, 0 FROM " table " WHERE tier = ?3 AND netns > ?1 AND ?2 >= -1 ORDER BY " \
    "netns LIMIT 1"
#define OLDEST_COUNTED(table, n)                                                             \
    "at_ms <= coalesce((SELECT c.at_ms FROM " table " AS c WHERE c.tier = ?3 AND c.netns = " \
    "?1 AND c.at_ms < ?4 ORDER BY c.at_ms LIMIT 1 OFFSET " n " - 1), ?4 - 1)"

int prune_counter_hours(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_COUNTER_ROLLUP,
        .next_sql = NEXT_COUNTED("counter_rollups"),
        .drop = STMT_PRUNE_COUNTER_HOURS,
        .drop_sql = "DELETE FROM counter_rollups WHERE tier = ?3 AND netns = ?1 AND ?2 >= -1 "
                    "AND " OLDEST_COUNTED("counter_rollups", "?5"),
    };

    return prune_groups(step, &group, err);
}

/* The last value of each counter stays in its day: it holds until there is another, as long as the namespace is
 * recorded. So what is looked through at once has more rows than there are counters. */
int prune_counter_days(struct step *step, struct err *err)
{
#define OLDEST_DAYS OLDEST_COUNTED("counter_rollups", "(SELECT count(*) FROM counter_names) + ?5")
    static const struct prune_group group = {
        .next = STMT_GROUP_COUNTER_ROLLUP,
        .next_sql = NEXT_COUNTED("counter_rollups"),
        .drop = STMT_PRUNE_COUNTER_DAYS,
        .visits = STEP_VISITS,
        .drop_sql = "DELETE FROM counter_rollups WHERE tier = ?3 AND netns = ?1 AND ?2 >= -1 "
                    "AND " OLDEST_DAYS " AND (NOT EXISTS (SELECT 1 FROM netns_spans AS s WHERE "
                    "s.netns = ?1 AND s.until_ms IS NULL) OR (at_ms, counter) NOT IN (SELECT "
                    "max(at_ms), counter FROM counter_rollups WHERE tier = ?3 AND netns = ?1 "
                    "AND " OLDEST_DAYS " GROUP BY counter))",
    };

    return prune_groups(step, &group, err);
}

/* How far they were read. */
int prune_counter_cover(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_COUNTER_COVER,
        .next_sql = NEXT_COUNTED("counter_cover"),
        .drop = STMT_PRUNE_COUNTER_COVER,
        .drop_sql = "DELETE FROM counter_cover WHERE tier = ?3 AND netns = ?1 AND ?2 >= -1 "
                    "AND " OLDEST_COUNTED("counter_cover", "?5"),
    };

    return prune_groups(step, &group, err);
}

/* Interfaces and routes that were other than they are, and those of namespaces that ended. */
#define GONE(table)                                                                       \
    "(SELECT g.id FROM " table " AS g WHERE g.netns = ?1 AND ?2 >= -1 AND ?3 >= 0 AND "   \
    "g.until_ms < ?4 UNION ALL SELECT g.id FROM " table " AS g WHERE g.netns = ?1 AND "   \
    "g.until_ms IS NULL AND (SELECT s.until_ms FROM netns_spans AS s WHERE s.netns = ?1 " \
    "ORDER BY s.from_ms DESC LIMIT 1) < ?4 LIMIT ?5)"

int prune_interfaces(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_INTERFACE,
        .next_sql = "SELECT netns, 0 FROM interfaces WHERE netns > ?1 AND ?2 >= -1 AND ?3 >= 0 "
                    "ORDER BY netns LIMIT 1",
        .drop = STMT_PRUNE_INTERFACES,
        .drop_sql = "DELETE FROM interfaces WHERE id IN " GONE("interfaces"),
    };

    return prune_groups(step, &group, err);
}

/* A route goes with its ways: those go first, so that a crash leaves none without a route. */
int prune_routes(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_ROUTE,
        .next_sql = "SELECT netns, 0 FROM routes WHERE netns > ?1 AND ?2 >= -1 AND ?3 >= 0 "
                    "ORDER BY netns LIMIT 1",
        .hanging = STMT_PRUNE_ROUTE_WAYS,
        .hanging_sql = "DELETE FROM route_ways WHERE route IN " GONE("routes"),
        .drop = STMT_PRUNE_ROUTES,
        .drop_sql = "DELETE FROM routes WHERE id IN " GONE("routes"),
    };

    return prune_groups(step, &group, err);
}
