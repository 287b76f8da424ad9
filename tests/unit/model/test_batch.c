/* SPDX-License-Identifier: MIT */
#include "connhist/model/batch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LIVES 500

static void add(struct batch *batch, struct life_vec *to, uint64_t number, uint8_t history_bytes)
{
    uint8_t history[255];
    struct life life = {.number = number, .history = history, .history_bytes = history_bytes};

    memset(history, (int)(number & 0xff), sizeof(history));
    assert_int_equal(batch_add_life(batch, to, &life), 0);
    memset(history, 0, sizeof(history)); /* the batch has its own copy */
}

static void assert_own_history(const struct batch *batch, const struct life *life)
{
    const uint8_t *first = batch->histories.items, *end = first + batch->histories.n;

    assert_true(life->history >= first && life->history + life->history_bytes <= end);
    for (size_t i = 0; i < life->history_bytes; i++)
        assert_int_equal(life->history[i], life->number & 0xff);
}

static void sealed_lives_have_their_own_histories(void **state)
{
    struct batch *batch = batch_new();

    (void)state;
    assert_non_null(batch);
    for (unsigned i = 1; i <= LIVES; i++) { /* enough for the memory to move */
        add(batch, &batch->opened, i, (uint8_t)(1 + i % 250));
        add(batch, &batch->changed, i + 1, 1);
        add(batch, &batch->closed, i + 2, 255);
    }
    batch_seal(batch);
    for (size_t i = 0; i < LIVES; i++) {
        assert_int_equal(batch->opened.items[i].number, i + 1);
        assert_own_history(batch, &batch->opened.items[i]);
        assert_own_history(batch, &batch->changed.items[i]);
        assert_own_history(batch, &batch->closed.items[i]);
    }
    assert_true(batch->bytes >=
                sizeof(*batch) + 3 * LIVES * sizeof(struct life) + batch->histories.n);
    batch_free(batch);
}

static void lives_without_a_history_are_sealed_without(void **state)
{
    struct life life = {.number = 1};
    struct batch *batch = batch_new();

    (void)state;
    assert_non_null(batch);
    assert_int_equal(batch_add_life(batch, &batch->opened, &life), 0);
    batch_seal(batch);
    assert_null(batch->opened.items[0].history);
    batch_free(batch);
}

static void a_batch_of_nothing_takes_its_own_size(void **state)
{
    struct batch *batch = batch_new();

    (void)state;
    assert_non_null(batch);
    batch_seal(batch);
    assert_int_equal(batch->bytes, sizeof(*batch));
    batch_free(batch);
    batch_free(NULL);
}

static void every_kind_of_row_counts_for_the_bound(void **state)
{
    struct batch *batch = batch_new();

    (void)state;
    assert_non_null(batch);
    assert_int_equal(vec_push(&batch->tallies, (struct tally_change){0}), 0);
    assert_int_equal(vec_push(&batch->queues, (struct queue_change){0}), 0);
    assert_int_equal(vec_push(&batch->losses, (struct loss){0}), 0);
    assert_int_equal(vec_push(&batch->epochs, (struct epoch){0}), 0);
    assert_int_equal(vec_push(&batch->netns, (struct netns_ref){0}), 0);
    batch_seal(batch);
    assert_true(batch->bytes >= sizeof(*batch) + sizeof(struct tally_change) +
                                    sizeof(struct queue_change) + sizeof(struct loss) +
                                    sizeof(struct epoch) + sizeof(struct netns_ref));
    batch_free(batch);
}

static void losses_have_names(void **state)
{
    (void)state;
    assert_string_equal(loss_kind_name(LOSS_TICKS_MISSED), "ticks missed");
    assert_string_equal(loss_kind_name(LOSS_DUMP_FAILED), "dump failed");
    assert_string_equal(loss_kind_name(LOSS_QUEUE_FULL), "queue full");
    assert_string_equal(loss_kind_name(LOSS_WRITE_FAILED), "write failed");
    assert_string_equal(loss_kind_name(LOSS_RECORDER_DIED), "recorder died");
    assert_string_equal(loss_kind_name(0), "?");
    assert_string_equal(loss_kind_name(LOSS_EVENTS), "events lost");
    assert_string_equal(loss_kind_name(LOSS_DETAIL), "detail dropped");
    assert_string_equal(loss_kind_name(LOSS_FILE), "file damaged");
    assert_string_equal(loss_kind_name(9), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_lives_have_their_own_histories),
        cmocka_unit_test(lives_without_a_history_are_sealed_without),
        cmocka_unit_test(a_batch_of_nothing_takes_its_own_size),
        cmocka_unit_test(every_kind_of_row_counts_for_the_bound),
        cmocka_unit_test(losses_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
