/* SPDX-License-Identifier: MIT */
/* Sets of numbers, packed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/hours.h"

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int meets(const struct hours_bytes *bytes, uint64_t low, uint64_t high)
{
    struct number_range range = {.low = low, .high = high};

    return numbers_meet(bytes->items, bytes->n, &range, 1);
}

/* Sets of all sizes, even ones and heaps; each number that was put in is found, alone, in a range and
 * among other ranges. */
static void each_number_of_a_set_is_found(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    for (int round = 0; round < 400; round++) {
        _cleanup_free_ uint64_t *all = NULL;
        struct hours_numbers numbers = {0};
        struct hours_bytes bytes = {0};
        unsigned width = 1 + (unsigned)(next_random(&seed) % NUMBERS_BITS);
        size_t n = (size_t)(next_random(&seed) % (round < 40 ? 5 : 700));
        size_t most = round % 3 ? SIZE_MAX : 64 + n / 2;
        struct number_range two[2] = {{0}};

        for (size_t i = 0; i < n; i++) {
            uint64_t number = next_random(&seed) >> (64 - width);

            if (i % 4 == 0) /* a heap */
                number = number >> (width / 2) | (UINT64_C(1) << width) >> 1;
            assert_int_equal(vec_push(&numbers, number), 0);
        }
        numbers_sort(&numbers);
        n = numbers.n;
        all = calloc(n + 1, sizeof(*all));
        assert_non_null(all);
        if (n)
            memcpy(all, numbers.items, n * sizeof(*all));
        assert_int_equal(numbers_pack(&numbers, 0, most, &bytes), 0);
        assert_true(bytes.n <= 6 || bytes.n / 2 <= most);
        assert_true(most == SIZE_MAX || bytes.n <= most + 6);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(meets(&bytes, all[i], all[i]), 1);
            assert_int_equal(meets(&bytes, all[i] / 2, all[i] + 3), 1);
            two[1].low = two[1].high = all[i];
            assert_int_equal(
                numbers_meet(bytes.items, bytes.n, two + (all[i] == 0), 2 - (all[i] == 0)), 1);
        }
        vec_finish(&numbers);
        vec_finish(&bytes);
    }
}

/* Nothing is lost without a bound: then the set is exact. */
static void a_set_without_a_bound_is_exact(void **state)
{
    struct hours_numbers numbers = {0};
    struct hours_bytes bytes = {0};
    bool has[65536] = {false};
    uint64_t seed = 99;

    (void)state;
    for (int i = 0; i < 1200; i++)
        has[next_random(&seed) % 28232 + 32768] = true;
    has[0] = has[443] = has[65535] = true;
    for (uint64_t port = 0; port < 65536; port++)
        if (has[port])
            assert_int_equal(vec_push(&numbers, port), 0);
    assert_int_equal(numbers_pack(&numbers, 0, SIZE_MAX, &bytes), 0);
    for (uint64_t port = 0; port < 65536; port++)
        assert_int_equal(meets(&bytes, port, port), has[port]);
    assert_int_equal(meets(&bytes, 444, 32767), 0);
    assert_int_equal(meets(&bytes, 1, 443), 1);
    assert_true(bytes.n < numbers.n); /* seven bits a port, about */
    vec_finish(&numbers);
    vec_finish(&bytes);
}

/* With ten bits a number one in some hundred others is taken for one of them, whether they lie even or
 * in heaps: they are asked for where the numbers lie. */
static void few_others_are_taken_for_one_of_a_bounded_set(void **state)
{
    uint64_t seed = 12345;

    (void)state;
    for (unsigned heaps = 0; heaps < 2; heaps++) {
        struct hours_numbers numbers = {0};
        struct hours_bytes bytes = {0};
        uint64_t mask = heaps ? 0xc000003fffff : 0xffffffffffff;
        int found = 0;

        for (int i = 0; i < 2000; i++)
            assert_int_equal(vec_push(&numbers, next_random(&seed) & mask), 0);
        numbers_sort(&numbers);
        assert_int_equal(numbers_pack(&numbers, 0, 2500, &bytes), 0);
        assert_true(bytes.n <= 2506);
        for (int i = 0; i < 10000; i++) {
            uint64_t other = next_random(&seed) & mask;

            found += meets(&bytes, other, other);
        }
        assert_true(found < 200); /* of 10,000; some 50 */
        vec_finish(&numbers);
        vec_finish(&bytes);
    }
}

static void damaged_sets_are_refused_or_read_within_their_bounds(void **state)
{
    uint64_t seed = 777;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)(next_random(&seed) % 40);
        _cleanup_free_ uint8_t *bytes = malloc(n + 1); /* of its own, so that a sanitizer sees */
        struct number_range range = {.low = 5, .high = UINT64_MAX >> 20};
        int r;

        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(next_random(&seed) >> (i < 2 ? 58 : 0));
        r = numbers_meet(bytes, n, &range, 1);
        assert_true(r == 0 || r == 1 || r == -EBADMSG);
    }
    assert_int_equal(numbers_meet(NULL, 0, NULL, 0), -EBADMSG);
    assert_int_equal(numbers_meet((const uint8_t[]){0, 0, 1}, 3, NULL, 0), -EBADMSG);
    assert_int_equal(numbers_meet((const uint8_t[]){0, 0, 0}, 3, NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_of_a_set_is_found),
        cmocka_unit_test(a_set_without_a_bound_is_exact),
        cmocka_unit_test(few_others_are_taken_for_one_of_a_bounded_set),
        cmocka_unit_test(damaged_sets_are_refused_or_read_within_their_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
