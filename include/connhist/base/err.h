/* SPDX-License-Identifier: MIT */
/* An error with words: for failures that an errno alone can't explain. */
#pragma once

#include <stdarg.h>

#define ERR_TEXT_MAX 512

struct err {
    int code;                /* negative errno; 0: no error */
    char text[ERR_TEXT_MAX]; /* one line without newline: what, where, what would be right */
};

/* Sets code and formatted text (cut to fit) and returns code, so that
 * `return err_set(err, -EINVAL, "...")` works. err may be NULL. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, int code, const char *format,
                                                  ...);

__attribute__((format(printf, 3, 0))) int err_vset(struct err *err, int code, const char *format,
                                                   va_list args);

/* Like err_set(), and appends ": " and the system's text for -code. */
__attribute__((format(printf, 3, 4))) int err_errno(struct err *err, int code, const char *format,
                                                    ...);

/* Puts formatted words and ": " before the text that err has already; returns err->code.
 * Without err returns code. */
__attribute__((format(printf, 3, 4))) int err_prefix(struct err *err, int code, const char *format,
                                                     ...);
