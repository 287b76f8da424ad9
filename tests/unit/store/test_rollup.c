/* SPDX-License-Identifier: MIT */
/* Counts and rates added up by minute, hour and day; SQLite's own sums over the raw rows are the
 * oracle. */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/store/upkeep.h"

#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)
#define T0   (INT64_C(20415) * DAY) /* the begin of a day */
#define MIN  INT64_C(60000)

static void upkeep_all(struct store *store)
{
    struct err err = {0};
    int r;

    do
        r = store_upkeep(store, T0, &err);
    while (r > 0);
    assert_ok(r);
}

static struct batch *batch_at(int64_t at_ms, bool anchor)
{
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.anchor = anchor;
    return batch;
}

static void add_tally(struct batch *batch, uint16_t port, uint8_t state, uint32_t count)
{
    struct tally_change tally = {
        .service = {.port = port, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .count = count,
        .state = state};

    assert_int_equal(vec_push(&batch->tallies, tally), 0);
}

static void write_count(struct store *store, int64_t at_ms, bool anchor, uint32_t count)
{
    struct batch *batch = batch_at(at_ms, anchor);

    add_tally(batch, 80, STATE_ESTABLISHED, count);
    write_batch(store, batch);
}

static void add_rate(struct batch *batch, uint16_t port, int64_t period_ms, uint64_t opened)
{
    struct rate_change rate = {
        .service = {.port = port, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .period_ms = period_ms,
        .opened = opened,
        .closed = {opened + 1, opened + 2, opened + 3, opened + 4, opened + 5},
        .sent_bytes = opened * 1000,
        .received_bytes = opened * 77,
    };

    rate.duration_ms.counts[opened % 20] = (uint32_t)opened;
    rate.rtt_us.counts[opened % 11] = 1;
    assert_int_equal(vec_push(&batch->rates, rate), 0);
}

/* All rows of a tier in one line. */
#define ROWS(tier)                                                                           \
    "SELECT group_concat(((at_ms - " T0_TEXT ") / 60000) || ': ' || min || ' ' || max || "   \
    "' ' || last || ' ' || sum, ', ') FROM (SELECT * FROM tally_rollups WHERE tier = " #tier \
    " ORDER BY service, state, at_ms)"
#define T0_TEXT "(20415 * 86400000)"

static void a_minute_tells_fewest_most_last_and_sum(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    write_count(store, T0 + 10000, true, 5);
    write_batch(store, batch_at(T0 + 20000, false));
    write_count(store, T0 + 30000, false, 9);
    write_count(store, T0 + 40000, false, 2);
    write_batch(store, batch_at(T0 + 70000, false));
    write_count(store, T0 + 80000, false, 0);
    write_batch(store, batch_at(T0 + 130000, false));
    write_count(store, T0 + 190000, false, 4);
    write_batch(store, batch_at(T0 + 250000, true)); /* an anchor that leaves it out */
    upkeep_all(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM tally_rollups"), 0);
    write_batch(store, batch_at(T0 + 10 * MIN, false));
    upkeep_all(store);
    assert_answer(place, "0: 2 9 2 21, 1: 0 2 0 2, 3: 4 4 4 4", ROWS(1));
    assert_answer(place,
                  "0|4|10000|40000 1|2|70000|80000 2|1|130000|130000 3|1|190000|190000 "
                  "4|1|250000|250000",
                  "SELECT group_concat(((at_ms - " T0_TEXT ") / 60000) || '|' || done || '|' || "
                  "(first_ms - " T0_TEXT ") || '|' || (last_ms - " T0_TEXT "), ' ') "
                  "FROM (SELECT * FROM cover_rollups ORDER BY at_ms)");
    store_close(store);
}

static void an_hour_tells_what_its_minutes_tell_together(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);

    write_count(store, T0 + 5 * MIN, true, 5);
    write_count(store, T0 + 6 * MIN, false, 7);
    write_count(store, T0 + HOUR + 1, true, 7);
    write_count(store, T0 + HOUR + MIN, false, 0);
    write_batch(store, batch_at(T0 + HOUR + 30 * MIN, false));
    write_count(store, T0 + 26 * HOUR, true, 1);
    write_batch(store, batch_at(T0 + 26 * HOUR + 10 * MIN, false));
    upkeep_all(store);
    assert_answer(place, "0: 5 7 7 12, 60: 0 7 0 7", ROWS(2));
    assert_answer(place, "0: 0 7 0 19", ROWS(3));
    assert_answer(place, "2025-11-23T00:00:00.000Z 80 ESTABLISHED 0 3.8 7 0",
                  "SELECT at || ' ' || port || ' ' || state || ' ' || min || ' ' || avg || ' ' || "
                  "max || ' ' || last FROM port_days");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM port_hours"), 2);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM port_minutes"), 4);
    store_close(store);
}

static void snapshots_that_failed_are_counted_apart_and_add_nothing(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = batch_at(T0 + 20000, false);

    write_count(store, T0 + 10000, true, 5);
    batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    batch->snapshot.unkept = 3;
    write_batch(store, batch);
    batch = batch_at(T0 + 90000, false);
    batch->snapshot.status = SNAPSHOT_INTERRUPTED;
    write_batch(store, batch);
    write_batch(store, batch_at(T0 + 10 * MIN, false));
    upkeep_all(store);
    assert_answer(place, "0: 5 5 5 5", ROWS(1));
    assert_answer(
        place, "1 1 3 1, 0 1 0 1",
        "SELECT group_concat(done || ' ' || interrupted || ' ' || unkept || ' ' || details, "
        "', ') FROM (SELECT * FROM cover_rollups ORDER BY at_ms)");
    assert_int_equal(ask_number(place, "SELECT count(*) FROM cover_rollups WHERE first_ms IS NULL "
                                       "AND last_ms IS NULL"),
                     1);
    store_close(store);
}

static void nothing_is_written_where_nothing_was_recorded(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};
    char before[256], after[256];

    assert_int_equal(store_upkeep(store, T0, &err), 0);
    write_count(store, T0 + 10000, true, 5);
    write_batch(store, batch_at(T0 + 11 * MIN, false));
    upkeep_all(store);
    ask(place, "SELECT group_concat(until_ms) FROM tiers", before);
    assert_int_equal(store_upkeep(store, T0 + 9 * DAY, &err), 0);
    ask(place, "SELECT group_concat(until_ms) FROM tiers", after);
    assert_string_equal(before, after);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM cover_rollups"), 1);
    write_batch(store, batch_at(T0 + 100 * DAY, true));
    upkeep_all(store);
    assert_answer(place, "1:2 2:1 3:1",
                  "SELECT group_concat(tier || ':' || n, ' ') FROM "
                  "(SELECT tier, count(*) AS n FROM cover_rollups GROUP BY tier ORDER BY tier)");
    store_close(store);
}

/* What the raw rows say of a tier, in the columns of tally_rollups. */
#define TRUTH                                                                                   \
    "WITH truth AS (SELECT service, state, start_ms - start_ms %% %lld AS at, min(c) AS min, "  \
    "max(c) AS max, sum(c) AS sum FROM (SELECT k.service, k.state, s.start_ms, "                \
    "coalesce((SELECT t.count FROM tallies AS t WHERE t.service = k.service AND t.state = "     \
    "k.state "                                                                                  \
    "AND t.at_ms <= s.start_ms AND t.at_ms >= (SELECT max(a.start_ms) FROM snapshots AS a "     \
    "WHERE a.anchor = 1 AND a.start_ms <= s.start_ms) ORDER BY t.at_ms DESC LIMIT 1), 0) AS c " \
    "FROM (SELECT DISTINCT service, state FROM tallies) AS k CROSS JOIN snapshots AS s) "       \
    "GROUP BY 1, 2, 3 HAVING max(c) > 0), "                                                     \
    "told AS (SELECT service, state, at_ms, min, max, sum FROM tally_rollups WHERE tier = %d "  \
    "AND at_ms < (SELECT until_ms FROM tiers WHERE tier = %d)) "

static void assert_counts(const struct place *place, enum tier tier)
{
    char sql[4096];
    long long length_ms = tier_length_ms(tier);
    int n = snprintf(sql, sizeof(sql),
                     TRUTH "SELECT count(*) FROM (SELECT * FROM truth WHERE at < (SELECT until_ms "
                           "FROM tiers WHERE tier = %d) EXCEPT SELECT * FROM told)",
                     length_ms, tier, tier, tier);

    assert_true(n > 0 && n < (int)sizeof(sql));
    assert_int_equal(ask_number(place, sql), 0);
    snprintf(sql, sizeof(sql),
             TRUTH "SELECT count(*) FROM (SELECT * FROM told EXCEPT SELECT * FROM truth)",
             length_ms, tier, tier);
    assert_int_equal(ask_number(place, sql), 0);
    snprintf(sql, sizeof(sql), TRUTH "SELECT count(*) > 0 FROM told", length_ms, tier, tier);
    assert_int_equal(ask_number(place, sql), 1);
}

static void assert_rates(const struct place *place, enum tier tier)
{
    char sql[2048];

    for (int way = 0; way < 2; way++) {
        snprintf(sql, sizeof(sql),
                 "WITH truth AS (SELECT service, at_ms - at_ms %% %lld AS at, sum(opened), "
                 "sum(closed_local), sum(closed_timeout), sum(closed_unknown), sum(sent_bytes), "
                 "sum(received_bytes) FROM rate_rollups WHERE tier = 1 GROUP BY 1, 2 "
                 "HAVING at < (SELECT until_ms FROM tiers WHERE tier = %d)), "
                 "told AS (SELECT service, at_ms, opened, closed_local, closed_timeout, "
                 "closed_unknown, sent_bytes, received_bytes FROM rate_rollups WHERE tier = %d "
                 "AND at_ms < (SELECT until_ms FROM tiers WHERE tier = %d)) "
                 "SELECT count(*) FROM (SELECT * FROM %s EXCEPT SELECT * FROM %s)",
                 (long long)tier_length_ms(tier), tier, tier, tier, way ? "truth" : "told",
                 way ? "told" : "truth");
        assert_int_equal(ask_number(place, sql), 0);
    }
    snprintf(sql, sizeof(sql), "SELECT count(*) > 0 FROM rate_rollups WHERE tier = %d", tier);
    assert_int_equal(ask_number(place, sql), 1);
}

#define PORTS 100

/* A snapshot of random changes, with what came and went lately. */
static struct batch *random_batch(int64_t at_ms, bool anchor)
{
    struct batch *batch = batch_at(at_ms, anchor);

    for (uint16_t port = 1; port <= PORTS; port++) {
        if (anchor || random() % 4 == 0)
            add_tally(batch, port, (uint8_t)(1 + random() % 3), (uint32_t)(random() % 5));
        if (random() % 20 == 0) { /* some are told of late, by hours and days */
            int64_t period_ms = at_ms - random() % 3 * (random() % (30 * HOUR));

            add_rate(batch, port, period_ms - period_ms % MIN, (uint64_t)random() % 50 + 1);
        }
    }
    return batch;
}

static struct store *reopen(const struct place *place, struct store *store, int64_t at_ms)
{
    store_disconnect(store); /* whatever it was at is left half done */
    store_close(store);
    return open_recording(place, BOOT_A, at_ms);
}

static void rollups_are_right_wherever_the_recorder_died_and_whatever_comes_late(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};
    int64_t at_ms = T0;
    int steps = 0;

    srandom(11);
    for (int i = 0; i < 200; i++) {
        bool died = i == 0 || random() % 40 == 0;
        int64_t hour = at_ms / HOUR;

        at_ms += random() % 9 ? 3 * MIN + random() % MIN : random() % (3 * HOUR);
        if (died)
            store = reopen(place, store, at_ms - 1);
        write_batch(store, random_batch(at_ms, died || at_ms / HOUR != hour));
        for (int n = (int)(random() % 6); n > 0; n--)
            steps += store_upkeep(store, at_ms, &err) > 0;
    }
    assert_true(steps > 100); /* many ranges were done in several steps, with batches between */
    upkeep_all(store);
    for (int tier = TIER_MINUTES; tier <= TIER_DAYS; tier++)
        assert_counts(place, tier);
    for (int tier = TIER_HOURS; tier <= TIER_DAYS; tier++)
        assert_rates(place, tier);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM pragma_integrity_check "
                                       "WHERE integrity_check = 'ok'"),
                     1);
    store_close(store);
}

static void what_comes_late_is_added_with_its_histograms(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = batch_at(T0 + 1000, true);

    add_rate(batch, 80, T0, 5);
    write_batch(store, batch);
    write_batch(store, batch_at(T0 + DAY + HOUR, true));
    upkeep_all(store);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM rate_days"), 1);
    batch = batch_at(T0 + DAY + HOUR + 1000, false);
    add_rate(batch, 80, T0 + 7 * MIN, 5);
    add_rate(batch, 443, T0 + 7 * MIN, 1);
    write_batch(store, batch);
    assert_answer(
        place, "80 10 050A 0502, 443 1 0101 0101",
        "SELECT group_concat(port || ' ' || opened || ' ' || substr(hex(durations), 1, 4) "
        "|| ' ' || hex(rtts), ', ') FROM (SELECT * FROM rate_hours ORDER BY port)");
    assert_answer(place, "10 1",
                  "SELECT group_concat(opened, ' ') FROM "
                  "(SELECT opened FROM rate_days ORDER BY port)");
    store_close(store);
}

static void a_step_that_fails_is_done_again_later(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};
    sqlite3 *other;

    write_count(store, T0 + 10000, true, 5);
    write_batch(store, batch_at(T0 + 10 * MIN, false));
    assert_int_equal(sqlite3_open(place->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_upkeep(store, T0 + DAY, &err), -EBUSY);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    upkeep_all(store);
    assert_answer(place, "0: 5 5 5 5", ROWS(1));
    store_close(store);
}

static void a_store_without_a_file_has_nothing_to_do(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct err err = {0};

    store_disconnect(store);
    assert_int_equal(store_upkeep(store, T0, &err), 0);
    store_close(store);
}

static void tiers_are_named_and_numbered_as_in_the_file(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    char sql[128];

    for (int tier = TIER_DETAIL; tier <= TIER_DAYS; tier++) {
        snprintf(sql, sizeof(sql), "SELECT name FROM tiers WHERE tier = %d", tier);
        assert_answer(place, tier_name(tier), sql);
    }
    assert_int_equal(tier_length_ms(TIER_TICKS), 0);
    assert_int_equal(tier_length_ms(TIER_MINUTES), MIN);
    assert_int_equal(tier_length_ms(TIER_HOURS), HOUR);
    assert_int_equal(tier_length_ms(TIER_DAYS), DAY);
    store_close(store);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_minute_tells_fewest_most_last_and_sum),
        TEST(an_hour_tells_what_its_minutes_tell_together),
        TEST(snapshots_that_failed_are_counted_apart_and_add_nothing),
        TEST(nothing_is_written_where_nothing_was_recorded),
        TEST(rollups_are_right_wherever_the_recorder_died_and_whatever_comes_late),
        TEST(what_comes_late_is_added_with_its_histograms),
        TEST(a_step_that_fails_is_done_again_later),
        TEST(a_store_without_a_file_has_nothing_to_do),
        TEST(tiers_are_named_and_numbered_as_in_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
