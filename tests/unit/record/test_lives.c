/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "connhist/model/history.h"
#include "connhist/model/state.h"
#include "lives.h"

#define MANY 5000

static void lives_are_found_by_cookie_and_namespace(void **state)
{
    struct lives lives;
    uint32_t index;

    (void)state;
    assert_int_equal(lives_init(&lives), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(lives_add(&lives, 1, i, 2 * i + 1, &index), 0);
        assert_int_equal(lives_add(&lives, 2, i, 2 * i + 2, &index), 0);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(lives_get(&lives, lives_find(&lives, 1, i))->number, 2 * i + 1);
        assert_int_equal(lives_get(&lives, lives_find(&lives, 2, i))->number, 2 * i + 2);
    }
    assert_int_equal(lives_find(&lives, 3, 1), LIVES_NONE);
    assert_int_equal(lives_find(&lives, 1, MANY), LIVES_NONE);
    lives_finish(&lives);
}

static void places_of_removed_lives_are_used_again(void **state)
{
    struct lives lives;
    uint32_t index;
    size_t bytes;

    (void)state;
    assert_int_equal(lives_init(&lives), 0);
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(lives_add(&lives, 0, i, i + 1, &index), 0);
    bytes = lives_bytes(&lives);
    for (uint64_t round = 1; round < 5; round++)
        for (uint64_t i = 0; i < MANY; i++) {
            lives_remove(&lives, lives_find(&lives, 0, (round - 1) * MANY + i));
            assert_int_equal(lives_add(&lives, 0, round * MANY + i, i + 1, &index), 0);
        }
    assert_int_equal(lives.n, MANY);
    assert_int_equal(lives_bytes(&lives), bytes);
    lives_finish(&lives);
}

static void a_long_history_is_kept_up_to_its_bound(void **state)
{
    struct lives lives;
    struct entry *entry;
    uint32_t index;
    int r = 0;

    (void)state;
    assert_int_equal(lives_init(&lives), 0);
    assert_int_equal(lives_add(&lives, 0, 7, 1, &index), 0);
    entry = lives_get(&lives, index);
    entry->changed_ms = 1000;
    assert_int_equal(lives_append_state(&lives, entry, STATE_CLOSE, 1000), 0);
    for (int64_t at = 1300; r == 0; at += 300) {
        uint8_t next = entry->state == STATE_CLOSE ? STATE_LISTEN : STATE_CLOSE;

        r = lives_append_state(&lives, entry, next, at);
        if (r == 0)
            assert_int_equal(
                history_state_at(entry_history(entry), entry->history_bytes, 1000, at, NULL), next);
    }
    assert_int_equal(r, -E2BIG);
    assert_in_range(entry->history_bytes, HISTORY_MAX_BYTES - 3, HISTORY_MAX_BYTES);
    assert_int_equal(history_state_at(entry_history(entry), entry->history_bytes, 1000, 1599, NULL),
                     STATE_LISTEN);
    lives_remove(&lives, index);
    assert_int_equal(lives.heap_bytes, 0);
    lives_finish(&lives);
}

static void an_open_socket_costs_no_more_than_160_bytes(void **state)
{
    struct lives lives;
    uint32_t index;

    (void)state;
    assert_int_equal(lives_init(&lives), 0);
    for (uint64_t i = 0; i < 100000; i++)
        assert_int_equal(lives_add(&lives, 0, i, i + 1, &index), 0);
    assert_true(lives_bytes(&lives) <= 160 * 100000);
    lives_finish(&lives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_are_found_by_cookie_and_namespace),
        cmocka_unit_test(places_of_removed_lives_are_used_again),
        cmocka_unit_test(a_long_history_is_kept_up_to_its_bound),
        cmocka_unit_test(an_open_socket_costs_no_more_than_160_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
