/* SPDX-License-Identifier: MIT */
/* What tcp_info told of connections that are open. */
#include "support.h"

#include <errno.h>

#include "connhist/store/file.h"

#define T0 INT64_C(1763800000000)

#define FACTS_ROW                                                                  \
    "SELECT group_concat(life || ' ' || at_ms || ' ' || sent_bytes || ' ' || "     \
    "received_bytes || ' ' || segs_out || ' ' || segs_in || ' ' || retrans || ' '" \
    " || rtt_us || ' ' || last_sent_ms || ' ' || last_received_ms, ';') FROM open_facts"

#define SELECT_CLOSED                                                               \
    "SELECT tx_bytes || ' ' || rx_bytes || ' ' || rx_uncertain || ' ' || rtt_us "   \
    "|| ' ' || retrans || ' ' || coalesce(sampled_ms, 'final') FROM sockets WHERE " \
    "closed_ms IS NOT NULL AND idle_ms IS NULL AND local_port = "
#define CLOSED_ROW(sent) #sent " 1000 0 60 1 1763800001000"

static struct sampled_facts facts_of(uint64_t life, uint64_t sent, int64_t active_ms)
{
    return (struct sampled_facts){.life = life,
                                  .last_sent_ms = active_ms,
                                  .last_received_ms = active_ms - 10,
                                  .facts = {.known = true,
                                            .sent_bytes = sent,
                                            .received_bytes = 1000,
                                            .segs_out = 5,
                                            .segs_in = 6,
                                            .retrans = 1,
                                            .rtt_us = 60}};
}

static struct batch *sampling(int64_t at_ms)
{
    struct batch *batch = make_batch(at_ms);

    batch->snapshot.sampled = true;
    return batch;
}

static void put(struct batch *batch, const struct sampled_facts *facts)
{
    assert_int_equal(vec_push(&batch->sampled, *facts), 0);
}

/* Lives 1 and 2 open, both sampled at T0 + 1000. */
static struct store *record_two(const struct place *place)
{
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = sampling(T0 + 1000);

    for (uint64_t number = 1; number <= 2; number++) {
        struct life life = make_life(number, T0 + 1000);
        struct sampled_facts facts = facts_of(number, 100 * number, T0 + 400);

        life.local_port = (uint16_t)(40000 + number);
        add_life(batch, &batch->opened, &life);
        put(batch, &facts);
    }
    write_batch(store, batch);
    return store;
}

static void a_sampling_takes_the_place_of_the_one_before(void **state)
{
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = sampling(T0 + 61000);
    struct sampled_facts facts = facts_of(2, 250, T0 + 60500);

    put(batch, &facts);
    write_batch(store, batch);
    assert_answer(place,
                  "1 1763800001000 100 1000 5 6 1 60 1763800000400 1763800000390;"
                  "2 1763800061000 250 1000 5 6 1 60 1763800060500 1763800060490",
                  FACTS_ROW);
    assert_int_equal(ask_number(place, "SELECT sum(sampled) FROM snapshots"), 2);
    store_close(store);
}

/* Of a row that no later sampling replaced, that sampling found the same. */
static void views_tell_facts_of_open_sockets_and_when_they_held(void **state)
{
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = make_batch(T0 + 11000), *interrupted = sampling(T0 + 71000);

    write_batch(store, batch);
    assert_answer(place, "100 1000 0 60 1 1763800001000 600",
                  "SELECT tx_bytes || ' ' || rx_bytes || ' ' || rx_uncertain || ' ' || rtt_us || "
                  "' ' || retrans || ' ' || sampled_ms || ' ' || idle_ms FROM sockets "
                  "WHERE local_port = 40001");
    write_batch(store, sampling(T0 + 61000));
    interrupted->snapshot.status = SNAPSHOT_INTERRUPTED;
    write_batch(store, interrupted);
    assert_answer(place, "100 1763800061000 60600",
                  "SELECT tx_bytes || ' ' || sampled_ms || ' ' || idle_ms FROM sockets "
                  "WHERE local_port = 40001");
    store_close(store);
}

/* A mini-socket has no tcp_info: its last sampling stays as old as it is. */
static void a_mini_socket_is_not_taken_for_sampled_again(void **state)
{
    static const uint8_t waits[] = {STATE_ESTABLISHED, 0, STATE_TIME_WAIT};
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = sampling(T0 + 61000);
    struct life life = make_life(1, T0 + 1000);

    life.local_port = 40001;
    life.state = STATE_TIME_WAIT;
    life.history = waits;
    life.history_bytes = sizeof(waits);
    add_life(batch, &batch->changed, &life);
    write_batch(store, batch);
    assert_answer(place, "TIME_WAIT 100 1763800001000 600",
                  "SELECT state || ' ' || tx_bytes || ' ' || sampled_ms || ' ' || idle_ms "
                  "FROM sockets WHERE local_port = 40001");
    store_close(store);
}

static int take_life(void *arg, const struct life *life)
{
    struct life *lives = arg;

    lives[life->number] = *life;
    return 0;
}

/* What an event told of a connection that is over is there for the next run; samples are not. */
static void the_next_run_is_given_what_is_final(void **state)
{
    struct netns_ref own;
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = make_batch(T0 + 11000);
    struct sampled_facts facts = facts_of(2, 250, T0 + 9000);
    struct life lives[3];
    size_t skipped;

    facts.is_over = true;
    facts.closed_by = CLOSED_BY_LOCAL;
    facts.facts.received_uncertain = true;
    own = batch->netns.items[0];
    put(batch, &facts);
    write_batch(store, batch);
    assert_answer(place, "250 1",
                  "SELECT tx_bytes || ' ' || rx_uncertain FROM sockets "
                  "WHERE local_port = 40002");
    assert_int_equal(store_each_open(store, &own, 1, take_life, lives, &skipped, NULL), 0);
    assert_false(lives[1].facts.known);
    assert_true(lives[2].facts.known);
    assert_true(lives[2].facts.received_uncertain);
    assert_int_equal(lives[2].facts.sent_bytes, 250);
    assert_int_equal(lives[2].closed_by, CLOSED_BY_LOCAL);
    store_close(store);
}

static void what_was_not_sampled_is_null(void **state)
{
    struct place *place = *state;
    struct store *store = open_recording(place, BOOT_A, T0);
    struct batch *batch = sampling(T0 + 1000);
    struct life life = make_life(1, T0 + 1000);

    add_life(batch, &batch->opened, &life);
    write_batch(store, batch);
    assert_answer(place, "1",
                  "SELECT count(*) FROM sockets WHERE tx_bytes IS NULL AND rx_bytes IS NULL AND "
                  "rx_uncertain IS NULL AND rtt_us IS NULL AND retrans IS NULL AND "
                  "sampled_ms IS NULL AND idle_ms IS NULL");
    store_close(store);
}

static void a_socket_that_closes_untold_of_keeps_what_was_sampled(void **state)
{
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = make_batch(T0 + 2000);
    struct life life = make_life(1, T0 + 1000);

    life.local_port = 40001;
    life.ended_ms = T0 + 2000;
    life.planned_ms = TIME_UNKNOWN;
    add_life(batch, &batch->closed, &life);
    write_batch(store, batch);
    assert_answer(place, "2", "SELECT group_concat(life) FROM open_facts");
    assert_answer(place, CLOSED_ROW(100), SELECT_CLOSED "40001");

    /* one that a full batch does not name has ended, too */
    batch = make_batch(T0 + 3000);
    batch->snapshot.full = true;
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open_facts"), 0);
    assert_answer(place, CLOSED_ROW(200), SELECT_CLOSED "40002");
    store_close(store);
}

/* Told as planned, then ended otherwise; then what the event told comes late. */
static void an_end_that_is_amended_keeps_what_was_sampled(void **state)
{
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = make_batch(T0 + 2000);
    struct life life = make_life(1, T0 + 1000);
    struct late_facts late = {.life = 1, .facts = {.known = true, .sent_bytes = 123, .rtt_us = 61}};

    life.local_port = 40001;
    life.ended_ms = T0 + 62000;
    life.planned_ms = TIME_UNKNOWN;
    add_life(batch, &batch->closed, &life);
    write_batch(store, batch);
    batch = make_batch(T0 + 3000);
    life.planned_ms = life.ended_ms;
    life.ended_ms = T0 + 2500;
    life.late_facts = true;
    life.untold = true;
    add_life(batch, &batch->amended, &life);
    write_batch(store, batch);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM closed"), 1);
    assert_answer(place, CLOSED_ROW(100), SELECT_CLOSED "40001");
    batch = make_batch(T0 + 4000);
    assert_int_equal(vec_push(&batch->late, late), 0);
    write_batch(store, batch);
    assert_answer(place, "123 0 0 61 0 final", SELECT_CLOSED "40001");
    store_close(store);
}

/* An event told of its end while it was open still, and who closed it. */
static void what_an_event_told_is_final(void **state)
{
    struct place *place = *state;
    struct store *store = record_two(place);
    struct batch *batch = make_batch(T0 + 11000);
    struct sampled_facts facts = facts_of(2, 250, T0 + 9000);

    facts.is_over = true;
    facts.closed_by = CLOSED_BY_REMOTE;
    facts.facts.received_uncertain = true;
    put(batch, &facts);
    write_batch(store, batch);
    batch = make_batch(T0 + 12000);
    batch->snapshot.full = true;
    write_batch(store, batch);
    assert_answer(place, "250 1000 1 60 1 final", SELECT_CLOSED "40002");
    assert_answer(place, "remote", "SELECT closed_by FROM sockets WHERE local_port = 40002");
    store_close(store);
}

static void another_boot_leaves_no_facts(void **state)
{
    struct place *place = *state;

    store_close(record_two(place)); /* without a closing note, as after a crash */
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open_facts"), 2);
    store_close(open_recording(place, BOOT_B, T0 + 90000));
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open"), 0);
    assert_int_equal(ask_number(place, "SELECT count(*) FROM open_facts"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_setup, place_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sampling_takes_the_place_of_the_one_before),
        TEST(views_tell_facts_of_open_sockets_and_when_they_held),
        TEST(a_mini_socket_is_not_taken_for_sampled_again),
        TEST(the_next_run_is_given_what_is_final),
        TEST(what_was_not_sampled_is_null),
        TEST(a_socket_that_closes_untold_of_keeps_what_was_sampled),
        TEST(an_end_that_is_amended_keeps_what_was_sampled),
        TEST(what_an_event_told_is_final),
        TEST(another_boot_leaves_no_facts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
