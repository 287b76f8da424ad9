/* SPDX-License-Identifier: MIT */
/* A trend as lines of blocks, for people. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "connhist/report/trend.h"

struct names;

struct chart_options {
    FILE *out;
    bool utc;
    bool color;
    bool ascii;          /* the terminal can't show block characters */
    int width;           /* columns; at least 40 are used */
    struct names *names; /* names of ports; NULL: numbers alone */
};

/* For each series a line: what it is, a block for each bucket (a gap is drawn as a gap), its maximum and when that was, its
 * value now, whether it is growing and how fast; beneath all a time axis and the coverage in words. */
void chart_print(const struct trend *trend, const struct chart_options *options);
