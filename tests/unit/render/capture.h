/* SPDX-License-Identifier: MIT */
/* What was written to a FILE, as a string. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h> /* needs the first four */

struct capture {
    FILE *out;   /* write here */
    char *text;  /* valid after capture_text(); freed by capture_finish() */
    size_t size; /* bytes of text */
};

static inline void capture_begin(struct capture *capture)
{
    *capture = (struct capture){0};
    capture->out = open_memstream(&capture->text, &capture->size);
    assert_non_null(capture->out);
}

static inline const char *capture_text(struct capture *capture)
{
    assert_int_equal(fflush(capture->out), 0);
    return capture->text;
}

static inline void capture_finish(struct capture *capture)
{
    fclose(capture->out);
    free(capture->text);
}
