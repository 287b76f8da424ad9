/* SPDX-License-Identifier: MIT */
#include "senses.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/model/history.h"
#include "connhist/store/file.h"
#include "connhist/store/histogram.h"
#include "sql.h"

#define SENSES_SQL_MAX 2048
#define LOST_FROM      "1000000" /* namespaces that stand for lost ones are numbered from here on */

/* Columns that refer to a service, and namespaces for services that are in no table any more. */
#define LOST_SERVICE(table, since)                                                             \
    {                                                                                          \
        table, "of an unknown service", "service NOT IN (SELECT id FROM services)",            \
            "INSERT INTO services (id, netns, protocol, role, port) SELECT DISTINCT service, " \
            "" LOST_FROM " + service, 6, 2, -1 FROM " table                                    \
            " WHERE service NOT IN (SELECT id FROM services)",                                 \
            since                                                                              \
    }
#define LOST_LOCAL(table)                                                                   \
    {                                                                                       \
        table, "with an unknown local address", "local NOT IN (SELECT id FROM addresses)",  \
            "INSERT OR IGNORE INTO addresses (bytes) VALUES (zeroblob(4)), (zeroblob(16));" \
            "UPDATE " table " SET local = (SELECT id FROM addresses WHERE bytes = "         \
            "iif(typeof(remote) = 'integer', zeroblob(4), zeroblob(16))) "                  \
            "WHERE local NOT IN (SELECT id FROM addresses)",                                \
            1                                                                               \
    }
#define LOST_NETNS(table, since)                                                              \
    {                                                                                         \
        table, "of an unknown namespace", "netns NOT IN (SELECT id FROM netns)",              \
            "INSERT INTO netns (id, inode, name) SELECT DISTINCT netns, 0, 'lost-' || netns " \
            "FROM " table " WHERE netns NOT IN (SELECT id FROM netns)",                       \
            since                                                                             \
    }
#define LOST_NAME(table, column, names)                                             \
    {                                                                               \
        table, "of an unknown " column,                                             \
            column " IS NOT NULL AND " column " NOT IN (SELECT id FROM " names ")", \
            "UPDATE " table " SET " column " = NULL WHERE " column                  \
            " NOT IN (SELECT id FROM " names ")",                                   \
            1                                                                       \
    }
#define LOST_BOOT(table)                                                                         \
    {                                                                                            \
        table, "of an unknown boot", "boot IS NOT NULL AND boot NOT IN (SELECT id FROM boots)",  \
            "INSERT INTO boots (id, boot_id, base_ms) SELECT DISTINCT boot, 'lost-' || boot, 0 " \
            "FROM " table " WHERE boot IS NOT NULL AND boot NOT IN (SELECT id FROM boots)",      \
            1                                                                                    \
    }
#define LIFE(table)                                                                           \
    {table, "with a damaged history of states", "history_last(states) = 0", NULL, 1},         \
        LOST_SERVICE(table, 1), LOST_LOCAL(table),                                            \
    {                                                                                         \
        table, "with a state that is none", "traits < 0 OR traits & 15 NOT BETWEEN 1 AND 11", \
            NULL, 1                                                                           \
    }
/* Spans that end before they begin. */
#define SPAN(table, from, until, since)                                      \
    {                                                                        \
        table, "with an end before the begin", until " < " from, NULL, since \
    }
#define LENGTH "CASE tier WHEN 1 THEN 60000 WHEN 2 THEN 3600000 ELSE 86400000 END"
/* What a repair lost is no fault: the file tells it. */
#define NOT_REPAIRED "NOT EXISTS (SELECT 1 FROM losses WHERE kind = 8) AND "
/* A period of which the finer tier has all. */
#define HAS_FINER(table)                                                                           \
    "tier > 1 AND EXISTS (SELECT 1 FROM tiers AS t WHERE t.tier = " table                          \
    ".tier - 1 AND t.from_ms <= " table ".at_ms AND t.until_ms >= " table ".at_ms + " LENGTH       \
    ") AND EXISTS (SELECT 1 FROM tiers AS t WHERE t.tier = " table ".tier AND t.until_ms > " table \
    ".at_ms) AND "
#define FINER(table)                                                              \
    "FROM " table " AS f WHERE f.tier = " table ".tier - 1 AND f.at_ms >= " table \
    ".at_ms AND f.at_ms < " table ".at_ms + CASE " table                          \
    ".tier WHEN 2 THEN 3600000 ELSE 86400000 END"
#define COUNTED(table) "NOT EXISTS (SELECT 1 FROM states WHERE states.state = " table ".state)"

const struct sense senses[] = {
    {"closed", "whose key does not match their duration",
     "key < 0 OR duration_ms < 0 OR late_ms < 0 OR key >> 58 <> duration_class(duration_ms + "
     "late_ms)",
     NULL, 1},
    LIFE("closed"),
    LIFE("open"),
    LOST_SERVICE("tallies", 1),
    LOST_SERVICE("tally_rollups", 3),
    LOST_SERVICE("netns_tallies", 3),
    LOST_SERVICE("rate_rollups", 2),
    LOST_NETNS("services", 1),
    LOST_NETNS("incomplete", 2),
    LOST_NETNS("netns_spans", 2),
    LOST_NETNS("reading_lacks", 4),
    LOST_NETNS("counters", 4),
    LOST_NETNS("counter_rollups", 4),
    LOST_NETNS("counter_cover", 4),
    LOST_NETNS("interfaces", 4),
    LOST_NETNS("routes", 4),
    {"counters", "of an unknown counter", "counter NOT IN (SELECT id FROM counter_names)", NULL, 4},
    {"counter_rollups", "of an unknown counter",
     "tier NOT IN (2, 3) OR counter NOT IN (SELECT id FROM counter_names)", NULL, 4},
    {"services", "that can't be one",
     "protocol NOT IN (6, 17) OR role NOT IN (1, 2) OR port NOT BETWEEN -1 AND 65535", NULL, 1},
    LOST_NAME("closed", "owner", "owners"),
    LOST_NAME("open", "owner", "owners"),
    {"holders", "of an unknown owner", "owner NOT IN (SELECT id FROM owners)", NULL, 1},
    {"owner_changes", "of an unknown owner",
     "owner IS NOT NULL AND owner NOT IN (SELECT id FROM owners)",
     "UPDATE owner_changes SET owner = NULL WHERE owner NOT IN (SELECT id FROM owners)", 2},
    {"offloads", "that can't be one", "offload NOT BETWEEN 1 AND 255", NULL, 2},
    LOST_NAME("owners", "process", "processes"),
    LOST_NAME("owners", "program", "programs"),
    LOST_NAME("owners", "cgroup", "cgroups"),
    {"addresses", "that can't be one", "length(bytes) NOT IN (4, 16)", NULL, 1},
    {"open_facts", "without their socket", "life NOT IN (SELECT life FROM open)", NULL, 2},
    {"snapshots", "of an unknown run", "recording NOT IN (SELECT id FROM recordings)",
     "INSERT OR IGNORE INTO boots (id, boot_id, base_ms) SELECT 1, 'lost-1', 0 "
     "WHERE NOT EXISTS (SELECT 1 FROM boots);"
     "INSERT INTO recordings (id, boot, started_ms, interval_ms, detail, version, pid, uid) "
     "SELECT recording, (SELECT max(id) FROM boots), min(start_ms), "
     "max(100, (max(start_ms) - min(start_ms)) / max(count(*) - 1, 1)), 'on', 'lost', 0, 0 "
     "FROM snapshots WHERE recording NOT IN (SELECT id FROM recordings) GROUP BY recording",
     1},
    {"snapshots", "that can't be one",
     "status NOT IN (0, 1) OR anchor NOT IN (0, 1) OR sockets < 0", NULL, 1},
    LOST_BOOT("recordings"),
    LOST_BOOT("processes"),
    LOST_BOOT("netns"),
    {"tallies", "that can't be a count", "count < 0 OR " COUNTED("tallies"), NULL, 1},
    {"tally_rollups", "that can't be a count",
     "tier NOT BETWEEN 1 AND 3 OR min < 0 OR max < 1 OR last NOT BETWEEN min AND max OR sum < max "
     "OR " COUNTED("tally_rollups"),
     NULL, 3},
    {"cover_rollups", "that can't be right",
     "tier NOT BETWEEN 1 AND 3 OR done < 0 OR interrupted < 0 OR (done = 0) <> (first_ms IS NULL) "
     "OR last_ms < first_ms",
     NULL, 3},
    {"netns_tallies", "that can't be a count",
     "tier NOT BETWEEN 1 AND 3 OR min < 0 OR max < 1 OR last NOT BETWEEN min AND max OR sum < max "
     "OR " COUNTED("netns_tallies"),
     NULL, 3},
    {"netns_covers", "that can't be right",
     "tier NOT BETWEEN 1 AND 3 OR done < 0 OR (done = 0) <> (first_ms IS NULL) OR last_ms < "
     "first_ms OR netns <> 0 AND netns NOT IN (SELECT id FROM netns)",
     NULL, 3},
    {"tally_rollups", "with the begin of no period", "at_ms % " LENGTH " <> 0", NULL, 3},
    {"rate_rollups", "with the begin of no period", "at_ms % " LENGTH " <> 0", NULL, 3},
    {"cover_rollups", "with snapshots of another period",
     "at_ms % " LENGTH " <> 0 OR first_ms < at_ms OR last_ms >= at_ms + " LENGTH, NULL, 3},
    {"cover_rollups", "unlike the sum of shorter periods",
     NOT_REPAIRED HAS_FINER(
         "cover_rollups") "(done, interrupted, unkept) <> "
                          "(SELECT coalesce(sum(f.done), 0), coalesce(sum(f.interrupted), 0), "
                          "coalesce(sum(f.unkept), 0) " FINER("cover_rollups") ")",
     NULL, 3, true},
    {"tally_rollups", "unlike the sum of shorter periods",
     NOT_REPAIRED
         HAS_FINER("tally_rollups") "(max, sum) IS NOT (SELECT max(f.max), sum(f.sum) " FINER(
             "tally_rollups") " AND f.service = tally_rollups.service AND "
                              "f.state = tally_rollups.state)",
     NULL, 3, true},
    {"tallies", "at an instant without snapshot",
     NOT_REPAIRED "at_ms NOT IN (SELECT start_ms FROM snapshots)", NULL, 3, true},
    {"counters", "of no reading", NOT_REPAIRED "at_ms NOT IN (SELECT at_ms FROM readings)", NULL, 4,
     true},
    {"recordings", "with an end before the begin", "ended_ms < started_ms",
     "UPDATE recordings SET ended_ms = NULL WHERE ended_ms < started_ms", 1},
    SPAN("netns_spans", "from_ms", "until_ms", 2),
    SPAN("prunings", "from_ms", "until_ms", 3),
    SPAN("interfaces", "from_ms", "until_ms", 4),
    SPAN("routes", "from_ms", "until_ms", 4),
    {"route_ways", "without their route", "route NOT IN (SELECT id FROM routes)", NULL, 4},
    {"queues", "that can't be right", "waiting < 0 OR backlog < 0", NULL, 1},
    {"rate_rollups", "with a damaged histogram",
     "tier NOT BETWEEN 1 AND 3 OR NOT histogram_whole(durations) OR NOT histogram_whole(rtts)",
     NULL, 3},
    {"pauses", "that can't be one", "until_ms <= from_ms", NULL, 3},
    {"pauses", "of an unknown run",
     "before NOT IN (SELECT id FROM recordings) OR after NOT IN (SELECT id FROM recordings)", NULL,
     3},
    {"losses", "that can't be one", "until_ms < from_ms", NULL, 1},
    {"program", "that would give numbers again",
     "next_life <= (SELECT coalesce(max(life), 0) FROM open) OR "
     "last_ms < (SELECT coalesce(max(start_ms), 0) FROM snapshots)",
     "UPDATE program SET next_life = max(next_life, (SELECT coalesce(max(life), 0) + 1 FROM "
     "open)), "
     "last_ms = max(last_ms, (SELECT coalesce(max(start_ms), 0) FROM snapshots))",
     1},
    {"tiers", "that were added up further than they tell",
     "tier > 0 AND until_ms <= (SELECT max(c.at_ms) FROM cover_rollups AS c WHERE c.tier = "
     "tiers.tier)",
     "UPDATE tiers SET until_ms = (SELECT max(c.at_ms) FROM cover_rollups AS c WHERE c.tier = "
     "tiers.tier) + CASE tier WHEN 1 THEN 60000 WHEN 2 THEN 3600000 ELSE 86400000 END "
     "WHERE tier > 0 AND until_ms <= (SELECT max(c.at_ms) FROM cover_rollups AS c WHERE c.tier = "
     "tiers.tier)",
     3},
};
const size_t senses_n = sizeof(senses) / sizeof(senses[0]);

/* history_last(states): the last state; 0: the bytes are damaged */
static void f_history_last(sqlite3_context *context, int n, sqlite3_value **values)
{
    const uint8_t *bytes = sqlite3_value_blob(values[0]);
    size_t size = (size_t)sqlite3_value_bytes(values[0]), offset = 0;
    struct history_change change = {0};
    int r;

    (void)n;
    while ((r = history_next(bytes, size, &offset, &change)) > 0) {
    }
    sqlite3_result_int(context, r < 0 ? 0 : change.state);
}

/* histogram_whole(bytes): whether it can be read; so can NULL */
static void f_histogram_whole(sqlite3_context *context, int n, sqlite3_value **values)
{
    struct histogram_sum sum = {0};
    const void *bytes = sqlite3_value_blob(values[0]);

    (void)n;
    sqlite3_result_int(
        context, histogram_add_packed(&sum, bytes, (size_t)sqlite3_value_bytes(values[0])) >= 0);
}

static void f_duration_class(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    sqlite3_result_int64(context, file_closed_class(sqlite3_value_int64(values[0])));
}

int senses_register(sqlite3 *db, struct err *err)
{
    static const struct {
        const char *name;
        void (*fn)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"history_last", f_history_last},
        {"histogram_whole", f_histogram_whole},
        {"duration_class", f_duration_class},
    };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        int rc = sqlite3_create_function(db, functions[i].name, 1,
                                         SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS,
                                         NULL, functions[i].fn, NULL, NULL);

        if (rc != SQLITE_OK)
            return sql_fail(db, rc, err);
    }
    return 0;
}

int senses_count(sqlite3 *db, const struct sense *sense, int64_t *ret, struct err *err)
{
    char sql[SENSES_SQL_MAX];

    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s WHERE %s", sense->table, sense->bad);
    return sql_query_i64(db, sql, ret, err);
}

/* An expression that writes the key of a row of the table. */
static int make_key(sqlite3 *db, const char *table, char ret[static SENSES_PLACE_MAX],
                    struct err *err)
{
    static const char sql[] = "SELECT group_concat(quote(name || ' ') || ' || \"' || name || '\"', "
                              "' || '', '' || ') FROM "
                              "(SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk)";
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    r = sql_step(stmt, err);
    if (r > 0)
        snprintf(ret, SENSES_PLACE_MAX, "%s", (const char *)sqlite3_column_text(stmt, 0));
    return r;
}

int senses_place(sqlite3 *db, const struct sense *sense, char ret[static SENSES_PLACE_MAX],
                 struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    char key[SENSES_PLACE_MAX] = "", sql[SENSES_SQL_MAX];
    int r = make_key(db, sense->table, key, err);

    if (r < 0)
        return r;
    snprintf(sql, sizeof(sql), "SELECT %s FROM %s WHERE %s LIMIT 1", key, sense->table, sense->bad);
    r = sql_prepare(db, sql, &stmt, err);
    if (r >= 0)
        r = sql_step(stmt, err);
    *ret = '\0';
    if (r > 0)
        snprintf(ret, SENSES_PLACE_MAX, "%s", (const char *)sqlite3_column_text(stmt, 0));
    return r < 0 ? r : 0;
}

int senses_mend(sqlite3 *db, const struct sense *sense, struct err *err)
{
    char sql[SENSES_SQL_MAX];

    if (sense->mend)
        return sql_exec(db, sense->mend, err);
    snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE %s", sense->table, sense->bad);
    return sql_exec(db, sql, err);
}
