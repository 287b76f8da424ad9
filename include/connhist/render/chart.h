/* SPDX-License-Identifier: MIT */
/* A trend as lines of blocks, for people. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "connhist/report/trend.h"

struct chart_options {
    FILE *out;
    bool utc;
    bool color;
    bool ascii;     /* the terminal can't show block characters */
    int64_t now_ms; /* wall time; behind trend.stale_ms the chart speaks of the past */
    unsigned by;    /* enum trend_by: which owners and namespaces the series have */
    int width;      /* columns; at least 40 are used; 0: 80 */
    /* The name of a port or NULL, e.g. names_of_port(); valid until the next call. NULL: numbers
     * alone. */
    const char *(*name_of_port)(void *arg, unsigned protocol, uint16_t port);
    void *name_arg; /* handed to it; not owned */
};

/* For each series: what it is, a line with a block for each bucket, its maximum and when that was,
 * its value now (or last, and when), whether it is (or was) growing and how fast; beneath all a
 * time axis, a legend and the coverage in words. A block is as high as the bucket's maximum in the
 * scale of its own series; none at all and not recorded have marks of their own. Buckets that don't
 * fit are drawn by groups, each by its maximum. No line is wider than `width`. Whether it could be
 * written: ferror(out). */
void chart_print(const struct trend *trend, const struct chart_options *options);
