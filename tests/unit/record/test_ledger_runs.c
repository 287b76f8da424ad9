/* SPDX-License-Identifier: MIT */
/* What is told at the end of a run and at the begin of the next one. */
#include "ledger_scene.h"

/* The scene's last snapshot, while which an event comes, or none. */
static void last_snapshot(struct scene *scene, const struct closing *closing,
                          enum snapshot_status status)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    if (closing)
        hear(scene, closing);
    ledger_last(scene->ledger);
    assert_int_equal(ledger_end(scene->ledger, status, false, false), 0);
    batch_seal(scene->batch);
}

/* Without a look at what followed nobody knows who closed. */
static void what_came_before_the_last_snapshot_is_told_though_that_was_interrupted(void **state)
{
    struct closing closing = event(7, FIRST_MS + STEP_MS - 3);
    const struct life *life;
    struct scene scene;

    (void)state;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &closing);
    last_snapshot(&scene, NULL, SNAPSHOT_INTERRUPTED);
    assert_int_equal(scene.batch->opened.n, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    life = &scene.batch->closed.items[0];
    assert_int_equal(life->ended_ms, FIRST_MS + STEP_MS - 3);
    assert_int_equal(life->facts.sent_bytes, 100);
    assert_int_equal(life->closed_by, CLOSED_BY_UNKNOWN);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].closed[CLOSED_BY_UNKNOWN], 1);
    close_scene(&scene);
}

/* The run has ended by then: the next one may see what it left. */
static void what_comes_during_the_last_snapshot_is_neither_told_nor_counted(void **state)
{
    struct closing before = event(7, FIRST_MS + STEP_MS - 3);
    struct closing during = event(8, FIRST_MS + STEP_MS + 3);
    struct ledger_stats stats;
    struct scene scene;

    (void)state;
    during.remote_port++;
    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    hear(&scene, &before);
    last_snapshot(&scene, &during, SNAPSHOT_COMPLETE);
    assert_int_equal(scene.batch->closed.n, 1);
    assert_int_equal(scene.batch->closed.items[0].remote_port, before.remote_port);
    assert_int_equal(scene.batch->closed.items[0].closed_by, CLOSED_BY_REMOTE);
    ledger_stats(scene.ledger, &stats);
    assert_int_equal(stats.closings, 1);
    close_scene(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_before_the_last_snapshot_is_told_though_that_was_interrupted),
        cmocka_unit_test(what_comes_during_the_last_snapshot_is_neither_told_nor_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
