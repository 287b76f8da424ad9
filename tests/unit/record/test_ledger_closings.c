/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "connhist/record/ledger_owners.h"
#include "ledger_scene.h"

static void an_event_ends_a_known_life_at_its_instant(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].ended_ms, FIRST_MS + 2500);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_REMOTE);
    assert_true(scene.batch->closed.items[0].facts.known);
    assert_int_equal(scene.batch->closed.items[0].facts.sent_bytes, 100);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].closed[CLOSED_BY_REMOTE], 1);
    close_scene(&scene);
}

/* Our FIN was answered, the peer's never came: FIN_WAIT2 followed, and was gone before it showed. */
static void what_was_reset_in_fin_wait2_unseen_is_not_told_as_the_peers_closing(void **state)
{
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    closing.bytes_received = 0;
    closing.no_peer_fin = true;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_RESET);
    close_scene(&scene);
}

static void a_connection_that_no_snapshot_saw_is_one_closed_life(void **state)
{
    struct closing closing = event(7, FIRST_MS + 2500);
    const struct life *life;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->opened.n, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    life = &scene.batch->closed.items[0];
    assert_false(life->opened_known);
    assert_int_equal(life->since_ms, FIRST_MS + 2495);
    assert_int_equal(life->ended_ms, FIRST_MS + 2500);
    assert_int_equal(life->service.role, ROLE_SERVER);
    assert_int_equal(life->role_source, ROLE_BY_TCP_INFO);
    assert_int_equal(scene.batch->tallies.n, 0);
    assert_int_equal(scene.batch->rates.items[0].opened, 1);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n + scene.batch->amended.n, 0);
    close_scene(&scene);
}

static void its_time_wait_is_written_once_with_the_planned_end(void **state)
{
    struct sample wait = tcp(8, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    wait.expires_ms = 52500;
    snapshot(&scene, &wait, 1);
    assert_int_equal(scene.batch->opened.n, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].ended_ms, FIRST_MS + 2500 + 60000);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_LOCAL);
    for (unsigned i = 0; i < 5; i++) {
        wait.expires_ms -= STEP_MS;
        snapshot(&scene, &wait, 1);
        assert_int_equal(scene.batch->closed.n + scene.batch->amended.n + scene.batch->changed.n,
                         0);
    }
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n + scene.batch->amended.n, 0);
    close_scene(&scene);
}

static void a_time_wait_that_ends_early_or_late_is_amended(void **state)
{
    struct sample wait = tcp(8, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    wait.expires_ms = 52500;
    snapshot(&scene, &wait, 1);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->amended.n, 1);
    assert_int_equal(scene.batch->amended.items[0].planned_ms, FIRST_MS + 62500);
    assert_int_equal(scene.batch->amended.items[0].ended_ms, FIRST_MS + 2 * STEP_MS);
    assert_true(scene.batch->amended.items[0].facts.known);
    assert_int_equal(scene.batch->rates.n, 0);
    close_scene(&scene);
}

static void the_event_may_come_after_its_time_wait_was_seen(void **state)
{
    struct sample wait = tcp(8, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 12500);
    struct scene scene;

    (void)state;
    closing.quiet_ms = 10000;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    wait.expires_ms = 52500;
    snapshot(&scene, &wait, 1);
    assert_int_equal(scene.batch->opened.n, 1);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_true(scene.batch->closed.items[0].facts.known);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_LOCAL);
    close_scene(&scene);
}

static void a_late_event_only_adds_what_it_knows(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + 32500);
    uint64_t number;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    number = scene.batch->opened.items[0].number;
    snapshot(&scene, NULL, 0);
    assert_true(scene.batch->closed.items[0].late_facts);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 0);
    assert_int_equal(scene.batch->late.n, 1);
    assert_int_equal(scene.batch->late.items[0].life, number);
    close_scene(&scene);
}

static void an_abort_is_completed_from_the_life_of_its_cookie(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    closing = (struct closing){.cookie = 7,
                               .received_ns = closing.received_ns,
                               .family = AF_INET,
                               .protocol = PROTOCOL_TCP,
                               .remote = sample.remote,
                               .local_port = 80,
                               .wiped = true};
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].remote_port, 40000);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_RESET);
    close_scene(&scene);
}

static void never_connected_sockets_are_counted_alone(void **state)
{
    struct closing closing = {
        .cookie = 9, .family = AF_INET, .protocol = PROTOCOL_TCP, .unconnected = true};
    struct ledger_stats stats;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 0);
    ledger_stats(scene.ledger, &stats);
    assert_int_equal(stats.unconnected, 1);
    close_scene(&scene);
}

static void without_time_wait_sockets_nothing_follows_from_their_absence(void **state)
{
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    assert_int_equal(ledger_time_wait_lost(scene.ledger, 0), 0);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

/* The kernel had wiped the peer's port, and our address; the port that it was accepted at is left. */
static void an_abort_that_no_snapshot_saw_counts_for_the_service_that_accepted_it(void **state)
{
    struct closing accepted = event(7, FIRST_MS + 2500), own = event(8, FIRST_MS + 2600);
    struct sample listener = tcp(3, STATE_LISTEN);
    struct scene scene;

    (void)state;
    listener.local = listener.remote = accepted.local = own.local = (struct address){{0}};
    listener.local_port = accepted.local_port = 40123;
    listener.remote_port = accepted.remote_port = own.remote_port = 0;
    own.local_port = 45000;
    accepted.wiped = own.wiped = true;
    accepted.has_info = own.has_info = false;
    accepted.fin_acked = own.fin_acked = false;
    accepted.opener = own.opener = OPENER_UNKNOWN;
    open_scene(&scene);
    snapshot(&scene, &listener, 1);
    hear(&scene, &accepted);
    hear(&scene, &own);
    snapshot(&scene, &listener, 1);
    assert_int_equal(scene.batch->closed.n, 2);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].service.role, ROLE_SERVER);
    assert_int_equal(scene.batch->rates.items[0].service.port, 40123);
    assert_int_equal(scene.batch->rates.items[0].opened, 1);
    assert_int_equal(scene.batch->rates.items[0].closed[CLOSED_BY_RESET], 1);
    close_scene(&scene);
}

static void a_connection_is_as_old_as_its_event_proves(void **state)
{
    struct sample sample = tcp(7, STATE_ESTABLISHED);
    struct closing closing = event(7, FIRST_MS + STEP_MS + 500);
    struct scene scene;

    (void)state;
    closing.known_age_ms = 9500;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    snapshot(&scene, &sample, 1);
    hear(&scene, &closing);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].duration_ms.counts[histogram_bucket(9500)], 1);
    close_scene(&scene);
}

/* shutdown(), then the peer's FIN, then close(): the FIN is in what the full socket counted. */
static void a_fin_wait2_that_its_program_held_leaves_open_who_got_the_fin(void **state)
{
    struct sample sample = tcp(7, STATE_FIN_WAIT2), wait = tcp(7, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    closing.bytes_received_may_include_fin = true;
    wait.expires_ms = 60000 - STEP_MS + 2500;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    hear(&scene, &closing);
    snapshot(&scene, &wait, 1);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_LOCAL);
    assert_int_equal(scene.batch->closed.items[0].facts.received_bytes, 1000);
    assert_true(scene.batch->closed.items[0].facts.received_uncertain);
    close_scene(&scene);
}

/* close() came before the peer's FIN: a mini-socket was seen to wait for it. */
static void a_fin_wait2_seen_after_its_event_got_the_fin_itself(void **state)
{
    struct sample sample = tcp(7, STATE_FIN_WAIT2), wait = tcp(7, STATE_TIME_WAIT);
    struct closing closing = event(7, FIRST_MS + 2500);
    struct scene scene;

    (void)state;
    closing.bytes_received_may_include_fin = true;
    wait.expires_ms = 60000 - STEP_MS + 2500;
    open_scene(&scene);
    snapshot(&scene, &sample, 1);
    hear(&scene, &closing);
    sample.inode = 0;
    sample.has_uid = false;
    snapshot(&scene, &sample, 1);
    snapshot(&scene, &wait, 1);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].facts.received_bytes, 1000);
    assert_false(scene.batch->closed.items[0].facts.received_uncertain);
    close_scene(&scene);
}

static void interrupted(struct scene *scene)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    assert_int_equal(ledger_end(scene->ledger, SNAPSHOT_INTERRUPTED, false, false), 0);
    scene->start_ms += STEP_MS;
}

static struct closing nth_event(const struct scene *scene, uint32_t n)
{
    struct closing closing = event(1000 + n, scene->start_ms - 100);

    memcpy(&closing.remote.bytes[8], &n, sizeof(n));
    return closing;
}

static void no_more_than_so_many_events_wait_while_snapshots_stay_interrupted(void **state)
{
    enum { MOST = 65536 };
    struct ledger_stats before, after;
    struct closing closing;
    struct scene scene;
    uint32_t n = 0;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    while (n < MOST + 1) { /* between two snapshots more may come */
        closing = nth_event(&scene, n++);
        hear(&scene, &closing);
    }
    for (unsigned i = 0; i < 2; i++)
        interrupted(&scene);
    closing = nth_event(&scene, n++);
    hear(&scene, &closing);
    interrupted(&scene);
    ledger_stats(scene.ledger, &before);
    for (unsigned i = 0; i < MOST; i++) {
        closing = nth_event(&scene, n + i);
        assert_int_equal(ledger_closing(scene.ledger, 0, &closing), -ENOBUFS);
    }
    ledger_stats(scene.ledger, &after);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.closings, n);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, n);
    closing = nth_event(&scene, n);
    hear(&scene, &closing);
    interrupted(&scene);
    snapshot(&scene, NULL, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    close_scene(&scene);
}

/* Whether the ledger tells a socket as gone, and once. */
static void assert_gone(struct scene *scene, uint32_t inode)
{
    const uint32_t *gone = NULL;

    assert_int_equal(ledger_gone(scene->ledger, &gone), 1);
    assert_int_equal(gone[0], inode);
    assert_int_equal(ledger_gone(scene->ledger, &gone), 0);
}

static void a_socket_is_told_gone_by_its_event_by_its_state_and_by_its_absence(void **state)
{
    struct sample samples[] = {tcp(7, STATE_ESTABLISHED), tcp(8, STATE_ESTABLISHED),
                               tcp(9, STATE_ESTABLISHED)};
    struct closing closing = event(7, FIRST_MS + 2500);
    const uint32_t *gone;
    struct scene scene;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        samples[i].remote_port = (uint16_t)(40000 + i);
    open_scene_with_owners(&scene);
    snapshot(&scene, samples, 3);
    assert_int_equal(ledger_gone(scene.ledger, &gone), 0);
    hear(&scene, &closing);
    assert_gone(&scene, 7);
    samples[1].state = STATE_TIME_WAIT;
    samples[1].inode = 0;
    snapshot(&scene, samples + 1, 2);
    assert_int_equal(ledger_gone(scene.ledger, &gone), 2); /* 7 once more, as it ended */
    assert_int_equal(gone[0], 8);
    snapshot(&scene, samples + 1, 1);
    assert_gone(&scene, 9);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_told_gone_by_its_event_by_its_state_and_by_its_absence),
        cmocka_unit_test(a_fin_wait2_that_its_program_held_leaves_open_who_got_the_fin),
        cmocka_unit_test(a_fin_wait2_seen_after_its_event_got_the_fin_itself),
        cmocka_unit_test(a_connection_is_as_old_as_its_event_proves),
        cmocka_unit_test(an_abort_that_no_snapshot_saw_counts_for_the_service_that_accepted_it),
        cmocka_unit_test(an_event_ends_a_known_life_at_its_instant),
        cmocka_unit_test(what_was_reset_in_fin_wait2_unseen_is_not_told_as_the_peers_closing),
        cmocka_unit_test(a_connection_that_no_snapshot_saw_is_one_closed_life),
        cmocka_unit_test(its_time_wait_is_written_once_with_the_planned_end),
        cmocka_unit_test(a_time_wait_that_ends_early_or_late_is_amended),
        cmocka_unit_test(the_event_may_come_after_its_time_wait_was_seen),
        cmocka_unit_test(a_late_event_only_adds_what_it_knows),
        cmocka_unit_test(an_abort_is_completed_from_the_life_of_its_cookie),
        cmocka_unit_test(never_connected_sockets_are_counted_alone),
        cmocka_unit_test(no_more_than_so_many_events_wait_while_snapshots_stay_interrupted),
        cmocka_unit_test(without_time_wait_sockets_nothing_follows_from_their_absence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
