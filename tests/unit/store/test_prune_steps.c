/* SPDX-License-Identifier: MIT */
/* What a step of pruning costs, in steps of SQLite's machine: within the same bound in a file that has ten times as
 * much, be it of a longer time, or of more services, namespaces and what is theirs. */
#include "support.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/writer.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)
#define T0        (INT64_C(20400) * DAY_MS)
#define MOST      60000 /* steps of SQLite in one of pruning: some milliseconds */
#define QUIET     40    /* counters that change every 40 days */
#define LAST      42    /* so many hours behind the half of the file the last pruning is */

/* How much a file has. */
struct extent {
    int64_t days;
    int64_t wide; /* services; namespaces; interfaces and routes in each */
};

/* ?1: T0, ?2: days, ?3: wide. Rows are made by SQLite, which is quicker than batch by batch. */
#define TIMES(length)                                                                        \
    "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < ?3), t(at) AS" \
    " (SELECT ?1 UNION ALL SELECT at + " #length " FROM t WHERE at + " #length               \
    " < ?1 + ?2 * 86400000) "
static const char *const fill_sql[] = {
    TIMES(600000) "INSERT INTO snapshots (start_ms, recording, status, anchor, sockets, took_us, "
                  "doubles, unkept) SELECT at, 1, 0, at % 3600000 = 0, 0, 1, 0, 0 FROM t",
    TIMES(600000) "INSERT INTO incomplete SELECT at, 1 FROM t WHERE at % 7200000 = 0",
    TIMES(60000) "INSERT INTO closed (key, service, local, remote, duration_ms, late_ms, traits, "
                 "states, life) SELECT (at % 7 + 3) << 58 | at << 16 | 1, 1, 1, 1, 5, 0, 1, x'01', "
                 "iif(at % 600000 = 0, at, NULL) FROM t WHERE ?3",
    TIMES(600000) "INSERT INTO queues SELECT at % 5, at, 1, 1 FROM t WHERE ?3",
    TIMES(3600000) "INSERT INTO queues SELECT at, at, 1, 1 FROM t WHERE ?3",
    TIMES(600000) "INSERT INTO holders SELECT at, 1 FROM t WHERE ?3",
    TIMES(3600000) "INSERT INTO tallies SELECT n, 1, at, 5 FROM w, t",
    TIMES(3600000) "INSERT INTO tally_rollups SELECT 1, n, 1, at, 1, 1, 1, 1 FROM w, t",
    TIMES(7200000) "INSERT INTO tally_rollups SELECT 2, n, 1, at, 1, 1, 1, 1 FROM w, t",
    TIMES(86400000) "INSERT INTO tally_rollups SELECT 3, n, 1, at, 1, 1, 1, 1 FROM w, t",
    "INSERT INTO netns_tallies SELECT * FROM tally_rollups WHERE ?1 + ?2 + ?3",
    "INSERT INTO rate_rollups (tier, service, at_ms, opened, closed_local, closed_remote, "
    "closed_reset, closed_timeout, closed_unknown, sent_bytes, received_bytes) SELECT tier, "
    "service, at_ms, 0, 0, 0, 0, 0, 0, 0, 0 FROM tally_rollups WHERE ?1 + ?2 + ?3",
    "INSERT INTO cover_rollups SELECT tier, at_ms, 1, 0, at_ms, at_ms, 0, 1 FROM tally_rollups "
    "WHERE service = 1 AND ?1 + ?2 + ?3",
    "INSERT INTO netns_covers SELECT tier, at_ms, service, 1, at_ms, at_ms FROM tally_rollups "
    "WHERE service < 3 AND ?1 + ?2 + ?3",
    TIMES(600000) "INSERT INTO readings SELECT at, 0 FROM t WHERE ?3",
    TIMES(3600000) "INSERT INTO reading_lacks SELECT at, n, 1 FROM w, t",
    TIMES(7200000) "INSERT INTO counters SELECT n, at, c.value, 1, 1, 0, 0 FROM w, t, "
                   "json_each('[1,2,3,4,5]') AS c",
    TIMES(7200000) "INSERT INTO counter_rollups SELECT 2, n, at, c.value, 1, 0, 1, NULL, NULL, 1 "
                   "FROM w, t, json_each('[1,2,3,4,5]') AS c",
    TIMES(86400000) "INSERT INTO counter_rollups SELECT 3, n, at, c.value, 1, 0, 1, NULL, NULL, 1 "
                    "FROM w, t, json_each('[1,2,3,4,5]') AS c",
    /* each day another one that never changes again */
    TIMES(
        86400000) "INSERT INTO counter_rollups SELECT 3, n, at, 100 + at / 86400000 % 40, 1, 0, 1, "
                  "NULL, NULL, 1 FROM w, t",
    "INSERT INTO counter_cover SELECT DISTINCT tier, netns, at_ms, 1, 1, at_ms, at_ms FROM "
    "counter_rollups WHERE ?1 + ?2 + ?3",
    TIMES(7200000) "INSERT INTO interfaces (netns, ifindex, name, flags, operstate, mtu, type, "
                   "has_stats, from_ms, until_ms) SELECT n, 1, 'eth0', 1, 6, 1500, 1, 1, at, "
                   "nullif(at, (SELECT max(at) FROM t)) + 7200000 FROM w, t",
    TIMES(7200000) "INSERT INTO routes (netns, family, route_table, destination, bits, source, "
                   "source_bits, type, metric, protocol, scope, tos, nexthop_id, iif, flags, "
                   "encap, rank, mtu, mtu_lock, advmss, max_window, initcwnd, initrwnd, pref, "
                   "from_ms, until_ms) SELECT n, 2, 254, x'0a000000', 8, x'', 0, 1, 0, 3, 0, 0, 0, "
                   "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, at, nullif(at, (SELECT max(at) FROM t)) + "
                   "7200000 FROM w, t",
    "INSERT INTO route_ways SELECT id, 1, NULL, 1, 1, 0 FROM routes WHERE ?1 + ?2 + ?3",
    TIMES(3600000) "INSERT INTO netns_spans SELECT n, at, nullif(at, (SELECT max(at) FROM t)) + "
                   "60000, 1, "
                   "1 FROM w, t",
    TIMES(3600000) "INSERT INTO losses (from_ms, until_ms, kind, count, text) SELECT at, at, 1, 1, "
                   "'' FROM t WHERE ?3",
    TIMES(3600000) "INSERT INTO recordings (boot, started_ms, interval_ms, detail, version, pid, "
                   "uid) SELECT 1, at, 600000, 'on', 'test', 1, 0 FROM t WHERE ?3",
    TIMES(86400000) "INSERT INTO epochs SELECT at, 0 FROM t WHERE ?3",
    TIMES(3600000) "INSERT INTO hours SELECT 1 << 48 | at, 1, x'' FROM t WHERE ?3",
    "UPDATE tiers SET until_ms = ?1 + (?2 - 1) * 86400000 WHERE tier > 0 AND ?3",
};

static void fill(const struct place *place, const struct extent *extent)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < sizeof(fill_sql) / sizeof(fill_sql[0]); i++) {
        sqlite3_stmt *stmt = NULL;

        if (sqlite3_prepare_v2(db, fill_sql[i], -1, &stmt, NULL) != SQLITE_OK)
            fail_msg("%s: %s", fill_sql[i], sqlite3_errmsg(db));
        sqlite3_bind_int64(stmt, 1, T0);
        sqlite3_bind_int64(stmt, 2, extent->days);
        sqlite3_bind_int64(stmt, 3, extent->wide);
        if (sqlite3_step(stmt) != SQLITE_DONE)
            fail_msg("%s: %s", fill_sql[i], sqlite3_errmsg(db));
        assert_true(sqlite3_changes(db) > 0);
        sqlite3_finalize(stmt);
    }
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* All that is older went, and nothing else: the oldest is the one that shall be. */
static void assert_gone(const struct place *place, const struct extent *extent)
{
    static const struct {
        const char *table, *time;
        bool fine; /* goes by the hour, others by the day */
    } all[] = {
        {"closed", "key >> 16 & (1 << 42) - 1", true},
        {"tallies", "at_ms", true},
        {"snapshots", "start_ms", true},
        {"readings", "at_ms", true},
        {"counters", "at_ms", true},
        {"tally_rollups", "at_ms", false},
        {"netns_tallies", "at_ms", false},
        {"rate_rollups", "at_ms", false},
        {"cover_rollups", "at_ms", false},
        {"netns_covers", "at_ms", false},
        {"counter_cover", "at_ms", false},
        {"interfaces", "until_ms", false},
        {"routes", "until_ms", false},
        {"losses", "until_ms", false},
        {"netns_spans", "from_ms", false},
        {"recordings", "started_ms + 3600000", false},
    };
    int64_t fine_ms = T0 + extent->days / 2 * DAY_MS + (LAST - 1) * HOUR_MS;
    int64_t days = (fine_ms - T0) / DAY_MS;
    char sql[300];

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int64_t from_ms = all[i].fine ? fine_ms : fine_ms - fine_ms % DAY_MS;

        snprintf(sql, sizeof(sql), "SELECT min(%s) FROM %s", all[i].time, all[i].table);
        if (ask_number(place, sql) < from_ms || ask_number(place, sql) >= from_ms + 2 * HOUR_MS)
            fail_msg("%s: the oldest is %lld ms beside the bound", all[i].table,
                     (long long)(ask_number(place, sql) - from_ms));
    }
    assert_int_equal(
        ask_number(place,
                   "SELECT count(*) FROM route_ways WHERE route NOT IN (SELECT id FROM routes)"),
        0);
    /* of each counter the last one */
    assert_int_equal(ask_number(place, "SELECT count(*) FROM counter_rollups WHERE tier = 3 AND "
                                       "at_ms < (SELECT from_ms FROM tiers WHERE tier = 3)"),
                     extent->wide * (5 + (days < QUIET ? days : QUIET)));
}

#define TOLD 300

struct cost {
    int64_t now;           /* of the step that runs */
    int64_t most;          /* of any */
    int64_t most_of;       /* of the statement of that step that took most */
    int64_t now_of;        /* likewise, of the step that runs */
    char most_words[TOLD]; /* that statement */
    char now_words[TOLD];  /* likewise */
};

static int count_steps(unsigned event, void *arg, void *stmt, void *unused)
{
    struct cost *cost = arg;
    int64_t steps = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);

    (void)event;
    (void)unused;
    cost->now += steps;
    if (steps > cost->now_of) {
        cost->now_of = steps;
        snprintf(cost->now_words, TOLD, "%s", sqlite3_sql(stmt));
    }
    return 0;
}

static void prune(struct store *store, int64_t now_ms, struct cost *cost)
{
    struct err err = {0};
    int r;

    do {
        cost->now = cost->now_of = 0;
        r = prune_step(store, now_ms, &err);
        assert_ok(r);
        if (cost->now > cost->most) {
            cost->most = cost->now;
            cost->most_of = cost->now_of;
            memcpy(cost->most_words, cost->now_words, TOLD);
        }
    } while (r > 0);
}

/* The most that a step takes while the older half of a tier goes at once, and then some hours at a time. */
static struct cost cost_of(struct store *store, const struct extent *extent, int tier,
                           struct store_retention *wanted)
{
    int64_t half_ms = T0 + extent->days / 2 * DAY_MS;
    struct cost cost = {0};

    wanted->age_ms[tier + 1] = HOUR_MS;
    store_set_retention(store, wanted);
    sqlite3_trace_v2(store->db, SQLITE_TRACE_PROFILE, count_steps, &cost);
    for (int i = 0; i <= LAST; i += 6)
        prune(store, half_ms + i * HOUR_MS, &cost);
    sqlite3_trace_v2(store->db, 0, NULL, NULL);
    return cost;
}

static void costs_of(const struct extent *extent, struct cost ret[static TIER_COUNT])
{
    struct store_retention wanted = {.max_bytes = INT64_C(4) << 30, .wal_bytes = INT64_C(1) << 30};
    void *state = NULL;
    struct store *store;

    assert_int_equal(place_setup(&state), 0);
    store_close(open_recording(state, BOOT_A, T0 - 1000));
    fill(state, extent);
    store = open_store(state);
    for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++)
        ret[tier + 1] = cost_of(store, extent, tier, &wanted);
    store_close(store);
    assert_gone(state, extent);
    place_teardown(&state);
}

static void a_step_keeps_its_bound_in_a_file_ten_times_as_large(void **unused)
{
    static const struct extent extents[] = {
        {.days = 6, .wide = 25}, {.days = 100, .wide = 25}, {.days = 6, .wide = 250}};
    struct cost costs[TIER_COUNT];

    (void)unused;
    for (size_t i = 0; i < sizeof(extents) / sizeof(extents[0]); i++) {
        costs_of(&extents[i], costs);
        for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++) {
            const struct cost *cost = &costs[tier + 1];

            assert_true(cost->most > 1000); /* it had something to do */
            if (cost->most > MOST)
                fail_msg("%s of %lld days, %lld wide: a step took %lld; %lld of them for %s",
                         tier_name((enum tier)tier), (long long)extents[i].days,
                         (long long)extents[i].wide, (long long)cost->most,
                         (long long)cost->most_of, cost->most_words);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_keeps_its_bound_in_a_file_ten_times_as_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
