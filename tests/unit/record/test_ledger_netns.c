/* SPDX-License-Identifier: MIT */
/* One namespace's settings, losses and age are not another's. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "connhist/base/clock.h"
#include "connhist/record/ledger.h"

#define BASE_MS  INT64_C(1700000000000)
#define FIRST_MS (BASE_MS + 100000)
#define STEP_MS  10000

enum { HOME, AWAY, N_NETNS };

struct scene {
    struct ledger *ledger;
    struct batch *batch;
    int64_t start_ms;
};

static void open_scene(struct scene *scene)
{
    struct ledger_options options = {.max_client_services = 64,
                                     .max_syn_recv = 100,
                                     .ephemeral = {32768, 60999},
                                     .events = true,
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

/* The same endpoints in both namespaces; the kernel's cookies differ. */
static struct sample bound_udp(unsigned netns, uint16_t port)
{
    return (struct sample){.cookie = 100 * netns + port,
                           .family = AF_INET,
                           .protocol = PROTOCOL_UDP,
                           .state = STATE_CLOSE,
                           .local = {{192, 0, 2, 1}},
                           .local_port = port};
}

static void begin(struct scene *scene)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
}

static void see(struct scene *scene, unsigned netns, uint16_t port)
{
    struct sample sample = bound_udp(netns, port);

    assert_int_equal(ledger_sample(scene->ledger, netns, &sample), 0);
}

static void end(struct scene *scene)
{
    assert_int_equal(ledger_end(scene->ledger, SNAPSHOT_COMPLETE, false, false), 0);
    batch_seal(scene->batch);
    scene->start_ms += STEP_MS;
}

static const struct life *of(const struct life_vec *lives, unsigned netns)
{
    for (size_t i = 0; i < lives->n; i++)
        if (lives->items[i].service.netns == netns)
            return &lives->items[i];
    fail_msg("no life in namespace %u", netns);
    abort();
}

static void the_openings_of_a_strange_namespace_are_not_known(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    end(&scene);
    begin(&scene);
    assert_int_equal(ledger_netns_strange(scene.ledger, AWAY), 0);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    assert_true(of(&scene.batch->opened, HOME)->opened_known);
    assert_false(of(&scene.batch->opened, AWAY)->opened_known);
    begin(&scene); /* now it has been seen once */
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    see(&scene, AWAY, 54);
    end(&scene);
    assert_true(of(&scene.batch->opened, AWAY)->opened_known);
    close_scene(&scene);
}

static void a_namespace_that_went_ends_with_its_lives_alone(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    end(&scene);
    assert_int_equal(scene.batch->closed.n, 1);
    of(&scene.batch->closed, AWAY);
    ledger_netns_forget(scene.ledger, AWAY);
    ledger_netns_forget(scene.ledger, AWAY); /* not there any more */
    close_scene(&scene);
}

static void each_namespace_has_its_ephemeral_range(void **state)
{
    const struct port_range low = {1024, 5000};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    see(&scene, HOME, 2000);
    see(&scene, AWAY, 2000);
    assert_int_equal(ledger_netns_facts(scene.ledger, AWAY, &low, 60000), 0);
    end(&scene);
    assert_int_equal(of(&scene.batch->opened, HOME)->service.role, ROLE_SERVER);
    assert_int_equal(of(&scene.batch->opened, AWAY)->service.role, ROLE_CLIENT);
    close_scene(&scene);
}

static void hear(struct scene *scene, unsigned netns)
{
    struct closing closing = {.cookie = 1000 + netns,
                              .received_ns = (scene->start_ms - BASE_MS - 2500) * NS_PER_MS,
                              .local = {{192, 0, 2, 1}},
                              .remote = {{198, 51, 100, 7}},
                              .local_port = 80,
                              .remote_port = 40000,
                              .family = AF_INET,
                              .protocol = PROTOCOL_TCP,
                              .opener = OPENER_REMOTE,
                              .has_info = true,
                              .established = true,
                              .fin_acked = true};

    assert_int_equal(ledger_closing(scene->ledger, netns, &closing), 0);
}

static void time_waits_that_one_namespace_lost_prove_nothing_there_alone(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    end(&scene);
    hear(&scene, HOME);
    hear(&scene, AWAY);
    begin(&scene);
    assert_int_equal(ledger_time_wait_lost(scene.ledger, AWAY), 0);
    end(&scene);
    assert_int_equal(scene.batch->closed.n, N_NETNS);
    assert_int_equal(of(&scene.batch->closed, HOME)->closed_by, CLOSED_BY_REMOTE);
    assert_int_equal(of(&scene.batch->closed, AWAY)->closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

static void a_short_fin_timeout_of_one_namespace_does_not_count_in_another(void **state)
{
    const struct port_range range = {32768, 60999};
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    end(&scene);
    hear(&scene, HOME);
    hear(&scene, AWAY);
    begin(&scene);
    assert_int_equal(ledger_netns_facts(scene.ledger, AWAY, &range, 1000), 0);
    end(&scene);
    assert_int_equal(of(&scene.batch->closed, HOME)->closed_by, CLOSED_BY_REMOTE);
    assert_int_equal(of(&scene.batch->closed, AWAY)->closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

static void end_interrupted(struct scene *scene, bool anchor, bool full)
{
    assert_int_equal(ledger_end(scene->ledger, SNAPSHOT_INTERRUPTED, anchor, full), 0);
    batch_seal(scene->batch);
    scene->start_ms += STEP_MS;
}

static void a_failed_dump_ends_the_lives_of_the_others_alone(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    begin(&scene); /* neither shows */
    assert_int_equal(ledger_netns_failed(scene.ledger, AWAY), 0);
    end_interrupted(&scene, false, false);
    assert_int_equal(scene.batch->closed.n, 1);
    of(&scene.batch->closed, HOME);
    assert_int_equal(scene.batch->incomplete.n, 1);
    assert_int_equal(scene.batch->incomplete.items[0], AWAY);
    begin(&scene);
    end(&scene);
    assert_int_equal(scene.batch->closed.n, 1);
    of(&scene.batch->closed, AWAY);
    assert_int_equal(scene.batch->incomplete.n, 0);
    close_scene(&scene);
}

static void a_snapshot_that_failed_without_a_name_concludes_nothing_anywhere(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    begin(&scene);
    end_interrupted(&scene, true, false);
    assert_int_equal(scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->tallies.n, 0);
    assert_false(scene.batch->snapshot.anchor);
    close_scene(&scene);
}

static uint32_t tally(const struct batch *batch, unsigned netns)
{
    for (size_t i = 0; i < batch->tallies.n; i++)
        if (batch->tallies.items[i].service.netns == netns)
            return batch->tallies.items[i].count;
    fail_msg("no tally in namespace %u", netns);
    abort();
}

static void an_anchor_has_the_counts_of_a_failed_dump_as_they_were(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    begin(&scene);
    see(&scene, HOME, 53);
    assert_int_equal(ledger_netns_failed(scene.ledger, AWAY), 0);
    end_interrupted(&scene, true, false);
    assert_true(scene.batch->snapshot.anchor);
    assert_int_equal(scene.batch->tallies.n, 2);
    assert_int_equal(tally(scene.batch, HOME), 1);
    assert_int_equal(tally(scene.batch, AWAY), 1);
    close_scene(&scene);
}

static void after_a_failed_dump_openings_are_known_in_the_others_alone(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    end(&scene);
    begin(&scene);
    assert_int_equal(ledger_netns_failed(scene.ledger, AWAY), 0);
    end_interrupted(&scene, false, false);
    begin(&scene);
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    end(&scene);
    assert_true(of(&scene.batch->opened, HOME)->opened_known);
    assert_false(of(&scene.batch->opened, AWAY)->opened_known);
    begin(&scene); /* now the one before was complete in both */
    see(&scene, HOME, 53);
    see(&scene, AWAY, 53);
    see(&scene, AWAY, 54);
    end(&scene);
    assert_true(of(&scene.batch->opened, AWAY)->opened_known);
    close_scene(&scene);
}

static void events_wait_for_a_complete_dump_of_their_own_namespace(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    end(&scene);
    hear(&scene, HOME);
    hear(&scene, AWAY);
    begin(&scene);
    assert_int_equal(ledger_netns_failed(scene.ledger, AWAY), 0);
    end_interrupted(&scene, false, false);
    assert_int_equal(scene.batch->closed.n, 1);
    of(&scene.batch->closed, HOME);
    begin(&scene);
    end(&scene);
    assert_int_equal(scene.batch->closed.n, 1);
    of(&scene.batch->closed, AWAY);
    close_scene(&scene);
}

static struct sample accepted(unsigned netns)
{
    return (struct sample){.cookie = 2000 + netns,
                           .family = AF_INET,
                           .protocol = PROTOCOL_TCP,
                           .state = STATE_ESTABLISHED,
                           .local = {{192, 0, 2, 1}},
                           .remote = {{198, 51, 100, 7}},
                           .local_port = 80,
                           .remote_port = 40000,
                           .opener = OPENER_REMOTE};
}

static void what_is_recorded_no_longer_ends_when_it_was_last_known_and_counts_nowhere(void **state)
{
    const struct sample samples[] = {accepted(HOME), accepted(AWAY)};
    struct scene scene;
    int64_t last_ms;

    (void)state;
    open_scene(&scene);
    begin(&scene);
    assert_int_equal(ledger_sample(scene.ledger, HOME, &samples[HOME]), 0);
    assert_int_equal(ledger_sample(scene.ledger, AWAY, &samples[AWAY]), 0);
    end(&scene);
    last_ms = scene.start_ms - STEP_MS;
    begin(&scene);
    assert_int_equal(ledger_netns_left(scene.ledger, AWAY), 0);
    end(&scene);
    assert_int_equal(scene.batch->closed.n, 2);
    assert_int_equal(of(&scene.batch->closed, AWAY)->ended_ms, last_ms + 1);
    assert_int_equal(of(&scene.batch->closed, AWAY)->closed_by, CLOSED_BY_UNKNOWN);
    assert_int_equal(of(&scene.batch->closed, HOME)->ended_ms, last_ms + STEP_MS);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].service.netns, HOME);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_openings_of_a_strange_namespace_are_not_known),
        cmocka_unit_test(a_namespace_that_went_ends_with_its_lives_alone),
        cmocka_unit_test(each_namespace_has_its_ephemeral_range),
        cmocka_unit_test(time_waits_that_one_namespace_lost_prove_nothing_there_alone),
        cmocka_unit_test(a_short_fin_timeout_of_one_namespace_does_not_count_in_another),
        cmocka_unit_test(a_failed_dump_ends_the_lives_of_the_others_alone),
        cmocka_unit_test(a_snapshot_that_failed_without_a_name_concludes_nothing_anywhere),
        cmocka_unit_test(an_anchor_has_the_counts_of_a_failed_dump_as_they_were),
        cmocka_unit_test(after_a_failed_dump_openings_are_known_in_the_others_alone),
        cmocka_unit_test(events_wait_for_a_complete_dump_of_their_own_namespace),
        cmocka_unit_test(what_is_recorded_no_longer_ends_when_it_was_last_known_and_counts_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
