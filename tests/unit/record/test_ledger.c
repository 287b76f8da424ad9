/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/base/clock.h"
#include "connhist/model/history.h"
#include "connhist/record/ledger.h"

#define BASE_MS  INT64_C(1700000000000)
#define FIRST_MS (BASE_MS + 100000)
#define STEP_MS  10000

static struct ledger_options options = {
    .max_client_services = 64,
    .max_syn_recv = 100,
    .ephemeral = {32768, 60999},
    .interval_ms = STEP_MS,
    .base_ms = BASE_MS,
    .next_life = 1,
};

/* A ledger and the batch of its last snapshot. */
struct scene {
    struct ledger *ledger;
    struct batch *batch;
    int64_t start_ms;
};

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.start_ms = FIRST_MS};
    assert_int_equal(ledger_new(&options, &scene->ledger), 0);
}

static void close_scene(struct scene *scene)
{
    batch_free(scene->batch);
    ledger_free(scene->ledger);
}

static struct sample tcp4(uint64_t cookie, unsigned state, uint16_t local_port,
                          uint16_t remote_port)
{
    struct sample sample = {.cookie = cookie,
                            .inode = (uint32_t)cookie,
                            .family = AF_INET,
                            .protocol = PROTOCOL_TCP,
                            .state = (uint8_t)state,
                            .local = {{192, 0, 2, 1}},
                            .remote = {{198, 51, 100, 7}},
                            .local_port = local_port,
                            .remote_port = remote_port,
                            .uid = 1000,
                            .has_uid = true};

    if (state == STATE_LISTEN)
        memset(&sample.remote, 0, sizeof(sample.remote));
    return sample;
}

/* One snapshot of these samples. */
static void take(struct scene *scene, const struct sample *samples, size_t n,
                 enum snapshot_status status, bool full)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    for (size_t i = 0; i < n; i++) {
        struct sample sample = samples[i];

        sample.sampled_ns = (scene->start_ms - BASE_MS) * NS_PER_MS;
        assert_int_equal(ledger_sample(scene->ledger, 0, &sample), 0);
    }
    assert_int_equal(ledger_end(scene->ledger, status, full, full), 0);
    batch_seal(scene->batch);
    scene->start_ms += STEP_MS;
}

static void snapshot(struct scene *scene, const struct sample *samples, size_t n)
{
    take(scene, samples, n, SNAPSHOT_COMPLETE, false);
}

static void a_quiet_socket_is_told_once(void **state)
{
    struct sample sample = tcp4(1, STATE_ESTABLISHED, 80, 40000);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->opened.n, 1);
    assert_int_equal(scene.batch->tallies.n, 1);
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->opened.n + scene.batch->changed.n + scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->tallies.n, 0);
    close_scene(&scene);
}

static void an_opening_is_known_only_after_a_complete_snapshot(void **state)
{
    struct sample samples[] = {tcp4(1, STATE_ESTABLISHED, 80, 40000),
                               tcp4(2, STATE_ESTABLISHED, 80, 40001)};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, samples, 1);
    assert_false(scene.batch->opened.items[0].opened_known);
    snapshot(&scene, samples, 2);
    assert_int_equal(scene.batch->opened.n, 1);
    assert_true(scene.batch->opened.items[0].opened_known);
    assert_int_equal(scene.batch->opened.items[0].since_ms, FIRST_MS + STEP_MS);
    close_scene(&scene);
}

static void an_interrupted_snapshot_ends_nothing(void **state)
{
    struct sample sample = tcp4(1, STATE_ESTABLISHED, 80, 40000);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    take(&scene, NULL, 0, SNAPSHOT_INTERRUPTED, false);
    assert_int_equal(scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->tallies.n, 0);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].ended_ms, FIRST_MS + 2 * STEP_MS);
    assert_int_equal(scene.batch->tallies.items[0].count, 0);
    close_scene(&scene);
}

static void time_wait_keeps_owner_role_and_the_entry_by_its_timer(void **state)
{
    struct sample sample = tcp4(1, STATE_ESTABLISHED, 80, 40000);
    const struct life *life;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    sample.opener = OPENER_REMOTE;
    snapshot(&scene, &sample, 1);
    sample = tcp4(1, STATE_TIME_WAIT, 80, 40000);
    sample.has_uid = false;
    sample.inode = 0;
    sample.timer = SAMPLE_TIMER_TIME_WAIT;
    sample.expires_ms = 60000 - 3500;
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->changed.n, 1);
    life = &scene.batch->changed.items[0];
    assert_int_equal(life->uid, 1000);
    assert_int_equal(life->role_source, ROLE_BY_TCP_INFO);
    assert_int_equal(
        history_entered(life->history, life->history_bytes, life->since_ms, STATE_TIME_WAIT),
        FIRST_MS + STEP_MS - 3500);
    close_scene(&scene);
}

static void the_end_of_time_wait_is_the_planned_one(void **state)
{
    struct sample sample = tcp4(1, STATE_TIME_WAIT, 80, 40000);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    sample.timer = SAMPLE_TIMER_TIME_WAIT;
    sample.expires_ms = 4000;
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->opened.items[0].since_ms, FIRST_MS - 56000);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.items[0].ended_ms, FIRST_MS + 4000);
    close_scene(&scene);
}

static void other_endpoints_with_the_same_cookie_are_a_new_life(void **state)
{
    struct sample sample = tcp4(1, STATE_ESTABLISHED, 40000, 80);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    sample.remote.bytes[3]++;
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->opened.n, 1);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_not_equal(scene.batch->opened.items[0].number, scene.batch->closed.items[0].number);
    close_scene(&scene);
}

static void listening_again_is_a_new_life(void **state)
{
    struct sample bound = tcp4(1, STATE_LISTEN, 80, 0), listening = bound;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    bound.state = STATE_CLOSE;
    snapshot(&scene, &bound, 1);
    snapshot(&scene, &listening, 1);
    assert_int_equal(scene.batch->opened.n, 0);
    snapshot(&scene, &bound, 1);
    assert_int_equal(scene.batch->opened.n, 0);
    snapshot(&scene, &listening, 1);
    assert_int_equal(scene.batch->opened.n, 1);
    assert_int_equal(scene.batch->closed.n, 1);
    close_scene(&scene);
}

static void a_socket_that_changes_for_ever_stays_exact(void **state)
{
    struct sample sample = tcp4(1, STATE_CLOSE, 5000, 0);
    struct scene scene;
    size_t lives = 0;

    (void)state;
    open_scene(&scene);
    for (unsigned i = 0; i < 300; i++) {
        sample.protocol = PROTOCOL_UDP;
        sample.state = i % 2 ? STATE_CLOSE : STATE_ESTABLISHED;
        snapshot(&scene, &sample, 1);
        lives += scene.batch->opened.n;
        assert_int_equal(scene.batch->opened.n + scene.batch->changed.n, 1);
    }
    assert_in_range(lives, 2, 10);
    close_scene(&scene);
}

/* What shutdown() leaves: the kernel walks over bound sockets first. */
static void what_is_left_of_a_connection_lives_beside_its_time_wait(void **state)
{
    struct sample alive = tcp4(1, STATE_FIN_WAIT2, 40000, 80);
    struct sample over[] = {tcp4(1, STATE_CLOSE, 40000, 80), tcp4(1, STATE_TIME_WAIT, 40000, 80)};
    struct scene scene;

    (void)state;
    alive.opener = OPENER_LOCAL;
    open_scene(&scene);
    snapshot(&scene, &alive, 1);
    for (unsigned i = 0; i < 3; i++) {
        snapshot(&scene, over, 2);
        assert_int_equal(scene.batch->snapshot.sockets, 2);
        assert_int_equal(scene.batch->snapshot.doubles, 0);
        assert_int_equal(scene.batch->closed.n, 0);
        assert_int_equal(scene.batch->opened.n, i == 0 ? 1 : 0);
        assert_int_equal(scene.batch->changed.n, i == 0 ? 1 : 0);
        if (i == 0) {
            assert_int_equal(scene.batch->changed.items[0].state, STATE_TIME_WAIT);
            assert_int_equal(scene.batch->opened.items[0].state, STATE_CLOSE);
            assert_int_equal(scene.batch->opened.items[0].service.role, ROLE_CLIENT);
            assert_int_equal(scene.batch->opened.items[0].service.port, 80);
        }
    }
    snapshot(&scene, over, 1);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].state, STATE_TIME_WAIT);
    close_scene(&scene);
}

static void a_socket_connects_elsewhere_beside_its_time_wait(void **state)
{
    struct sample samples[] = {tcp4(1, STATE_FIN_WAIT2, 40000, 80),
                               tcp4(1, STATE_SYN_SENT, 40000, 81)};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &samples[0], 1);
    samples[0].state = STATE_TIME_WAIT;
    for (unsigned i = 0; i < 4; i++) {
        struct sample turned[] = {samples[i % 2], samples[1 - i % 2]};

        snapshot(&scene, turned, 2);
        assert_int_equal(scene.batch->snapshot.sockets, 2);
        assert_int_equal(scene.batch->opened.n, i == 0 ? 1 : 0);
        assert_int_equal(scene.batch->closed.n, 0);
    }
    close_scene(&scene);
}

static void a_socket_that_connects_during_the_walk_is_a_double(void **state)
{
    struct sample samples[] = {tcp4(1, STATE_CLOSE, 40000, 0), tcp4(1, STATE_SYN_SENT, 40000, 80)};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, samples, 2);
    assert_int_equal(scene.batch->snapshot.sockets, 1);
    assert_int_equal(scene.batch->snapshot.doubles, 1);
    close_scene(&scene);
}

static void a_double_is_dropped(void **state)
{
    struct sample samples[] = {tcp4(1, STATE_ESTABLISHED, 80, 40000),
                               tcp4(1, STATE_FIN_WAIT1, 80, 40000)};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, samples, 2);
    assert_int_equal(scene.batch->snapshot.sockets, 1);
    assert_int_equal(scene.batch->snapshot.doubles, 1);
    assert_int_equal(scene.batch->opened.items[0].state, STATE_ESTABLISHED);
    close_scene(&scene);
}

static void client_services_beyond_the_bound_are_folded(void **state)
{
    struct sample samples[100];
    uint32_t other = 0, told_apart = 0;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    for (unsigned i = 0; i < 100; i++) {
        samples[i] = tcp4(i + 1, STATE_SYN_SENT, (uint16_t)(40000 + i), (uint16_t)(1000 + i));
    }
    snapshot(&scene, samples, 100);
    for (size_t i = 0; i < scene.batch->tallies.n; i++) {
        const struct tally_change *tally = &scene.batch->tallies.items[i];

        assert_int_equal(tally->service.role, ROLE_CLIENT);
        if (tally->service.port == SERVICE_PORT_OTHER)
            other += tally->count;
        else
            told_apart += tally->count;
    }
    assert_int_equal(told_apart, 64);
    assert_int_equal(other, 36);
    snapshot(&scene, NULL, 0);
    snapshot(&scene, samples, 10);
    assert_int_equal(scene.batch->tallies.n, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_not_equal(scene.batch->tallies.items[i].service.port, SERVICE_PORT_OTHER);
    close_scene(&scene);
}

static void a_full_batch_tells_what_is_alive_and_its_queues(void **state)
{
    struct sample samples[] = {tcp4(1, STATE_ESTABLISHED, 80, 40000), tcp4(2, STATE_LISTEN, 80, 0)};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    samples[1].recv_queue = 3;
    samples[1].send_queue = 128;
    snapshot(&scene, samples, 2);
    take(&scene, samples, 2, SNAPSHOT_COMPLETE, true);
    assert_int_equal(scene.batch->opened.n, 2);
    assert_int_equal(scene.batch->tallies.n, 2);
    assert_int_equal(scene.batch->queues.n, 1);
    assert_int_equal(scene.batch->queues.items[0].waiting, 3);
    assert_true(scene.batch->snapshot.full && scene.batch->snapshot.anchor);
    close_scene(&scene);
}

static void a_life_of_an_earlier_run_goes_on(void **state)
{
    struct sample sample = tcp4(9, STATE_ESTABLISHED, 80, 40000);
    uint8_t history[] = {STATE_SYN_RECV, 100, STATE_ESTABLISHED};
    struct life life = {.number = 5,
                        .cookie = 9,
                        .since_ms = FIRST_MS - 90000,
                        .ended_ms = TIME_UNKNOWN,
                        .local = sample.local,
                        .remote = sample.remote,
                        .local_port = 80,
                        .remote_port = 40000,
                        .inode = sample.inode,
                        .uid = 1000,
                        .service = {0, 80, PROTOCOL_TCP, ROLE_SERVER},
                        .family = AF_INET,
                        .state = STATE_ESTABLISHED,
                        .role_source = ROLE_BY_STATE,
                        .history_bytes = sizeof(history),
                        .history = history};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    assert_int_equal(ledger_resume(scene.ledger, &life), 0);
    ledger_resume_at(scene.ledger, FIRST_MS - 20000);
    snapshot(&scene, &sample, 1);
    assert_int_equal(scene.batch->opened.n + scene.batch->changed.n + scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->tallies.items[0].service.role, ROLE_SERVER);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.items[0].number, 5);
    assert_int_equal(scene.batch->closed.items[0].since_ms, FIRST_MS - 90000);
    close_scene(&scene);
}

static void a_crowd_takes_160_bytes_a_socket_once_it_is_told(void **state)
{
    enum { N = 20000 };
    struct sample *samples = calloc(N, sizeof(*samples));
    struct ledger_stats stats;
    struct scene scene;

    (void)state;
    assert_non_null(samples);
    for (size_t i = 0; i < N; i++)
        samples[i] = tcp4(i + 1, STATE_ESTABLISHED, (uint16_t)i, 80);
    open_scene(&scene);
    snapshot(&scene, samples, N);
    ledger_stats(scene.ledger, &stats);
    assert_int_equal(stats.lives, N);
    assert_in_range(stats.bytes / N, 0, 160);
    close_scene(&scene);
    free(samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_socket_is_told_once),
        cmocka_unit_test(an_opening_is_known_only_after_a_complete_snapshot),
        cmocka_unit_test(an_interrupted_snapshot_ends_nothing),
        cmocka_unit_test(time_wait_keeps_owner_role_and_the_entry_by_its_timer),
        cmocka_unit_test(the_end_of_time_wait_is_the_planned_one),
        cmocka_unit_test(other_endpoints_with_the_same_cookie_are_a_new_life),
        cmocka_unit_test(listening_again_is_a_new_life),
        cmocka_unit_test(a_socket_that_changes_for_ever_stays_exact),
        cmocka_unit_test(what_is_left_of_a_connection_lives_beside_its_time_wait),
        cmocka_unit_test(a_socket_connects_elsewhere_beside_its_time_wait),
        cmocka_unit_test(a_socket_that_connects_during_the_walk_is_a_double),
        cmocka_unit_test(a_double_is_dropped),
        cmocka_unit_test(client_services_beyond_the_bound_are_folded),
        cmocka_unit_test(a_full_batch_tells_what_is_alive_and_its_queues),
        cmocka_unit_test(a_life_of_an_earlier_run_goes_on),
        cmocka_unit_test(a_crowd_takes_160_bytes_a_socket_once_it_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
