/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/strutil.h"

#define MILLIONTH_DIGITS 6
#define DECIMALS_MAX     9

int scan_fail(const struct scan *scan, const char *at, const char *format, ...)
{
    char quoted[QUOTE_TEXT_MAX], words[160];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    return err_set(scan->err, -EINVAL, "%s %s, column %zu: %s; right are %s", scan->kind,
                   quote_text(scan->text, quoted), (size_t)(at - scan->text) + 1, words,
                   scan->forms);
}

int scan_unexpected(const struct scan *scan, const char *wanted)
{
    if (!*scan->at)
        return scan_fail(scan, scan->at, "ends where %s should be", wanted);
    if (*scan->at < ' ' || *scan->at > '~')
        return scan_fail(scan, scan->at, "unexpected byte 0x%02x where %s should be",
                         (unsigned)(unsigned char)*scan->at, wanted);
    return scan_fail(scan, scan->at, "unexpected '%c' where %s should be", *scan->at, wanted);
}

void scan_spaces(struct scan *scan)
{
    while (*scan->at == ' ' || *scan->at == '\t')
        scan->at++;
}

bool scan_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t scan_count_digits(const struct scan *scan)
{
    size_t n = 0;

    while (scan_is_digit(scan->at[n]))
        n++;
    return n;
}

bool scan_char(struct scan *scan, char c)
{
    if (!*scan->at || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

bool scan_word(struct scan *scan, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(scan->at, word, n) != 0 || is_letter(scan->at[n]))
        return false;
    scan->at += n;
    return true;
}

int scan_digits(struct scan *scan, size_t n, const char *what, int *ret)
{
    const char *start = scan->at;
    int value = 0;

    if (scan_count_digits(scan) == 0)
        return scan_unexpected(scan, what);
    if (scan_count_digits(scan) != n)
        return scan_fail(scan, start, "%s needs exactly %zu digits", what, n);
    for (size_t i = 0; i < n; i++)
        value = value * 10 + (start[i] - '0');
    scan->at += n;
    *ret = value;
    return 0;
}

int scan_two(struct scan *scan, const char *what, int min, int max, int *ret)
{
    const char *start = scan->at;
    int value, r = scan_digits(scan, 2, what, &value);

    if (r < 0)
        return r;
    if (value < min || value > max)
        return scan_fail(scan, start, "%s %02d is not within %02d to %02d", what, value, min, max);
    *ret = value;
    return 0;
}

static int scan_decimals(struct scan *scan, int64_t *ret_millionths)
{
    size_t n = scan_count_digits(scan);
    int64_t value = 0;

    if (n == 0)
        return scan_unexpected(scan, "a digit after the point");
    if (n > DECIMALS_MAX)
        return scan_fail(scan, scan->at, "more than %d decimals", DECIMALS_MAX);
    for (size_t i = 0; i < MILLIONTH_DIGITS; i++)
        value = value * 10 + (i < n ? scan->at[i] - '0' : 0);
    scan->at += n;
    *ret_millionths = value;
    return 0;
}

int scan_number(struct scan *scan, struct scan_number *ret)
{
    const char *start = scan->at;
    struct scan_number number = {0};
    int r;

    if (!scan_is_digit(*scan->at))
        return scan_unexpected(scan, "a number");
    for (; scan_is_digit(*scan->at); scan->at++)
        if (__builtin_mul_overflow(number.whole, 10, &number.whole) ||
            __builtin_add_overflow(number.whole, *scan->at - '0', &number.whole))
            return scan_fail(scan, start, "the number is too large");
    if (scan_char(scan, '.')) {
        r = scan_decimals(scan, &number.millionths);
        if (r < 0)
            return r;
    }
    *ret = number;
    return 0;
}

int scan_end(struct scan *scan)
{
    scan_spaces(scan);
    return *scan->at ? scan_unexpected(scan, "the end") : 0;
}
