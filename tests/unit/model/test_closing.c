/* SPDX-License-Identifier: MIT */
/* Counters as Linux 6.18 gave them in events, beside what was really sent and done. */
#include "connhist/model/closing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* 1,000 bytes from the active end to the passive one, 100 back. */
#define ACTIVE  .bytes_sent = 1000, .data_segs_out = 1
#define PASSIVE .bytes_sent = 100, .data_segs_out = 1

static struct closing counted(const struct closing_counters *counters)
{
    struct closing closing = {0};

    closing_count(&closing, counters);
    return closing;
}

static void an_orderly_end_tells_its_opener(void **state)
{
    struct closing active = counted(&(struct closing_counters){
        ACTIVE, .bytes_acked = 1002, .delivered = 3, .recv_queue = 1, .bytes_received = 101});
    struct closing passive = counted(&(struct closing_counters){
        PASSIVE, .bytes_acked = 101, .delivered = 3, .recv_queue = 1, .bytes_received = 1001});

    (void)state;
    assert_int_equal(active.opener, OPENER_LOCAL);
    assert_int_equal(passive.opener, OPENER_REMOTE);
    assert_true(active.fin_acked && passive.fin_acked && active.established);
    assert_int_equal(active.bytes_sent, 1000);
    assert_int_equal(passive.bytes_received, 1000);
    assert_false(active.bytes_received_may_include_fin || passive.bytes_received_may_include_fin);
    assert_false(active.no_peer_fin || passive.no_peer_fin);
}

static void nothing_received_means_that_the_peers_fin_had_not_come(void **state)
{
    struct closing closing = counted(&(struct closing_counters){
        ACTIVE, .bytes_acked = 1002, .delivered = 3, .bytes_received = 0});

    (void)state;
    assert_true(closing.no_peer_fin && closing.fin_acked);
}

static void a_reset_tells_the_passive_opener_and_leaves_the_active_open(void **state)
{
    struct closing active = counted(&(struct closing_counters){
        ACTIVE, .bytes_acked = 1001, .delivered = 2, .bytes_received = 100});
    struct closing passive = counted(&(struct closing_counters){
        PASSIVE, .bytes_acked = 100, .delivered = 2, .bytes_received = 1000});

    (void)state;
    assert_int_equal(active.opener, OPENER_UNKNOWN);
    assert_int_equal(passive.opener, OPENER_REMOTE);
    assert_false(active.fin_acked || passive.fin_acked);
    assert_int_equal(passive.bytes_received, 1000);
    assert_true(passive.bytes_received_may_include_fin);
}

static void data_in_flight_at_a_reset_does_not_confuse(void **state)
{
    struct closing closing = counted(&(struct closing_counters){.bytes_sent = 104,
                                                                .data_segs_out = 2,
                                                                .bytes_acked = 100,
                                                                .send_queue = 4,
                                                                .delivered = 2,
                                                                .recv_queue = 1,
                                                                .bytes_received = 1001});

    (void)state;
    assert_int_equal(closing.opener, OPENER_REMOTE);
    assert_int_equal(closing.bytes_sent, 104);
    assert_false(closing.fin_acked);
    assert_true(closing.bytes_received_may_include_fin);
}

static void unsent_data_is_no_payload_sent(void **state)
{
    struct closing closing = counted(&(struct closing_counters){.bytes_sent = 100,
                                                                .data_segs_out = 1,
                                                                .bytes_acked = 100,
                                                                .send_queue = 5000,
                                                                .notsent_bytes = 5000,
                                                                .delivered = 2});

    (void)state;
    assert_int_equal(closing.opener, OPENER_REMOTE);
    assert_int_equal(closing.bytes_sent, 100);
}

static void retransmissions_are_no_payload(void **state)
{
    struct closing closing = counted(&(struct closing_counters){.bytes_sent = 1500,
                                                                .bytes_retrans = 500,
                                                                .data_segs_out = 3,
                                                                .bytes_acked = 1002,
                                                                .delivered = 3});

    (void)state;
    assert_int_equal(closing.opener, OPENER_LOCAL);
    assert_int_equal(closing.bytes_sent, 1000);
}

static void a_fin_that_went_with_data_leaves_a_passive_end_unknown(void **state)
{
    struct closing closing = counted(&(struct closing_counters){.bytes_sent = 3000100,
                                                                .data_segs_out = 88,
                                                                .bytes_acked = 3000101,
                                                                .delivered = 89,
                                                                .bytes_received = 1000});

    (void)state;
    assert_int_equal(closing.opener, OPENER_UNKNOWN);
    assert_true(closing.bytes_received_may_include_fin);
}

static void a_time_wait_of_ours_proves_the_fin_that_went_with_data(void **state)
{
    struct closing_counters counters = {.bytes_sent = 3000100,
                                        .data_segs_out = 88,
                                        .bytes_acked = 3000101,
                                        .delivered = 89,
                                        .recv_queue = 1,
                                        .bytes_received = 1001};
    struct closing closing = counted(&counters);

    (void)state;
    assert_int_equal(closing.bytes_received, 1001);
    closing_settle(&closing, SEQUEL_TIME_WAIT);
    assert_int_equal(closing.opener, OPENER_REMOTE);
    assert_true(closing.fin_acked);
    assert_int_equal(closing.bytes_received, 1000);
    assert_false(closing.bytes_received_may_include_fin);
    closing = counted(&counters);
    closing_settle(&closing, SEQUEL_NONE);
    assert_int_equal(closing.opener, OPENER_UNKNOWN);
    assert_true(closing.bytes_received_may_include_fin);
}

static void a_connection_that_never_came_about_was_tried_by_us(void **state)
{
    struct closing closing = counted(&(struct closing_counters){.send_queue = 1});

    (void)state;
    assert_int_equal(closing.opener, OPENER_LOCAL);
    assert_false(closing.established || closing.fin_acked);
}

/* The end of file was read, or a mini-socket got it: 1,001 or 1,000. */
static struct closing in_doubt(uint64_t received)
{
    return counted(&(struct closing_counters){PASSIVE, .bytes_acked = 101, .delivered = 3,
                                              .bytes_received = received});
}

static void the_sequel_settles_where_the_peers_fin_went(void **state)
{
    struct closing closing = in_doubt(1001);

    (void)state;
    assert_true(closing.bytes_received_may_include_fin);
    closing_settle(&closing, SEQUEL_TIME_WAIT);
    assert_true(closing.bytes_received_may_include_fin);
    closing_settle(&closing, SEQUEL_NONE);
    assert_int_equal(closing.bytes_received, 1000);
    assert_false(closing.bytes_received_may_include_fin);
    closing_settle(&closing, SEQUEL_NONE);
    assert_int_equal(closing.bytes_received, 1000);
    closing = in_doubt(1000);
    closing_settle(&closing, SEQUEL_FIN_WAIT2);
    assert_int_equal(closing.bytes_received, 1000);
    assert_false(closing.bytes_received_may_include_fin);
}

static void nothing_received_is_never_in_doubt(void **state)
{
    (void)state;
    assert_false(in_doubt(0).bytes_received_may_include_fin);
}

static void a_reset_before_any_data_went_tells_the_active_end(void **state)
{
    struct closing reset = counted(&(struct closing_counters){.bytes_acked = 1, .delivered = 1});
    struct closing passive = counted(&(struct closing_counters){.bytes_acked = 1, .delivered = 2});
    struct closing in_flight = counted(&(struct closing_counters){.send_queue = 1, .delivered = 1});

    (void)state;
    assert_int_equal(reset.opener, OPENER_LOCAL);
    assert_false(reset.fin_acked || reset.opener_hangs_on_fin);
    assert_int_equal(passive.opener, OPENER_REMOTE);
    assert_true(passive.fin_acked);
    assert_int_equal(in_flight.opener, OPENER_UNKNOWN);
}

static void unanswered_probes_and_retransmissions_are_told(void **state)
{
    (void)state;
    assert_true(counted(&(struct closing_counters){.delivered = 1, .probes = 2}).unanswered);
    assert_true(counted(&(struct closing_counters){.delivered = 1, .retransmits = 2}).unanswered);
    assert_false(counted(&(struct closing_counters){.delivered = 1}).unanswered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_orderly_end_tells_its_opener),
        cmocka_unit_test(nothing_received_means_that_the_peers_fin_had_not_come),
        cmocka_unit_test(a_reset_tells_the_passive_opener_and_leaves_the_active_open),
        cmocka_unit_test(data_in_flight_at_a_reset_does_not_confuse),
        cmocka_unit_test(unsent_data_is_no_payload_sent),
        cmocka_unit_test(retransmissions_are_no_payload),
        cmocka_unit_test(a_fin_that_went_with_data_leaves_a_passive_end_unknown),
        cmocka_unit_test(a_time_wait_of_ours_proves_the_fin_that_went_with_data),
        cmocka_unit_test(a_connection_that_never_came_about_was_tried_by_us),
        cmocka_unit_test(the_sequel_settles_where_the_peers_fin_went),
        cmocka_unit_test(a_reset_before_any_data_went_tells_the_active_end),
        cmocka_unit_test(unanswered_probes_and_retransmissions_are_told),
        cmocka_unit_test(nothing_received_is_never_in_doubt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
