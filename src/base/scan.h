/* SPDX-License-Identifier: MIT */
/* What the readers of times, durations and sizes share: a place in a text, and errors that name it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

struct scan {
    const char *kind;  /* what is being read, for messages: "time" */
    const char *forms; /* the forms that are right, for messages */
    const char *text;  /* all of it */
    const char *at;    /* the next character */
    struct err *err;   /* may be NULL */
};

/* A number with decimals. */
struct scan_number {
    int64_t whole;
    int64_t millionths; /* 0 … 999999; finer decimals are cut */
};

/* Sets err to "KIND 'TEXT', column N: WORDS; right are FORMS", N counted from 1 at the place `at`.
 * Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int scan_fail(const struct scan *scan, const char *at,
                                                    const char *format, ...);

/* scan_fail() for a character that fits nowhere, or an end that came too soon. */
int scan_unexpected(const struct scan *scan, const char *wanted);

void scan_spaces(struct scan *scan);

bool scan_is_digit(char c);

/* Digits from here on. */
size_t scan_count_digits(const struct scan *scan);

/* Takes one character if it is c. */
bool scan_char(struct scan *scan, char c);

/* Takes the word if it stands here whole, that is, no letter follows it. */
bool scan_word(struct scan *scan, const char *word);

/* Takes exactly n <= 9 digits. what names them in messages. */
int scan_digits(struct scan *scan, size_t n, const char *what, int *ret);

/* Takes exactly two digits with a value within [min, max]. */
int scan_two(struct scan *scan, const char *what, int min, int max, int *ret);

/* Takes digits and, if there are any, '.' and decimals (nine at most). */
int scan_number(struct scan *scan, struct scan_number *ret);

/* Takes a duration as in duration_parse() up to the first thing that can't be part of it. */
int scan_duration(struct scan *scan, int64_t *ret_ms);

/* Takes spaces; nothing else may be left. */
int scan_end(struct scan *scan);
