/* SPDX-License-Identifier: MIT */
#include "chart_frame.h"

#include <string.h>

#include "chart_label.h"
#include "connhist/base/timetext.h"
#include "coverage_text.h"

#define WIDTH_LEAST   40
#define WIDTH_DEFAULT 80
#define INDENT        2
#define MAX_GAPS      5
#define LEVELS        7 /* marks for one and more; none has its own */

/* The marks of a line, from none to the maximum, and of what was not recorded. */
struct marks {
    const char *level[LEVELS + 1]; /* [0]: none */
    const char *gap;
};

static const struct marks block_marks = {
    .level = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
    .gap = "·",
};

static const struct marks ascii_marks = {
    .level = {"_", ".", ":", "-", "=", "+", "*", "#"},
    .gap = "?",
};

static int width_of(const struct chart_options *options)
{
    if (options->width <= 0)
        return WIDTH_DEFAULT;
    return options->width < WIDTH_LEAST ? WIDTH_LEAST : options->width;
}

void chart_frame_init(struct chart_frame *frame, const struct chart_options *options,
                      size_t n_buckets)
{
    size_t columns = (size_t)width_of(options) - INDENT;

    *frame = (struct chart_frame){
        .options = options,
        .marks = options->ascii ? &ascii_marks : &block_marks,
        .layout = {.out = options->out,
                   .width = width_of(options),
                   .indent = INDENT,
                   .ascii = options->ascii},
        .n_buckets = n_buckets,
        .group = n_buckets > columns ? (n_buckets + columns - 1) / columns : 1,
    };
}

static void begin_color(const struct chart_frame *frame, const char *sgr)
{
    if (frame->options->color)
        fprintf(frame->layout.out, "\033[%sm", sgr);
}

static void end_color(const struct chart_frame *frame)
{
    if (frame->options->color)
        fputs("\033[0m", frame->layout.out);
}

const char *chart_mark(const struct chart_frame *frame, bool recorded, bool any, double value,
                       double max)
{
    int level = 1;

    if (!recorded)
        return frame->marks->gap;
    if (!any)
        return frame->marks->level[0];
    while (level < LEVELS && value * LEVELS > max * level) /* the least that reaches the value */
        level++;
    return frame->marks->level[level];
}

void chart_heading(struct chart_frame *frame, const char *text)
{
    begin_color(frame, "1");
    layout_text(&frame->layout, "", text);
    end_color(frame);
    layout_newline(&frame->layout);
}

void chart_title(struct chart_frame *frame, const struct trend_series *series)
{
    begin_color(frame, "1");
    chart_label(&frame->layout, series, frame->options);
    end_color(frame);
    layout_newline(&frame->layout);
}

void chart_line_begin(struct chart_frame *frame, const char *sgr)
{
    fprintf(frame->layout.out, "%*s", INDENT, "");
    begin_color(frame, sgr);
}

void chart_line_end(struct chart_frame *frame)
{
    end_color(frame);
    putc('\n', frame->layout.out);
}

void chart_axis(struct chart_frame *frame, int64_t since_ms, int64_t until_ms)
{
    struct layout *layout = &frame->layout;
    char begin[TIME_TEXT_MAX], end[TIME_TEXT_MAX];
    size_t columns = (frame->n_buckets + frame->group - 1) / frame->group;
    size_t wanted;

    time_format(since_ms, frame->options->utc, false, begin);
    time_format(until_ms, frame->options->utc, false, end);
    wanted = strlen(begin) + strlen(end);
    if (wanted < columns) {
        fprintf(layout->out, "%*s%s%*s%s\n", INDENT, "", begin, (int)(columns - wanted), "", end);
        return;
    }
    layout_print(layout, "  ", "from %s", begin);
    layout_print(layout, " ", "to %s", end);
    layout_newline(layout);
}

void chart_legend(struct chart_frame *frame, int64_t step_ms, bool by_step, enum tier tier)
{
    static const char *const by[] = {
        [TIER_MINUTES] = "minute", [TIER_HOURS] = "hour", [TIER_DAYS] = "day"};
    const struct marks *marks = frame->marks;
    struct layout *layout = &frame->layout;
    char duration[TIME_TEXT_MAX];

    layout_print(layout, "  ", "one column: %s",
                 duration_format(step_ms * (int64_t)frame->group, duration));
    if (by_step && frame->group > 1)
        layout_print(layout, ", ", "its highest %s", duration_format(step_ms, duration));
    if (tier > TIER_TICKS)
        layout_print(layout, ", ", "from counts by %s", by[tier]);
    layout_print(layout, "; ", "%s none", marks->level[0]);
    layout_print(layout, ", ", "%s the row's max", marks->level[LEVELS]);
    layout_print(layout, ", ", "%s not recorded", marks->gap);
    layout_newline(layout);
}

void chart_foot(struct chart_frame *frame, size_t hidden, const struct coverage *coverage)
{
    if (hidden > 0) {
        layout_print(&frame->layout, "", "%zu more %s not shown", hidden,
                     hidden == 1 ? "line is" : "lines are");
        layout_newline(&frame->layout);
    }
    coverage_layout(&frame->layout, coverage, frame->options->utc, MAX_GAPS);
}
