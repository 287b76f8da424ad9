/* SPDX-License-Identifier: MIT */
#include "connhist/base/strutil.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void numbers_within_bounds_are_read(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_int_equal(parse_u64("0", 0, 10, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(parse_u64("007", 7, 7, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x1", "1e3", "1.0", "a", "1\n"};
    uint64_t value = 77;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse_u64(bad[i], 0, UINT64_MAX, &value), -EINVAL);
    assert_int_equal(parse_u64("11", 0, 10, &value), -ERANGE);
    assert_int_equal(parse_u64("4", 5, 10, &value), -ERANGE);
    assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
    assert_int_equal(parse_u64("99999999999999999999999", 0, UINT64_MAX, &value), -ERANGE);
    assert_int_equal(value, 77);
}

static void the_nearest_word_is_found_if_it_is_near(void **state)
{
    static const char *const words[] = {"interval", "detail", "database", "on"};
    char long_word[100];

    (void)state;
    assert_string_equal(nearest_word("intervall", words, 4), "interval");
    assert_string_equal(nearest_word("intreval", words, 4), "interval");
    assert_string_equal(nearest_word("detial", words, 4), "detail");
    assert_string_equal(nearest_word("databse", words, 4), "database");
    assert_string_equal(nearest_word("detail", words, 4), "detail");
    assert_string_equal(nearest_word("DETIAL", words, 4), "detail");
    assert_null(nearest_word("services", words, 4));
    assert_null(nearest_word("xy", words, 4)); /* nothing in common with "on" */
    assert_null(nearest_word("", words, 4));
    assert_null(nearest_word("interval", words, 0));
    memset(long_word, 'i', sizeof(long_word) - 1);
    long_word[sizeof(long_word) - 1] = '\0';
    assert_null(nearest_word(long_word, words, 4));
}

static void words_are_the_same_apart_from_case_and_dashes(void **state)
{
    (void)state;
    assert_true(same_word("TIME_WAIT", "time-wait"));
    assert_true(same_word("", ""));
    assert_false(same_word("TIME_WAIT", "TIMEWAIT"));
    assert_false(same_word("tcp", "tcp6"));
    assert_false(same_word("tcp6", "tcp"));
    assert_false(same_word("\xc3\xa4", "\xc3\x84"));
}

static void quoted_text_is_one_short_line_of_ascii(void **state)
{
    char buf[QUOTE_TEXT_MAX];

    (void)state;
    assert_string_equal(quote_text("", buf), "''");
    assert_string_equal(quote_text("a b~", buf), "'a b~'");
    assert_string_equal(quote_text("a\n.\x1b.\x7f.\xc3\xa4.", buf), "'a?.?.?.??.'");
    /* 45 characters fit, 46 are cut */
    assert_string_equal(quote_text("123456789012345678901234567890123456789012345", buf),
                        "'123456789012345678901234567890123456789012345'");
    assert_string_equal(quote_text("1234567890123456789012345678901234567890123456", buf),
                        "'123456789012345678901234567890123456789012...'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_within_bounds_are_read),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(the_nearest_word_is_found_if_it_is_near),
        cmocka_unit_test(words_are_the_same_apart_from_case_and_dashes),
        cmocka_unit_test(quoted_text_is_one_short_line_of_ascii),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
