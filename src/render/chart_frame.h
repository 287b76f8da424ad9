/* SPDX-License-Identifier: MIT */
/* What charts have in common: lines of blocks, a time axis, a legend, the coverage. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/model/coverage.h"
#include "connhist/render/chart.h"
#include "layout.h"

struct marks;

struct chart_frame {
    const struct chart_options *options; /* not owned */
    const struct marks *marks;
    struct layout layout;
    size_t n_buckets; /* of the longest series */
    size_t group;     /* buckets drawn as one column; at least 1 */
};

/* options must stay. */
void chart_frame_init(struct chart_frame *frame, const struct chart_options *options,
                      size_t n_buckets);

/* The mark of a column: not recorded, nothing at all, or a block as high as value beside max. */
const char *chart_mark(const struct chart_frame *frame, bool recorded, bool any, double value,
                       double max);

/* A line with a text, which may be continued. */
void chart_heading(struct chart_frame *frame, const char *text);

/* A line with what a series is. */
void chart_title(struct chart_frame *frame, const struct trend_series *series);

/* Around the marks of a line; sgr: its colour. */
void chart_line_begin(struct chart_frame *frame, const char *sgr);
void chart_line_end(struct chart_frame *frame);

/* The times of both ends, at the ends where the lines are long enough. */
void chart_axis(struct chart_frame *frame, int64_t since_ms, int64_t until_ms);

/* What a column and its marks mean; by_step: a column of several steps shows the highest of them,
 * which is not what came together in it. tier: the coarsest that was read from; TIER_TICKS: it needs no word. */
void chart_legend(struct chart_frame *frame, int64_t step_ms, bool by_step, enum tier tier);

/* How many lines are not shown, and the coverage. */
void chart_foot(struct chart_frame *frame, size_t hidden, const struct coverage *coverage);
