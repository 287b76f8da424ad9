/* SPDX-License-Identifier: MIT */
#include "number.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A locale may have another decimal point, of several bytes; everything else is ASCII. */
static void force_point(char *text)
{
    char *to = text;

    for (const char *from = text; *from;) {
        size_t known = strspn(from, "0123456789+-e"), other;

        memmove(to, from, known);
        to += known;
        from += known;
        other = strcspn(from, "0123456789+-e");
        if (other > 0)
            *to++ = '.';
        from += other;
    }
    *to = '\0';
}

const char *number_format(double value, char buf[static NUMBER_TEXT_MAX])
{
    int saved = errno; /* a writer's caller wants to know why the output failed, not strtod() */

    assert(isfinite(value));
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, NUMBER_TEXT_MAX, "%.*g", digits, value);
        if (strtod(buf, NULL) == value)
            break;
    }
    errno = saved;
    force_point(buf);
    return buf;
}

const char *number_format_short(double value, char buf[static NUMBER_TEXT_MAX])
{
    assert(isfinite(value));
    /* beyond that the digits after the point are noise, and the text would not fit */
    snprintf(buf, NUMBER_TEXT_MAX, fabs(value) < 1e15 ? "%.2f" : "%g", value);
    force_point(buf);
    return buf;
}

const char *number_format_rate(double value, char buf[static NUMBER_TEXT_MAX])
{
    assert(isfinite(value) && value >= 0);
    snprintf(buf, NUMBER_TEXT_MAX, value < 9.95 ? "%.1f" : value < 1e12 ? "%.0f" : "%.1e", value);
    force_point(buf);
    return buf;
}
