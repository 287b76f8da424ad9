/* SPDX-License-Identifier: MIT */
#include "connhist/model/history.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/model/state.h"

#define SINCE_MS INT64_C(1763800000000)

/* SYN_SENT; 5 ms later ESTABLISHED; 300 ms (LEB128: ac 02) later CLOSE_WAIT; at once LAST_ACK. */
static const uint8_t life[] = {STATE_SYN_SENT,   5, STATE_ESTABLISHED, 0xac, 0x02,
                               STATE_CLOSE_WAIT, 0, STATE_LAST_ACK};

static void numbers_are_unsigned_leb128(void **state)
{
    uint8_t buf[10];

    (void)state;
    assert_int_equal(history_put_number(buf, 0), 1);
    assert_int_equal(buf[0], 0);
    assert_int_equal(history_put_number(buf, 127), 1);
    assert_int_equal(history_put_number(buf, 128), 2);
    /* the example of the DWARF standard */
    assert_int_equal(history_put_number(buf, 624485), 3);
    assert_memory_equal(buf, ((uint8_t[]){0xe5, 0x8e, 0x26}), 3);
    assert_int_equal(history_put_number(buf, UINT64_MAX), 10);
}

static void changes_come_in_their_order(void **state)
{
    static const struct history_change expected[] = {{SINCE_MS, STATE_SYN_SENT},
                                                     {SINCE_MS + 5, STATE_ESTABLISHED},
                                                     {SINCE_MS + 305, STATE_CLOSE_WAIT},
                                                     {SINCE_MS + 305, STATE_LAST_ACK}};
    struct history_change change = {SINCE_MS, 0};
    size_t offset = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(history_next(life, sizeof(life), &offset, &change), 1);
        assert_int_equal(change.at_ms, expected[i].at_ms);
        assert_int_equal(change.state, expected[i].state);
    }
    assert_int_equal(history_next(life, sizeof(life), &offset, &change), 0);
    assert_int_equal(history_next(life, sizeof(life), &offset, &change), 0);
}

static void the_state_at_an_instant_is_that_of_the_last_change(void **state)
{
    static const struct {
        int64_t after_ms;
        unsigned state;
        int64_t began_ms;
    } cases[] = {{0, STATE_SYN_SENT, 0},     {4, STATE_SYN_SENT, 0},
                 {5, STATE_ESTABLISHED, 5},  {304, STATE_ESTABLISHED, 5},
                 {305, STATE_LAST_ACK, 305}, {99999999, STATE_LAST_ACK, 305}};
    int64_t began = -1;

    (void)state;
    assert_int_equal(history_state_at(life, sizeof(life), SINCE_MS, SINCE_MS - 1, &began), 0);
    assert_int_equal(began, -1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t at = SINCE_MS + cases[i].after_ms;

        assert_int_equal(history_state_at(life, sizeof(life), SINCE_MS, at, &began),
                         cases[i].state);
        assert_int_equal(began, SINCE_MS + cases[i].began_ms);
        assert_int_equal(history_state_at(life, sizeof(life), SINCE_MS, at, NULL), cases[i].state);
    }
    assert_int_equal(history_state_at(NULL, 0, SINCE_MS, SINCE_MS, NULL), 0);
}

static void the_last_entry_of_a_state_is_found(void **state)
{
    static const uint8_t twice[] = {STATE_LISTEN, 7, STATE_CLOSE, 9, STATE_LISTEN};

    (void)state;
    assert_int_equal(history_entered(life, sizeof(life), SINCE_MS, STATE_SYN_SENT), SINCE_MS);
    assert_int_equal(history_entered(life, sizeof(life), SINCE_MS, STATE_LAST_ACK), SINCE_MS + 305);
    assert_true(history_entered(life, sizeof(life), SINCE_MS, STATE_TIME_WAIT) == INT64_MIN);
    assert_int_equal(history_entered(twice, sizeof(twice), SINCE_MS, STATE_LISTEN), SINCE_MS + 16);
    assert_true(history_entered(NULL, 0, SINCE_MS, STATE_LISTEN) == INT64_MIN);
}

/* Walks to the end and returns the last answer. Each step must move on. */
static int walk(const uint8_t *bytes, size_t n, int64_t since_ms)
{
    struct history_change change = {since_ms, 0};
    size_t offset = 0, before = 0;
    int r;

    while ((r = history_next(bytes, n, &offset, &change)) > 0) {
        assert_true(offset > before && offset <= n);
        assert_true(change.state > 0 && change.state < STATE_COUNT);
        before = offset;
    }
    return r;
}

static void damaged_bytes_are_told(void **state)
{
    static const struct {
        uint8_t bytes[14];
        size_t n;
    } bad[] = {
        {{1, 5}, 2},                                                           /* no state */
        {{1, 0x80}, 2},                                                        /* cut number */
        {{1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 1}, 12}, /* too long */
        {{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1}, 11},    /* too late */
        {{0}, 1},                                                              /* no state */
        {{12}, 1},                                                             /* no state */
        {{1, 5, 255}, 3},
    };
    int64_t began = -1;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(walk(bad[i].bytes, bad[i].n, SINCE_MS), -EBADMSG);
        assert_int_equal(history_state_at(bad[i].bytes, bad[i].n, SINCE_MS, INT64_MAX, &began), 0);
        assert_int_equal(began, -1);
    }
    /* a sum that does not fit */
    assert_int_equal(walk((uint8_t[]){1, 5, 1}, 3, INT64_MAX - 4), -EBADMSG);
    assert_int_equal(walk((uint8_t[]){1, 5, 1}, 3, INT64_MAX - 5), 0);
}

static void any_bytes_end_within_their_bounds(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)random() % 16;
        uint8_t *bytes = malloc(n ? n : 1); /* so that a sanitizer sees a step too far */

        assert_non_null(bytes);
        for (size_t j = 0; j < n; j++)
            bytes[j] = random() % 2 ? (uint8_t)(random() % 13) : (uint8_t)random();
        (void)walk(bytes, n, SINCE_MS);
        (void)history_entered(bytes, n, SINCE_MS, STATE_TIME_WAIT);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_unsigned_leb128),
        cmocka_unit_test(changes_come_in_their_order),
        cmocka_unit_test(the_state_at_an_instant_is_that_of_the_last_change),
        cmocka_unit_test(the_last_entry_of_a_state_is_found),
        cmocka_unit_test(damaged_bytes_are_told),
        cmocka_unit_test(any_bytes_end_within_their_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
