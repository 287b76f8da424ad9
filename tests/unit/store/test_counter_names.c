/* SPDX-License-Identifier: MIT */
/* Interfaces of containers come and go by a new name each time: what is counted now keeps its place. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/store/upkeep.h"

#define MIB       (INT64_C(1) << 20)
#define MINUTE_MS INT64_C(60000)
#define T0        (INT64_C(490000) * 60 * MINUTE_MS)
#define NAMES_MAX 16384

static const struct store_retention forever = {.max_bytes = 1024 * MIB, .wal_bytes = 64 * MIB};
static const char *const stats[] = {"rx_bytes", "tx_bytes", "rx_packets", "tx_packets",
                                    "rx_errors"};
#define STATS (sizeof(stats) / sizeof(stats[0]))

static void work(struct store *store, int64_t now_ms)
{
    struct err err = {0};
    int r;

    do {
        r = store_upkeep(store, now_ms, &err);
        assert_ok(r);
    } while (r > 0);
}

static void add_counter(struct counting *counting, struct counted_netns *one, const char *name,
                        uint8_t protocol, int64_t value)
{
    struct counter_change change = {.value = value, .grew = 1, .protocol = protocol};

    snprintf(change.name, sizeof(change.name), "%s", name);
    assert_int_equal(vec_push(&counting->counters, change), 0);
    one->n_counters++;
}

static void add_interface(struct counting *counting, struct counted_netns *one, int number,
                          bool ended)
{
    struct interface_change change = {.number = number, .ended = ended};
    char name[COUNTER_NAME_MAX];

    snprintf(change.interface.name, sizeof(change.interface.name), "veth%d.1", number);
    change.interface.ifindex = (uint32_t)number + 1;
    assert_int_equal(vec_push(&counting->interfaces, change), 0);
    one->n_interfaces++;
    for (size_t i = 0; i < STATS && !ended; i++) {
        snprintf(name, sizeof(name), "interface.veth%d.1.%s", number, stats[i]);
        add_counter(counting, one, name, 0, number + 1);
    }
}

/* A reading in which interfaces up to first have gone, and those up to last have come. */
static void write_reading(struct store *store, int64_t at_ms, int gone, int first, int last)
{
    struct batch *batch = make_batch(at_ms);
    struct counting *counting = &batch->counting;
    struct counted_netns one = {0};

    counting->taken = true;
    for (int number = gone; number < first; number++)
        add_interface(counting, &one, number, true);
    for (int number = first; number < last; number++)
        add_interface(counting, &one, number, false);
    add_counter(counting, &one, "Tcp.ActiveOpens", 5, at_ms);
    assert_int_equal(vec_push(&counting->netns, one), 0);
    write_batch(store, batch);
}

static void assert_whole(const struct place *place)
{
    assert_int_equal(
        ask_number(
            place,
            "SELECT count(*) FROM counters WHERE counter NOT IN (SELECT id FROM counter_names)"),
        0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM counter_rollups WHERE counter NOT IN "
                                       "(SELECT id FROM counter_names)"),
                     0);
    assert_true(ask_number(place, "SELECT count(*) FROM counter_names") <= NAMES_MAX);
    /* each interface that is now has all its counters */
    assert_int_equal(
        ask_number(
            place,
            "SELECT count(*) FROM interfaces AS i WHERE until_ms IS NULL AND (SELECT count(*) FROM "
            "counter_names AS n JOIN counters AS c ON c.counter = n.id JOIN counter_rollups AS r "
            "ON "
            "r.counter = n.id AND r.tier = 3 "
            "WHERE n.name GLOB 'interface.' || i.name || '.*') <> 5"),
        0);
}

static void interfaces_that_come_and_go_leave_places_for_those_that_follow(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    int64_t at_ms = T0;

    store_set_retention(store, &forever);
    for (int i = 0; i < 100; i++, at_ms += 61 * MINUTE_MS) { /* 100 more each time: 50,000 names */
        write_reading(store, at_ms, i ? i * 100 - 100 : 0, i * 100, i * 100 + 100);
        work(store, at_ms);
        assert_int_equal(
            ask_number(place, "SELECT left_out FROM readings ORDER BY at_ms DESC LIMIT 1"), 0);
        if (i % 40 == 39)
            assert_whole(place);
    }
    assert_true(ask_number(place, "SELECT max(id) FROM counter_names") <= NAMES_MAX);
    /* those that went last are known still, the kernel's own never go */
    assert_int_equal(
        ask_number(
            place,
            "SELECT count(*) FROM counter_names WHERE name GLOB 'interface.veth98[0-9][0-9].1.*'"),
        500);
    assert_int_equal(
        ask_number(place,
                   "SELECT count(*) FROM counters AS c JOIN counter_names AS n ON n.id = c.counter "
                   "WHERE n.name = 'Tcp.ActiveOpens'"),
        100);
    store_close(store);
}

static void what_lives_is_never_forgotten_and_what_has_no_place_is_counted(void **state)
{
    const struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0 - 1000);
    struct batch *batch;
    struct counted_netns one = {0};

    store_set_retention(store, &forever);
    for (int i = 0; i < 30; i++) { /* 15,000 names, all of interfaces that stay */
        write_reading(store, T0 + i * 61 * MINUTE_MS, 0, 0, 0);
        write_reading(store, T0 + (i * 61 + 1) * MINUTE_MS, i * 100, i * 100, i * 100 + 100);
        work(store, T0 + (i * 61 + 2) * MINUTE_MS);
    }
    assert_int_equal(ask_number(place, "SELECT count(*) FROM interfaces WHERE until_ms IS NULL"),
                     3000);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM counter_names"), NAMES_MAX / 4 * 3);
    assert_int_equal(ask_number(place, "SELECT sum(left_out) FROM readings"),
                     15000 + 1 - NAMES_MAX / 4 * 3);
    assert_int_equal(ask_number(place, "SELECT left_out FROM readings ORDER BY at_ms DESC LIMIT 1"),
                     500);
    batch = make_batch(T0 + 40 * 61 * MINUTE_MS);
    batch->counting.taken = true;
    add_counter(&batch->counting, &one, "Udp.RcvbufErrors", 7,
                1); /* the kernel's own have places */
    assert_int_equal(vec_push(&batch->counting.netns, one), 0);
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT left_out FROM readings ORDER BY at_ms DESC LIMIT 1"),
                     0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM counter_names WHERE protocol > 0"), 2);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            interfaces_that_come_and_go_leave_places_for_those_that_follow, place_setup,
            place_teardown),
        cmocka_unit_test_setup_teardown(
            what_lives_is_never_forgotten_and_what_has_no_place_is_counted, place_setup,
            place_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
