/* SPDX-License-Identifier: MIT */
/* What came and went by the minute: histograms, rows that batches add to, the view. */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/store/db.h"
#include "connhist/store/histogram.h"

#define T0 INT64_C(1763800020000) /* a whole minute */

static struct rate_change make_rate(int64_t period_ms)
{
    return (struct rate_change){
        .service = {.port = 80, .protocol = PROTOCOL_TCP, .role = ROLE_SERVER},
        .period_ms = period_ms,
    };
}

static void write_rate(struct store *store, int64_t at_ms, const struct rate_change *rate)
{
    struct batch *batch = make_batch(at_ms);

    assert_int_equal(vec_push(&batch->rates, *rate), 0);
    write_batch(store, batch);
}

static void a_histogram_survives_packing_whatever_its_counts(void **state)
{
    uint8_t packed[HISTOGRAM_PACKED_MAX];

    (void)state;
    srandom(7);
    for (int round = 0; round < 2000; round++) {
        struct histogram_sum sum = {0}, back = {0};
        size_t n;

        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
            if (random() % 2)
                sum.counts[i] =
                    (((uint64_t)random() << 33) ^ (uint64_t)random()) >> (random() % 64);
        n = histogram_pack(&sum, packed);
        assert_int_equal(histogram_add_packed(&back, packed, n), 0);
        assert_memory_equal(&sum, &back, sizeof(sum));
        if (n > 0)
            assert_int_equal(histogram_add_packed(&back, packed, n - 1) < 0 ||
                                 memcmp(&sum, &back, sizeof(sum)) != 0,
                             true);
    }
}

static void the_widest_histogram_fits(void **state)
{
    uint8_t packed[HISTOGRAM_PACKED_MAX];
    struct histogram_sum sum, twice;

    (void)state;
    memset(&sum, 0xff, sizeof(sum));
    assert_int_equal(histogram_pack(&sum, packed), sizeof(packed));
    twice = sum;
    assert_int_equal(histogram_add_packed(&twice, packed, sizeof(packed)), 0);
    assert_memory_equal(&sum, &twice, sizeof(sum));
    assert_true(histogram_count(&sum) == UINT64_MAX);
}

static void damaged_histograms_are_refused_and_add_nothing(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } damaged[] = {
        {"\x01", 1},                                          /* no count */
        {"\x01\x80", 2},                                      /* a count cut off */
        {"\x01\x00", 2},                                      /* an empty bucket */
        {"\x20\x01", 2},                                      /* no such bucket */
        {"\x02\x01\x02\x01", 4},                              /* one twice */
        {"\x02\x01\x01\x01", 4},                              /* out of order */
        {"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* more than 64 bits */
    };
    const struct histogram_sum nothing = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        struct histogram_sum sum = {0};

        assert_int_equal(histogram_add_packed(&sum, damaged[i].bytes, damaged[i].n), -EBADMSG);
        assert_memory_equal(&sum, &nothing, sizeof(sum));
    }
}

static int compare_values(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void a_percentile_is_the_bound_of_the_bucket_that_a_sorted_list_has_it_in(void **state)
{
    static const double shares[] = {0, 0.1, 0.5, 0.9, 0.99, 1};

    (void)state;
    srandom(3);
    for (int round = 0; round < 500; round++) {
        struct histogram_sum sum = {0};
        uint64_t values[200];
        size_t n = (size_t)random() % 200 + 1;

        for (size_t i = 0; i < n; i++) {
            values[i] = (uint64_t)random() >> (random() % 31 + 1);
            sum.counts[histogram_bucket(values[i])]++;
        }
        qsort(values, n, sizeof(*values), compare_values);
        for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++) {
            size_t index = 0;
            uint64_t bound = 0;

            while ((double)(index + 1) < shares[s] * (double)n)
                index++;
            while (bound < values[index])
                bound = bound * 2 + 1;
            assert_int_equal(histogram_percentile(&sum, shares[s]), bound);
        }
    }
}

static void an_empty_histogram_has_no_percentile(void **state)
{
    const struct histogram_sum sum = {0};
    uint8_t packed[HISTOGRAM_PACKED_MAX];

    (void)state;
    assert_int_equal(histogram_percentile(&sum, 0.5), -1);
    assert_int_equal(histogram_pack(&sum, packed), 0);
}

static void what_batches_bring_adds_up_by_minute(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct rate_change rate = make_rate(T0);

    rate.opened = 3;
    write_rate(store, T0 + 1000, &rate);
    assert_answer(place, "NULLNULL",
                  "SELECT coalesce(durations, 'NULL') || coalesce(rtts, 'NULL') FROM rate_rollups");
    rate.opened = 1;
    for (unsigned i = 0; i < 5; i++)
        rate.closed[i] = 10 + i;
    rate.sent_bytes = 1000;
    rate.received_bytes = 2000;
    rate.duration_ms.counts[5] = 60;
    rate.rtt_us.counts[0] = 1;
    write_rate(store, T0 + 2000, &rate);
    rate.duration_ms.counts[4] = 200;
    write_rate(store, T0 + 3000, &rate);
    rate.period_ms = T0 + 60000;
    write_rate(store, T0 + 61000, &rate);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM rate_rollups"), 2);
    assert_answer(place, "5|22|24|26|28|20|2000|4000",
                  "SELECT concat FROM (SELECT opened || '|' || closed_local || '|' || "
                  "closed_remote || '|' || closed_reset || '|' || closed_timeout || '|' || "
                  "closed_unknown || '|' || sent_bytes || '|' || received_bytes AS concat "
                  "FROM rate_rollups ORDER BY at_ms LIMIT 1)");
    assert_answer(place, "04C8010578",
                  "SELECT hex(durations) FROM rate_rollups ORDER BY at_ms LIMIT 1");
    assert_answer(place, "0002", "SELECT hex(rtts) FROM rate_rollups ORDER BY at_ms LIMIT 1");
    store_close(store);
}

static void a_batch_that_fails_adds_nothing_and_may_be_written_again(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct rate_change rate = make_rate(T0);
    struct batch *batch = make_batch(T0 + 1000);
    struct err err = {0};

    rate.opened = 3;
    rate.duration_ms.counts[5] = 1;
    assert_int_equal(vec_push(&batch->rates, rate), 0);
    rate.service.netns = 99; /* not in the batch: an error behind the first row */
    assert_int_equal(vec_push(&batch->rates, rate), 0);
    batch_seal(batch);
    assert_int_equal(store_write(store, batch, &err), -EINVAL);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM rate_rollups"), 0);
    batch->rates.n = 1;
    assert_ok(store_write(store, batch, &err));
    assert_int_equal(ask_number(place, "SELECT opened FROM rate_rollups"), 3);
    batch_free(batch);
    store_close(store);
}

static void a_damaged_histogram_in_the_file_is_told(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct rate_change rate = make_rate(T0);
    struct batch *batch = make_batch(T0 + 2000);
    struct err err = {0};

    rate.opened = 1;
    write_rate(store, T0 + 1000, &rate);
    tell(place, "UPDATE rate_rollups SET durations = x'ff'");
    assert_int_equal(vec_push(&batch->rates, rate), 0);
    batch_seal(batch);
    assert_int_equal(store_write(store, batch, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "rate_rollups"));
    assert_int_equal(ask_number(place, "SELECT opened FROM rate_rollups"), 1);
    batch_free(batch);
    store_close(store);
}

static void the_view_tells_wall_times_and_sums(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct rate_change rate = make_rate(T0);
    struct epoch epoch = {T0, -3600000};
    struct batch *batch = make_batch(T0 + 1000);

    rate.opened = 1;
    for (unsigned i = 0; i < 5; i++)
        rate.closed[i] = 1 + i;
    rate.sent_bytes = 7;
    assert_int_equal(vec_push(&batch->rates, rate), 0);
    assert_int_equal(vec_push(&batch->epochs, epoch), 0);
    write_batch(store, batch);
    assert_answer(place, "2025-11-22T07:27:00.000Z tcp 80 server 1 15 2 1 7",
                  "SELECT at || ' ' || protocol || ' ' || port || ' ' || role || ' ' || opened || "
                  "' ' || closed || ' ' || closed_local || ' ' || closed_unknown || ' ' || "
                  "tx_bytes FROM rates");
    assert_int_equal(ask_number(place, "SELECT at_ms FROM rates"), T0 - 3600000);
    store_close(store);
}

/* One value by a reader's connection; *ret_null tells whether it was NULL. Negative errno: failed.
 */
static int ask_reader(const struct place *place, const char *sql, int64_t *ret, bool *ret_null)
{
    _cleanup_(cleanup_db_close) struct db *db = NULL;
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct err err = {0};
    int r;

    assert_ok(db_open(place->path, &db, &err));
    r = db_prepare(db, sql, &stmt, &err);
    if (r >= 0)
        r = stmt_step(stmt, &err);
    if (r < 0)
        return r;
    *ret_null = stmt_is_null(stmt, 0);
    *ret = stmt_i64(stmt, 0);
    return 0;
}

static void assert_reader(const struct place *place, const char *sql, int64_t expected)
{
    int64_t value = -1;
    bool null = true;

    assert_int_equal(ask_reader(place, sql, &value, &null), 0);
    assert_false(null);
    assert_int_equal(value, expected);
}

static void sql_can_ask_for_percentiles_and_roll_them_up(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct rate_change rate = make_rate(T0);
    int64_t value;
    bool null;

    rate.duration_ms.counts[3] = 90;
    rate.duration_ms.counts[10] = 10;
    write_rate(store, T0 + 1000, &rate);
    rate = make_rate(T0 + 60000);
    rate.duration_ms.counts[10] = 900;
    write_rate(store, T0 + 61000, &rate);
    store_close(store);
    assert_reader(place, "SELECT percentile(durations, 0.5) FROM rates ORDER BY at_ms", 7);
    assert_reader(place, "SELECT percentile(durations, 0.95) FROM rates ORDER BY at_ms", 1023);
    assert_reader(place, "SELECT percentile(histogram_sum(durations), 0.5) FROM rates", 1023);
    assert_int_equal(ask_reader(place, "SELECT percentile(rtts, 0.5) FROM rates", &value, &null),
                     0);
    assert_true(null);
    assert_int_equal(ask_reader(place, "SELECT histogram_sum(rtts) FROM rates", &value, &null), 0);
    assert_true(null);
    assert_true(ask_reader(place, "SELECT percentile(x'ff', 0.5)", &value, &null) < 0);
    assert_true(ask_reader(place, "SELECT percentile('text', 0.5)", &value, &null) < 0);
    assert_true(ask_reader(place, "SELECT percentile(x'0101', 50)", &value, &null) < 0);
    assert_true(ask_reader(place, "SELECT histogram_sum(x'ff')", &value, &null) < 0);
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_histogram_survives_packing_whatever_its_counts),
        cmocka_unit_test(the_widest_histogram_fits),
        cmocka_unit_test(damaged_histograms_are_refused_and_add_nothing),
        cmocka_unit_test(a_percentile_is_the_bound_of_the_bucket_that_a_sorted_list_has_it_in),
        cmocka_unit_test(an_empty_histogram_has_no_percentile),
        STORED(what_batches_bring_adds_up_by_minute),
        STORED(a_batch_that_fails_adds_nothing_and_may_be_written_again),
        STORED(a_damaged_histogram_in_the_file_is_told),
        STORED(the_view_tells_wall_times_and_sums),
        STORED(sql_can_ask_for_percentiles_and_roll_them_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
