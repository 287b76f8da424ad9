/* SPDX-License-Identifier: MIT */
/* The same endpoints or the same cookie, used by one connection after the other. */
#include "ledger_scene.h"

/* The life in the last batch that sent so much; without one closed_by is none there is. */
static struct life closed_with(const struct scene *scene, uint64_t sent_bytes)
{
    for (size_t i = 0; i < scene->batch->closed.n; i++)
        if (scene->batch->closed.items[i].facts.sent_bytes == sent_bytes)
            return scene->batch->closed.items[i];
    return (struct life){.closed_by = UINT8_MAX};
}

static void hear_of(struct scene *scene, uint64_t cookie, int64_t at_ms, uint64_t sent_bytes)
{
    struct closing closing = event(cookie, at_ms);

    closing.bytes_sent = sent_bytes;
    closing.bytes_received_may_include_fin = true;
    hear(scene, &closing);
}

static void a_time_wait_that_the_next_use_took_leaves_open_who_closed(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    for (uint64_t n = 1; n <= 20; n++)
        hear_of(&scene, n, FIRST_MS + 2500, n);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 20);
    for (uint64_t n = 1; n < 20; n++) {
        assert_int_equal(closed_with(&scene, n).closed_by, CLOSED_BY_UNKNOWN);
        assert_true(closed_with(&scene, n).facts.received_uncertain);
    }
    assert_int_equal(closed_with(&scene, 20).closed_by, CLOSED_BY_REMOTE);
    assert_int_equal(closed_with(&scene, 20).facts.received_bytes, 999);
    close_scene(&scene);
}

static void a_time_wait_belongs_to_the_last_use(void **state)
{
    struct sample wait = tcp(1000, STATE_TIME_WAIT);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    for (uint64_t n = 1; n <= 600; n++)
        hear_of(&scene, n, FIRST_MS + 2500, n);
    wait.expires_ms = 52500;
    snapshot(&scene, &wait, 1);
    assert_int_equal(scene.batch->closed.n, 600);
    for (uint64_t n = 1; n < 600; n++)
        assert_int_equal(closed_with(&scene, n).closed_by, CLOSED_BY_UNKNOWN);
    assert_int_equal(closed_with(&scene, 600).closed_by, CLOSED_BY_LOCAL);
    close_scene(&scene);
}

static void a_connection_alive_took_the_time_wait_of_the_use_before(void **state)
{
    struct sample next = tcp(8, STATE_ESTABLISHED);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear_of(&scene, 7, FIRST_MS + 2500, 1);
    snapshot(&scene, &next, 1);
    assert_int_equal(closed_with(&scene, 1).closed_by, CLOSED_BY_UNKNOWN);
    assert_int_equal(scene.batch->opened.n, 1);
    close_scene(&scene);
}

static void one_that_a_snapshot_saw_has_its_time_wait_taken_too(void **state)
{
    struct sample first = tcp(7, STATE_ESTABLISHED), next = tcp(8, STATE_ESTABLISHED);
    struct scene scene;

    (void)state;
    for (unsigned event_too = 0; event_too < 2; event_too++) {
        open_scene(&scene);
        snapshot(&scene, &first, 1);
        hear_of(&scene, 7, FIRST_MS + 2500, 1);
        if (event_too)
            hear_of(&scene, 8, FIRST_MS + 2600, 2);
        snapshot(&scene, &next, event_too ? 0 : 1);
        assert_int_equal(closed_with(&scene, 1).closed_by, CLOSED_BY_UNKNOWN);
        assert_int_equal(scene.batch->closed.n, event_too + 1);
        close_scene(&scene);
    }
}

static void a_fin_wait2_whose_endpoints_are_used_again_did_not_surely_time_out(void **state)
{
    struct sample mini = tcp(7, STATE_FIN_WAIT2), next = tcp(8, STATE_ESTABLISHED);
    struct scene scene;

    (void)state;
    mini.inode = 0;
    mini.has_uid = false;
    open_scene(&scene);
    assert_int_equal(
        ledger_netns_facts(scene.ledger, 0, &(struct port_range){32768, 60999}, 2 * STEP_MS), 0);
    snapshot(&scene, NULL, 0);
    hear_of(&scene, 6, FIRST_MS + 2500, 1);
    snapshot(&scene, &mini, 1);
    snapshot(&scene, &mini, 1);
    snapshot(&scene, &next, 1);
    assert_int_equal(closed_with(&scene, 1).closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

static void a_late_event_of_another_connection_of_the_cookie_is_its_own(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + 22500);
    struct scene scene;

    (void)state;
    for (unsigned wiped = 0; wiped < 2; wiped++) {
        open_scene(&scene);
        snapshot(&scene, &sample, 1);
        snapshot(&scene, NULL, 0);
        assert_int_equal(scene.batch->closed.n, 1);
        snapshot(&scene, NULL, 0);
        closing.local_port = 81;
        closing.wiped = wiped;
        closing.remote_port = wiped ? 0 : 40000;
        hear(&scene, &closing);
        snapshot(&scene, NULL, 0);
        assert_int_equal(scene.batch->late.n, 0);
        assert_int_equal(scene.batch->closed.n, 1);
        assert_int_equal(scene.batch->closed.items[0].local_port, 81);
        close_scene(&scene);
    }
}

static void an_abort_after_the_socket_connected_elsewhere_is_not_the_first_ones(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    closing.wiped = true;
    closing.remote_port = 0;
    closing.remote.bytes[3]++;
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(scene.batch->closed.items[i].closed_by,
                         scene.batch->closed.items[i].remote_port ? CLOSED_BY_UNKNOWN
                                                                  : CLOSED_BY_RESET);
    close_scene(&scene);
}

/* Lives that vanish in one snapshot: ports tell them apart. */
static void let_vanish(struct scene *scene, unsigned state, uint64_t first_cookie, size_t n)
{
    struct sample samples[2000];

    assert_true(n <= 2000);
    for (size_t i = 0; i < n; i++) {
        samples[i] = tcp(first_cookie + i, state);
        samples[i].remote_port = (uint16_t)(10000 + i);
    }
    snapshot(scene, samples, n);
    snapshot(scene, NULL, 0);
    assert_int_equal(scene->batch->closed.n, n);
}

static void late_events_make_no_second_row_however_many_there_are(void **state)
{
    struct scene scene;

    (void)state;
    open_scene(&scene);
    let_vanish(&scene, STATE_ESTABLISHED, 5000, 2000);
    for (unsigned i = 0; i < 300; i++)
        let_vanish(&scene, STATE_SYN_RECV, 100000 + i * 100, 100);
    for (unsigned i = 0; i < 2000; i++) {
        struct closing closing = event(5000 + i, scene.start_ms - 1);

        closing.remote_port = (uint16_t)(10000 + i);
        hear(&scene, &closing);
    }
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->late.n, 2000);
    close_scene(&scene);
}

static void what_ended_long_before_its_event_is_told_when_it_was_last_known(void **state)
{
    struct closing closing = event(7, FIRST_MS + 32500);
    struct scene scene;

    (void)state;
    for (unsigned fin = 0; fin < 2; fin++) {
        open_scene(&scene);
        for (unsigned i = 0; i < 4; i++)
            snapshot(&scene, NULL, 0);
        closing.fin_acked = fin;
        closing.quiet_ms = 30000;
        closing.known_age_ms = 30100;
        hear(&scene, &closing);
        snapshot(&scene, NULL, 0);
        assert_int_equal(scene.batch->closed.n, 1);
        assert_int_equal(scene.batch->closed.items[0].ended_ms, FIRST_MS + 2500);
        assert_int_equal(scene.batch->closed.items[0].since_ms, FIRST_MS + 2500);
        assert_int_equal(scene.batch->closed.items[0].closed_by,
                         fin ? CLOSED_BY_UNKNOWN : CLOSED_BY_RESET);
        close_scene(&scene);
    }
}

static void what_was_over_before_the_run_is_not_of_this_run(void **state)
{
    struct closing closing = event(7, FIRST_MS + 12500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    snapshot(&scene, NULL, 0);
    closing.fin_acked = false;
    closing.quiet_ms = 13000;
    closing.known_age_ms = 13000;
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 0);
    close_scene(&scene);
}

static void an_event_later_than_its_time_wait_adds_to_it(void **state)
{
    struct sample wait = tcp(8, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 102500);
    uint64_t number;
    struct scene scene;

    (void)state;
    for (unsigned quiet = 0; quiet < 2; quiet++) {
        open_scene(&scene);
        snapshot(&scene, NULL, 0);
        wait.expires_ms = 52500;
        snapshot(&scene, &wait, 1);
        number = scene.batch->opened.items[0].number;
        for (unsigned i = 2; i < 11; i++)
            snapshot(&scene, NULL, 0);
        closing.quiet_ms = quiet ? 100000 : 5;
        hear(&scene, &closing);
        snapshot(&scene, NULL, 0);
        assert_int_equal(scene.batch->late.n, quiet);
        assert_int_equal(scene.batch->closed.n, 1 - quiet);
        if (quiet)
            assert_int_equal(scene.batch->late.items[0].life, number);
        close_scene(&scene);
    }
}

static void a_syn_that_nobody_answered_was_not_reset(void **state)
{
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    for (uint32_t answers = 0; answers < 2; answers++) {
        open_scene(&scene);
        snapshot(&scene, NULL, 0);
        closing.fin_acked = closing.established = false;
        closing.segs_in = answers;
        hear(&scene, &closing);
        snapshot(&scene, NULL, 0);
        assert_int_equal(scene.batch->closed.items[0].closed_by,
                         answers ? CLOSED_BY_RESET : CLOSED_BY_UNKNOWN);
        close_scene(&scene);
    }
}

static void what_was_given_up_was_not_reset(void **state)
{
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    closing.fin_acked = false;
    closing.unanswered = true;
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

/* Two peers of one prefix, from the same port: cut, they look the same. */
static void peers_of_one_prefix_keep_what_is_theirs(void **state)
{
    struct ledger_options options = {.detail = LEDGER_DETAIL_ANONYMOUS,
                                     .anonymous_ipv4_bits = 24,
                                     .anonymous_ipv6_bits = 48,
                                     .max_client_services = 64,
                                     .ephemeral = {32768, 60999},
                                     .events = true,
                                     .interval_ms = STEP_MS,
                                     .base_ms = BASE_MS,
                                     .next_life = 1};
    struct closing first = event(7, FIRST_MS + 2000), second = event(8, FIRST_MS + 2500);
    struct sample left = tcp(70, STATE_TIME_WAIT);
    struct scene scene = {.start_ms = FIRST_MS};
    const struct address cut = {{198, 51, 100, 0}};

    (void)state;
    assert_int_equal(ledger_new(&options, &scene.ledger), 0);
    second.remote.bytes[3]++;
    second.bytes_sent = 5;
    snapshot(&scene, NULL, 0);
    hear(&scene, &first);
    hear(&scene, &second);
    left.expires_ms = 60000 - STEP_MS + 2000;
    snapshot(&scene, &left, 1);
    assert_int_equal(scene.batch->closed.n, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct life *life = &scene.batch->closed.items[i];
        bool is_first = life->state == STATE_TIME_WAIT;

        assert_memory_equal(&life->remote, &cut, sizeof(cut));
        assert_int_equal(life->facts.sent_bytes, is_first ? 100 : 5);
        assert_int_equal(life->closed_by, is_first ? CLOSED_BY_LOCAL : CLOSED_BY_REMOTE);
    }
    close_scene(&scene);
}

/* Its event was told before this run began, or lost. */
static void the_next_use_does_not_go_to_a_time_wait_that_was_there_before(void **state)
{
    struct closing closing = event(9, FIRST_MS + 4000);
    struct sample left = tcp(70, STATE_TIME_WAIT);
    struct scene scene;

    (void)state;
    closing.quiet_ms = 1;
    closing.bytes_sent = 5;
    left.expires_ms = 60000 - 1000;
    open_scene(&scene);
    snapshot(&scene, &left, 1);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct life *life = &scene.batch->closed.items[i];

        assert_int_equal(life->facts.known, life->state != STATE_TIME_WAIT);
    }
    close_scene(&scene);
}

/* The program held its socket after the end: nothing went to and fro since. */
static void a_late_event_goes_to_the_time_wait_that_was_there_before(void **state)
{
    struct closing closing = event(9, FIRST_MS + 4000);
    struct sample left = tcp(70, STATE_TIME_WAIT);
    struct scene scene;

    (void)state;
    closing.quiet_ms = 5000;
    left.expires_ms = 60000 - 1000;
    open_scene(&scene);
    snapshot(&scene, &left, 1);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_LOCAL);
    assert_true(scene.batch->closed.items[0].facts.known);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_wait_that_the_next_use_took_leaves_open_who_closed),
        cmocka_unit_test(a_time_wait_belongs_to_the_last_use),
        cmocka_unit_test(peers_of_one_prefix_keep_what_is_theirs),
        cmocka_unit_test(the_next_use_does_not_go_to_a_time_wait_that_was_there_before),
        cmocka_unit_test(a_late_event_goes_to_the_time_wait_that_was_there_before),
        cmocka_unit_test(a_connection_alive_took_the_time_wait_of_the_use_before),
        cmocka_unit_test(one_that_a_snapshot_saw_has_its_time_wait_taken_too),
        cmocka_unit_test(a_fin_wait2_whose_endpoints_are_used_again_did_not_surely_time_out),
        cmocka_unit_test(a_late_event_of_another_connection_of_the_cookie_is_its_own),
        cmocka_unit_test(an_abort_after_the_socket_connected_elsewhere_is_not_the_first_ones),
        cmocka_unit_test(what_ended_long_before_its_event_is_told_when_it_was_last_known),
        cmocka_unit_test(what_was_over_before_the_run_is_not_of_this_run),
        cmocka_unit_test(an_event_later_than_its_time_wait_adds_to_it),
        cmocka_unit_test(a_syn_that_nobody_answered_was_not_reset),
        cmocka_unit_test(what_was_given_up_was_not_reset),
        cmocka_unit_test(late_events_make_no_second_row_however_many_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
