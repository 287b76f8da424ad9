/* SPDX-License-Identifier: MIT */
/* What connections that are open carried: told when it changed. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/base/clock.h"
#include "connhist/record/ledger.h"

#define BASE_MS  INT64_C(1700000000000)
#define FIRST_MS (BASE_MS + 100000)
#define STEP_MS  10000

/* A ledger and the batch of its last snapshot. */
struct scene {
    struct ledger *ledger;
    struct batch *batch;
    int64_t start_ms;
};

static void open_scene(struct scene *scene, enum ledger_detail detail)
{
    struct ledger_options options = {.detail = detail,
                                     .anonymous_ipv4_bits = 24,
                                     .max_client_services = 64,
                                     .max_syn_recv = 100,
                                     .ephemeral = {32768, 60999},
                                     .interval_ms = STEP_MS,
                                     .base_ms = BASE_MS,
                                     .next_life = 1};

    *scene = (struct scene){.start_ms = FIRST_MS};
    assert_int_equal(ledger_new(&options, &scene->ledger), 0);
}

static void close_scene(struct scene *scene)
{
    batch_free(scene->batch);
    ledger_free(scene->ledger);
}

/* Payload was sent 300 ms and received 2 s before the sample. */
static struct sample busy(uint64_t cookie, uint64_t sent)
{
    return (struct sample){.cookie = cookie,
                           .inode = (uint32_t)cookie,
                           .family = AF_INET,
                           .protocol = PROTOCOL_TCP,
                           .state = STATE_ESTABLISHED,
                           .local = {{192, 0, 2, 1}},
                           .remote = {{198, 51, 100, 7}},
                           .local_port = 80,
                           .remote_port = (uint16_t)(40000 + cookie),
                           .facts = {.known = true,
                                     .sent_bytes = sent,
                                     .received_bytes = 2000,
                                     .segs_out = 3,
                                     .segs_in = 4,
                                     .retrans = 1,
                                     .rtt_us = 60},
                           .sent_ago_ms = 300,
                           .received_ago_ms = 2000};
}

enum asks { ASKS_NOT, ASKS, ASKS_AGAIN };

/* One snapshot of these samples, which were read late_ms after its start. */
static void take(struct scene *scene, const struct sample *samples, size_t n, enum asks asks,
                 int64_t late_ms)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    if (asks != ASKS_NOT)
        ledger_sampling(scene->ledger, asks == ASKS_AGAIN);
    for (size_t i = 0; i < n; i++) {
        struct sample sample = samples[i];

        sample.sampled_ns = (scene->start_ms + late_ms - BASE_MS) * NS_PER_MS;
        assert_int_equal(ledger_sample(scene->ledger, 0, &sample), 0);
    }
    assert_int_equal(ledger_end(scene->ledger, SNAPSHOT_COMPLETE, false, asks == ASKS_AGAIN), 0);
    batch_seal(scene->batch);
    scene->start_ms += STEP_MS;
}

static const struct sampled_facts *only(const struct scene *scene)
{
    assert_int_equal(scene->batch->sampled.n, 1);
    return &scene->batch->sampled.items[0];
}

static void facts_are_told_with_times_of_the_record(void **state)
{
    struct sample sample = busy(1, 1000);
    const struct sampled_facts *told;
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &sample, 1, ASKS, 100);
    assert_true(scene.batch->snapshot.sampled);
    told = only(&scene);
    assert_int_equal(told->life, 1);
    assert_int_equal(told->last_sent_ms, FIRST_MS - 200);
    assert_int_equal(told->last_received_ms, FIRST_MS - 1900);
    assert_int_equal(told->facts.sent_bytes, 1000);
    assert_int_equal(told->facts.received_bytes, 2000);
    assert_int_equal(told->facts.segs_out, 3);
    assert_int_equal(told->facts.segs_in, 4);
    assert_int_equal(told->facts.retrans, 1);
    assert_int_equal(told->facts.rtt_us, 60);
    close_scene(&scene);
}

static void what_came_while_the_kernel_walked_is_as_of_the_snapshot(void **state)
{
    struct sample sample = busy(1, 1000);
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &sample, 1, ASKS, 1000);
    assert_int_equal(only(&scene)->last_sent_ms, FIRST_MS);
    assert_int_equal(only(&scene)->last_received_ms, FIRST_MS - 1000);
    close_scene(&scene);
}

static void a_quiet_connection_is_told_once(void **state)
{
    struct sample samples[] = {busy(1, 1000), busy(2, 1000)};
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, samples, 2, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 2);
    samples[0].sent_ago_ms += STEP_MS;
    samples[0].received_ago_ms += STEP_MS + 3; /* jiffies are coarse */
    samples[1].facts.sent_bytes++;
    take(&scene, samples, 2, ASKS, 0);
    assert_int_equal(only(&scene)->life, 2);
    assert_int_equal(only(&scene)->facts.sent_bytes, 1001);
    take(&scene, samples, 2, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 0);
    assert_true(scene.batch->snapshot.sampled);
    close_scene(&scene);
}

static void each_number_that_changes_is_told(void **state)
{
    struct sample sample = busy(1, 1000);
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &sample, 1, ASKS, 0);
    sample.facts.received_bytes++;
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(only(&scene)->facts.received_bytes, 2001);
    sample.facts.segs_out++;
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(only(&scene)->facts.segs_out, 4);
    sample.facts.segs_in++;
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(only(&scene)->facts.segs_in, 5);
    sample.facts.retrans++;
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(only(&scene)->facts.retrans, 2);
    sample.facts.rtt_us++;
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(only(&scene)->facts.rtt_us, 61);
    close_scene(&scene);
}

static void what_nobody_asked_for_is_not_told(void **state)
{
    struct sample sample = busy(1, 1000);
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &sample, 1, ASKS_NOT, 0);
    assert_int_equal(scene.batch->sampled.n, 0);
    assert_false(scene.batch->snapshot.sampled);
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 1);
    close_scene(&scene);
}

static void after_a_loss_all_is_told_again(void **state)
{
    struct sample samples[] = {busy(1, 1000), busy(2, 1000)};
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, samples, 2, ASKS, 0);
    take(&scene, samples, 1, ASKS_AGAIN, 0);
    assert_int_equal(only(&scene)->life, 1);
    take(&scene, samples, 1, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 0);
    close_scene(&scene);
}

/* A walk that was not complete may have missed one when all was to be told again. */
static void one_that_was_missed_then_is_told_when_it_is_seen(void **state)
{
    struct sample samples[] = {busy(1, 1000), busy(2, 1000)};
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, samples, 2, ASKS, 0);
    batch_free(scene.batch);
    scene.batch = batch_new();
    ledger_begin(scene.ledger, scene.start_ms, scene.batch);
    ledger_sampling(scene.ledger, true);
    assert_int_equal(ledger_sample(scene.ledger, 0, &samples[0]), 0);
    assert_int_equal(ledger_end(scene.ledger, SNAPSHOT_INTERRUPTED, false, true), 0);
    assert_int_equal(only(&scene)->life, 1);
    scene.start_ms += STEP_MS;
    take(&scene, samples, 2, ASKS, 0);
    assert_int_equal(only(&scene)->life, 2);
    close_scene(&scene);
}

/* The socket is used anew while the kernel walks: the samples are of two lives. */
static void what_ended_in_the_same_snapshot_is_not_told(void **state)
{
    struct sample sample = busy(1, 1000), reused = sample;
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &sample, 1, ASKS, 0);
    sample.state = STATE_CLOSE_WAIT;
    take(&scene, &sample, 1, ASKS_NOT, 0);
    reused.facts.sent_bytes = 1;
    take(&scene, &reused, 1, ASKS, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(only(&scene)->life, 2);
    assert_int_equal(only(&scene)->facts.sent_bytes, 1);
    close_scene(&scene);
}

static void anonymous_detail_tells_facts_and_none_at_all_does_not(void **state)
{
    struct sample sample = busy(1, 1000);
    struct scene scene;

    (void)state;
    open_scene(&scene, LEDGER_DETAIL_ANONYMOUS);
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 1);
    close_scene(&scene);
    open_scene(&scene, LEDGER_DETAIL_OFF);
    take(&scene, &sample, 1, ASKS, 0);
    assert_int_equal(scene.batch->sampled.n, 0);
    close_scene(&scene);
}

/* Both are kept in one place. */
static void a_listeners_queue_is_none_of_a_connections_facts(void **state)
{
    struct sample listener = {.cookie = 9,
                              .family = AF_INET,
                              .protocol = PROTOCOL_TCP,
                              .state = STATE_LISTEN,
                              .local_port = 80,
                              .recv_queue = 3,
                              .send_queue = 128};
    struct sample bound = listener;
    struct scene scene;

    (void)state;
    bound.state = STATE_CLOSE;
    bound.recv_queue = bound.send_queue = 0;
    open_scene(&scene, LEDGER_DETAIL_ON);
    take(&scene, &bound, 1, ASKS, 0);
    take(&scene, &listener, 1, ASKS, 0);
    assert_int_equal(scene.batch->queues.n, 1);
    assert_int_equal(scene.batch->queues.items[0].waiting, 3);
    assert_int_equal(scene.batch->sampled.n, 0);
    take(&scene, &listener, 1, ASKS, 0);
    assert_int_equal(scene.batch->queues.n, 0);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_told_with_times_of_the_record),
        cmocka_unit_test(what_came_while_the_kernel_walked_is_as_of_the_snapshot),
        cmocka_unit_test(a_quiet_connection_is_told_once),
        cmocka_unit_test(each_number_that_changes_is_told),
        cmocka_unit_test(what_nobody_asked_for_is_not_told),
        cmocka_unit_test(after_a_loss_all_is_told_again),
        cmocka_unit_test(one_that_was_missed_then_is_told_when_it_is_seen),
        cmocka_unit_test(what_ended_in_the_same_snapshot_is_not_told),
        cmocka_unit_test(anonymous_detail_tells_facts_and_none_at_all_does_not),
        cmocka_unit_test(a_listeners_queue_is_none_of_a_connections_facts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
