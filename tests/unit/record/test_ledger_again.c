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
    ledger_set_fin_timeout(scene.ledger, 2 * STEP_MS);
    snapshot(&scene, NULL, 0);
    hear_of(&scene, 6, FIRST_MS + 2500, 1);
    snapshot(&scene, &mini, 1);
    snapshot(&scene, &mini, 1);
    snapshot(&scene, &next, 1);
    assert_int_equal(closed_with(&scene, 1).closed_by, CLOSED_BY_UNKNOWN);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_wait_that_the_next_use_took_leaves_open_who_closed),
        cmocka_unit_test(a_time_wait_belongs_to_the_last_use),
        cmocka_unit_test(a_connection_alive_took_the_time_wait_of_the_use_before),
        cmocka_unit_test(one_that_a_snapshot_saw_has_its_time_wait_taken_too),
        cmocka_unit_test(a_fin_wait2_whose_endpoints_are_used_again_did_not_surely_time_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
