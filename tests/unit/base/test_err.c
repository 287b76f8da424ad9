/* SPDX-License-Identifier: MIT */
#include "connhist/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void an_error_has_a_code_and_words(void **state)
{
    struct err err = {0};

    (void)state;
    assert_int_equal(err_set(&err, -EINVAL, "key %d", 7), -EINVAL);
    assert_int_equal(err.code, -EINVAL);
    assert_string_equal(err.text, "key 7");
    assert_int_equal(err_errno(&err, -ENOENT, "cannot read %s", "x"), -ENOENT);
    assert_string_equal(err.text, "cannot read x: No such file or directory");
    assert_int_equal(err_errno(&err, -99999, "odd"), -99999);
    assert_string_equal(err.text, "odd: unknown error");
}

static void a_prefix_stands_before_the_words(void **state)
{
    struct err err = {0};

    (void)state;
    err_set(&err, -EINVAL, "words");
    assert_int_equal(err_prefix(&err, -EINVAL, "%s:%d", "f", 3), -EINVAL);
    assert_string_equal(err.text, "f:3: words");
}

static void nobody_needs_the_words(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EINVAL, "x"), -EINVAL);
    assert_int_equal(err_errno(NULL, -EIO, "x"), -EIO);
    assert_int_equal(err_prefix(NULL, -EPERM, "x"), -EPERM);
}

static void long_words_are_cut_to_fit(void **state)
{
    char words[2 * ERR_TEXT_MAX];
    struct err err = {0};

    (void)state;
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    err_set(&err, -EINVAL, "%s", words);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    err_prefix(&err, -EINVAL, "first");
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_memory_equal(err.text, "first: www", 10);
    err_errno(&err, -EIO, "%s", words);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_has_a_code_and_words),
        cmocka_unit_test(a_prefix_stands_before_the_words),
        cmocka_unit_test(nobody_needs_the_words),
        cmocka_unit_test(long_words_are_cut_to_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
