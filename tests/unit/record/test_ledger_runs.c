/* SPDX-License-Identifier: MIT */
/* What is told at the end of a run and at the begin of the next one. */
#include "ledger_scene.h"

/* The scene's last snapshot, while which an event comes. */
static void last_snapshot(struct scene *scene, const struct closing *closing,
                          enum snapshot_status status)
{
    batch_free(scene->batch);
    scene->batch = batch_new();
    ledger_begin(scene->ledger, scene->start_ms, scene->batch);
    hear(scene, closing);
    ledger_last(scene->ledger);
    assert_int_equal(ledger_end(scene->ledger, status, false, false), 0);
    batch_seal(scene->batch);
}

static void hold_told_at_last(enum snapshot_status status)
{
    struct closing closing = event(7, FIRST_MS + STEP_MS + 3);
    const struct life *life;
    struct scene scene;

    open_scene(&scene);
    snapshot(&scene, NULL, 0);
    last_snapshot(&scene, &closing, status);
    assert_int_equal(scene.batch->opened.n, 0);
    assert_int_equal(scene.batch->closed.n, 1);
    life = &scene.batch->closed.items[0];
    assert_int_equal(life->ended_ms, FIRST_MS + STEP_MS);
    assert_int_equal(life->facts.sent_bytes, 100);
    /* a mini-socket may have come where the walk had passed */
    assert_int_equal(life->closed_by, CLOSED_BY_UNKNOWN);
    assert_int_equal(scene.batch->rates.n, 1);
    assert_int_equal(scene.batch->rates.items[0].closed[CLOSED_BY_UNKNOWN], 1);
    close_scene(&scene);
}

static void an_event_that_comes_during_the_last_snapshot_is_told(void **state)
{
    (void)state;
    hold_told_at_last(SNAPSHOT_COMPLETE);
}

static void it_is_told_when_the_last_snapshot_is_interrupted(void **state)
{
    (void)state;
    hold_told_at_last(SNAPSHOT_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_that_comes_during_the_last_snapshot_is_told),
        cmocka_unit_test(it_is_told_when_the_last_snapshot_is_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
