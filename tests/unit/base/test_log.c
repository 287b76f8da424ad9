/* SPDX-License-Identifier: MIT */
#include "connhist/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What a log wrote into the pipe, as a string. */
static const char *written(const int pipe_fds[2], char *buf, size_t n)
{
    ssize_t got;

    assert_int_equal(write(pipe_fds[1], "", 1), 1); /* so that the read never waits */
    got = read(pipe_fds[0], buf, n);
    assert_true(got > 0);
    return buf;
}

static int open_pipe(void **state)
{
    static int fds[2];

    *state = fds;
    return pipe(fds);
}

static int close_pipe(void **state)
{
    int *fds = *state;

    return close(fds[0]) + close(fds[1]);
}

static void a_line_has_its_priority_and_a_newline(void **state)
{
    int *fds = *state;
    struct log log = {.fd = fds[1], .max_level = LOG_INFO, .prefix = true};
    char buf[2048];

    log_line(&log, LOG_ERR, "lost %d", 3);
    assert_string_equal(written(fds, buf, sizeof(buf)), "<3>lost 3\n");
    log.prefix = false;
    log_line(&log, LOG_INFO, "plain");
    assert_string_equal(written(fds, buf, sizeof(buf)), "plain\n");
}

static void lines_above_the_level_are_dropped(void **state)
{
    int *fds = *state;
    struct log log = {.fd = fds[1], .max_level = LOG_WARNING, .prefix = true};
    char buf[2048];

    log_line(&log, LOG_NOTICE, "no");
    log_line(&log, LOG_DEBUG, "no");
    log_line(&log, LOG_WARNING, "yes");
    assert_string_equal(written(fds, buf, sizeof(buf)), "<4>yes\n");
}

static void control_characters_do_not_get_out(void **state)
{
    int *fds = *state;
    struct log log = {.fd = fds[1], .max_level = LOG_DEBUG, .prefix = true};
    char buf[2048];

    log_line(&log, LOG_INFO, "%s", "a\n<0>b\x1b[2J\x7f\xc3\xa4");
    assert_string_equal(written(fds, buf, sizeof(buf)), "<6>a?<0>b?[2J?\xc3\xa4\n");
}

static void long_lines_are_cut_and_still_end(void **state)
{
    int *fds = *state;
    struct log log = {.fd = fds[1], .max_level = LOG_DEBUG, .prefix = true};
    char words[3000], buf[4096];
    size_t n;

    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    log_line(&log, LOG_INFO, "%s", words);
    n = strlen(written(fds, buf, sizeof(buf)));
    assert_true(n > 1000 && n < sizeof(words));
    assert_int_equal(buf[n - 1], '\n');
    assert_int_equal(buf[n - 2], 'w');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_has_its_priority_and_a_newline, open_pipe,
                                        close_pipe),
        cmocka_unit_test_setup_teardown(lines_above_the_level_are_dropped, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(control_characters_do_not_get_out, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_and_still_end, open_pipe, close_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
