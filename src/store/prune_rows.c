/* SPDX-License-Identifier: MIT */
/* Rows go some hundred at a time. Each tier has its tables as parts, which are gone through in order;
 * where a step ended the next one goes on. */
#include <errno.h>

#include "connhist/store/file.h"
#include "prune_rows.h"
#include "retention.h"
#include "sql.h"
#include "writer.h"

#define STEP_HOURS 40 /* of each kind in a step: they take up to a page */
#define STEP_RUNS  40
/* With the whole key SQLite goes right behind a group; without, it steps over each of its rows. */
#define BEHIND_ALL "9223372036854775807"
/* One bound, so that SQLite reads no row beyond it. */
#define OLDEST(table, group)                                             \
    "at_ms <= coalesce((SELECT t.at_ms FROM " table " AS t WHERE " group \
    " AND t.at_ms < ?4 ORDER BY t.at_ms LIMIT 1 OFFSET ?5 - 1), ?4 - 1)"
#define STEP_DOWN 6 /* steps are so many times as large on the way down to a smaller size */

static bool is_spent(const struct step *step)
{
    return step->rows >= STEP_ROWS * step->times || step->visits >= STEP_VISITS * step->times;
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

/* Removes rows of what at says. */
static int drop_at(struct step *step, const struct prune_group *group, struct err *err)
{
    const int64_t values[] = {step->tier->at[0], step->tier->at[1], step->number, step->from_ms,
                              STEP_ROWS};
    int r = 0, rows;

    do {
        if (group->hanging_sql)
            r = writer_run(step->store, group->hanging, group->hanging_sql, values, 5, err);
        if (r >= 0)
            r = writer_run(step->store, group->drop, group->drop_sql, values, 5, err);
        rows = r < 0 ? 0 : sqlite3_changes(step->store->db);
        step->rows += rows;
    } while (rows >= STEP_ROWS && !is_spent(step));
    return r < 0 ? r : rows < STEP_ROWS;
}

int prune_groups(struct step *step, const struct prune_group *group, struct err *err)
{
    while (!is_spent(step)) {
        int64_t before[] = {step->tier->at[0], step->tier->at[1]};
        int r = next_at(step, group->next, group->next_sql, err);

        step->visits += group->visits;
        if (r <= 0)
            return r < 0 ? r : 1;
        r = drop_at(step, group, err);
        if (r < 0)
            return r;
        if (r == 0) { /* more of the same is left */
            step->tier->at[0] = before[0];
            step->tier->at[1] = before[1];
        }
    }
    return 0;
}

/* What is told of hours that are gone. */
static int prune_hours(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM hours WHERE key >= ?1 AND key <= coalesce((SELECT h.key FROM hours AS h WHERE "
        "h.key BETWEEN ?1 AND ?2 ORDER BY h.key LIMIT 1 OFFSET ?3), ?2)";
    int rows = 0, r = 0;

    for (int kind = 1; kind < HOURS_KINDS && r >= 0; kind++) {
        r = WRITER_RUN(step->store, STMT_PRUNE_HOURS, sql, err, hours_key((enum hours_kind)kind, 0),
                       hours_key((enum hours_kind)kind, step->tier->from_ms), STEP_HOURS - 1);
        if (r >= 0 && sqlite3_changes(step->store->db) > rows)
            rows = sqlite3_changes(step->store->db);
    }
    step->visits += rows + 1; /* they count for nothing that was recorded */
    return r < 0 ? r : rows < STEP_HOURS;
}

/* A listener's queue holds until its next row: the last one before is kept. */
static int prune_queues(struct step *step, struct err *err)
{
#define LAST_QUEUE "(SELECT max(q.at_ms) FROM queues AS q WHERE q.life = ?1 AND q.at_ms <= ?4)"
    static const struct prune_group group = {
        .next = STMT_GROUP_QUEUE,
        .next_sql = "SELECT life, 0 FROM queues WHERE life > ?1 AND ?2 >= -1 AND ?3 < 0 ORDER BY "
                    "life LIMIT 1",
        .drop = STMT_THIN_QUEUE,
        .drop_sql =
            "DELETE FROM queues WHERE life = ?1 AND ?2 >= -1 AND ?3 < 0 AND at_ms <= "
            "coalesce((SELECT t.at_ms FROM queues AS t WHERE t.life = ?1 AND t.at_ms < " LAST_QUEUE
            " ORDER BY t.at_ms LIMIT 1 OFFSET ?5 - 1), " LAST_QUEUE " - 1)",
    };

    return prune_groups(step, &group, err);
}

static int prune_tallies(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_TALLY,
        .next_sql = "SELECT service, state FROM tallies WHERE (service, state, at_ms) > (?1, "
                    "?2, " BEHIND_ALL ") AND ?3 = 0 ORDER BY service, state, at_ms LIMIT 1",
        .drop = STMT_PRUNE_TALLY,
        .drop_sql = "DELETE FROM tallies WHERE service = ?1 AND state = ?2 AND ?3 = 0 AND " OLDEST(
            "tallies", "t.service = ?1 AND t.state = ?2"),
    };

    return prune_groups(step, &group, err);
}

#define STATE_GROUPS(table)                                                                    \
    "SELECT service, state FROM " table " WHERE tier = ?3 AND (service, state, at_ms) > (?1, " \
    "?2, " BEHIND_ALL ") ORDER BY service, state, at_ms LIMIT 1"
#define STATE_OLDEST(table)                                                              \
    "DELETE FROM " table " WHERE tier = ?3 AND service = ?1 AND state = ?2 AND " OLDEST( \
        table, "t.tier = ?3 AND t.service = ?1 AND t.state = ?2")

static int prune_rollups(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_ROLLUP,
        .next_sql = STATE_GROUPS("tally_rollups"),
        .drop = STMT_PRUNE_ROLLUP,
        .drop_sql = STATE_OLDEST("tally_rollups"),
    };

    return prune_groups(step, &group, err);
}

static int prune_netns_tallies(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_NETNS,
        .next_sql = STATE_GROUPS("netns_tallies"),
        .drop = STMT_PRUNE_NETNS,
        .drop_sql = STATE_OLDEST("netns_tallies"),
    };

    return prune_groups(step, &group, err);
}

static int prune_rates(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_RATE,
        .next_sql = "SELECT service, 0 FROM rate_rollups WHERE tier = ?3 AND service > ?1 AND ?2 "
                    ">= -1 ORDER BY service LIMIT 1",
        .drop = STMT_PRUNE_RATE,
        .drop_sql = "DELETE FROM rate_rollups WHERE tier = ?3 AND service = ?1 AND ?2 >= -1 "
                    "AND " OLDEST("rate_rollups", "t.tier = ?3 AND t.service = ?1"),
    };

    return prune_groups(step, &group, err);
}

static int prune_cover(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM cover_rollups WHERE tier = ?1 AND at_ms <= coalesce((SELECT t.at_ms FROM "
        "cover_rollups AS t WHERE t.tier = ?1 AND t.at_ms < ?2 ORDER BY t.at_ms LIMIT 1 OFFSET "
        "?3), ?2 - 1)";
    static const char netns_sql[] =
        "DELETE FROM netns_covers WHERE (tier, at_ms, netns) IN (SELECT tier, at_ms, netns FROM "
        "netns_covers WHERE tier = ?1 AND at_ms < ?2 LIMIT ?3)";
    int r = WRITER_RUN(step->store, STMT_PRUNE_COVER, sql, err, step->number, step->tier->from_ms,
                       STEP_ROWS - 1);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_NETNS_COVER, netns_sql, err, step->number,
                       step->tier->from_ms, STEP_ROWS);
    if (r >= 0 && sqlite3_changes(step->store->db) > rows)
        rows = sqlite3_changes(step->store->db);
    step->rows += rows;
    return r < 0 ? r : rows < STEP_ROWS;
}

/* Snapshots are of detail and of counts: they go when both are gone. */
static int prune_snapshots(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM snapshots WHERE start_ms <= coalesce((SELECT s.start_ms FROM snapshots AS s "
        "WHERE s.start_ms < ?1 ORDER BY s.start_ms LIMIT 1 OFFSET ?2), ?1 - 1)";
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
static int64_t notes_from(const struct step *step)
{
    const struct prune_tier *tiers = step->store->retention.tiers;
    int64_t from_ms = tiers[TIER_HOURS + 1].from_ms;

    for (int tier = TIER_DETAIL; tier < TIER_HOURS; tier++)
        if (tiers[tier + 1].from_ms < from_ms)
            from_ms = tiers[tier + 1].from_ms;
    return from_ms;
}

static int prune_notes(struct step *step, struct err *err)
{
    static const char losses_sql[] = "DELETE FROM losses WHERE id IN (SELECT l.id FROM losses AS l "
                                     "WHERE l.until_ms < ?1 ORDER BY l.until_ms LIMIT ?2)";
    static const char pauses_sql[] =
        "DELETE FROM pauses WHERE from_ms IN (SELECT p.from_ms FROM pauses AS p "
        "WHERE p.from_ms < ?1 AND p.until_ms < ?1 ORDER BY p.from_ms LIMIT ?2)";
    int64_t from_ms = notes_from(step);
    int r, rows = 0;

    r = WRITER_RUN(step->store, STMT_PRUNE_LOSSES, losses_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    if (r >= 0)
        r = WRITER_RUN(step->store, STMT_PRUNE_PAUSES, pauses_sql, err, from_ms, STEP_ROWS);
    rows += r < 0 ? 0 : sqlite3_changes(step->store->db);
    step->rows += rows;
    return r < 0 ? r : rows == 0;
}

/* The pauses of before have gone already, but for one that reaches beyond. Runs are numbered in the order of time. */
static int prune_runs(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM recordings WHERE id IN (SELECT r.id FROM recordings AS r WHERE r.id < "
        "coalesce((SELECT k.id FROM recordings AS k WHERE k.started_ms >= ?1 ORDER BY k.id LIMIT "
        "1), (SELECT max(k.id) FROM recordings AS k) + 1) "
        "AND (SELECT n.started_ms FROM recordings AS n WHERE n.id > r.id ORDER BY n.id LIMIT 1) < "
        "?1 AND NOT EXISTS (SELECT 1 FROM pauses AS p WHERE p.from_ms < ?1 AND r.id IN (p.before, "
        "p.after)) ORDER BY r.id LIMIT ?2)";
    int r = WRITER_RUN(step->store, STMT_PRUNE_RUNS, sql, err, notes_from(step), STEP_RUNS);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    step->rows += rows;
    return r < 0 ? r : rows < STEP_RUNS;
}

static int prune_netns_spans(struct step *step, struct err *err)
{
    static const struct prune_group group = {
        .next = STMT_GROUP_SPAN,
        .next_sql = "SELECT netns, 0 FROM netns_spans WHERE netns > ?1 AND ?2 >= -1 AND ?3 >= 0 "
                    "ORDER BY netns LIMIT 1",
        .drop = STMT_PRUNE_SPANS,
        .drop_sql = "DELETE FROM netns_spans WHERE netns = ?1 AND ?2 >= -1 AND ?3 >= 0 AND "
                    "until_ms < ?4 AND from_ms <= coalesce((SELECT t.from_ms FROM netns_spans AS t "
                    "WHERE t.netns = ?1 AND t.from_ms < ?4 ORDER BY t.from_ms LIMIT 1 OFFSET "
                    "?5 - 1), ?4 - 1)",
    };

    step->from_ms = notes_from(step);
    return prune_groups(step, &group, err);
}

/* Changes of the wall clock are told as long as there is anything of a time that they are about: no boot that something
 * refers to has anything from before it began. */
static int prune_epochs(struct step *step, struct err *err)
{
    static const char sql[] =
        "DELETE FROM epochs WHERE from_ms IN (SELECT e.from_ms FROM epochs AS e WHERE e.from_ms < "
        "(SELECT max(l.from_ms) FROM epochs AS l WHERE l.from_ms <= ?1 AND l.from_ms <= (SELECT "
        "min(b.base_ms) FROM boots AS b)) "
        "ORDER BY e.from_ms LIMIT ?2)";
    int r = WRITER_RUN(step->store, STMT_PRUNE_EPOCHS, sql, err, step->tier->from_ms, STEP_ROWS);
    int rows = r < 0 ? 0 : sqlite3_changes(step->store->db);

    step->rows += rows;
    return r < 0 ? r : rows < STEP_ROWS;
}

typedef int (*part_fn)(struct step *step, struct err *err);

/* One part of what a tier has. 1: it is done with. *ret_last: there is none behind it. */
static int prune_part(struct step *step, bool *ret_last, struct err *err)
{
    static const part_fn detail[] = {prune_hours, prune_queues, prune_snapshots};
    static const part_fn ticks[] = {prune_tallies, prune_snapshots};
    static const part_fn minutes[] = {prune_rollups, prune_netns_tallies, prune_rates,
                                      prune_cover,   prune_counters,      prune_readings};
    static const part_fn hours[] = {prune_rollups,    prune_netns_tallies, prune_rates,
                                    prune_cover,      prune_counter_hours, prune_counter_cover,
                                    prune_interfaces, prune_routes,        prune_notes,
                                    prune_runs,       prune_netns_spans};
    static const part_fn days[] = {prune_rollups, prune_netns_tallies, prune_rates,
                                   prune_cover,   prune_counter_days,  prune_counter_cover,
                                   prune_epochs};
    unsigned part = step->tier->part;

    step->from_ms = step->tier->from_ms;
    if (step->number == TIER_DETAIL) {
        if (part < FILE_CLASSES)
            return prune_class(step, part, err);
        *ret_last = part == FILE_CLASSES + 2;
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
    struct step step = {.store = store,
                        .tier = tier,
                        .number = number,
                        .times = budget_is_above(store) ? STEP_DOWN : 1};
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
