/* SPDX-License-Identifier: MIT */
#include "connhist/render/counter_chart.h"

#include <inttypes.h>

#include "chart_frame.h"
#include "connhist/base/timetext.h"
#include "number.h"

#define LINE_SGR "36"

static bool is_recorded(const struct counter_chart *chart, const struct grown *step)
{
    return chart->gauge ? step->has_last : step->covered_ms > 0;
}

static int64_t value_of(const struct counter_chart *chart, const struct grown *step)
{
    return chart->gauge ? step->high : step->grew - step->gap_grew;
}

/* What the line comes to. */
struct summary {
    const struct grown *highest; /* the first of the highest; NULL: nothing was read */
    const struct grown *last;    /* the last that was read */
    int64_t max;
    double sum;
    double covered_ms;
    int64_t gap_grew;
    bool at_least; /* it began again from 0 */
};

static struct summary sum_up(const struct counter_chart *chart)
{
    struct summary summary = {0};

    for (size_t i = 0; i < chart->steps->n; i++) {
        const struct grown *step = &chart->steps->items[i];
        int64_t value = value_of(chart, step);

        summary.at_least |= (step->turns & 1U << COUNTER_RESET) != 0;
        if (__builtin_add_overflow(summary.gap_grew, step->gap_grew, &summary.gap_grew))
            summary.gap_grew = INT64_MAX;
        if (!is_recorded(chart, step))
            continue;
        summary.covered_ms += (double)step->covered_ms;
        summary.sum += (double)value;
        summary.last = step;
        if (!summary.highest || value > summary.max) {
            summary.highest = step;
            summary.max = value;
        }
    }
    return summary;
}

static const char *column_mark(const struct chart_frame *frame, const struct counter_chart *chart,
                               size_t first, int64_t max)
{
    int64_t highest = 0;
    bool recorded = false;

    for (size_t i = first; i < chart->steps->n && i - first < frame->group; i++) {
        const struct grown *step = &chart->steps->items[i];

        if (!is_recorded(chart, step))
            continue;
        recorded = true;
        if (value_of(chart, step) > highest)
            highest = value_of(chart, step);
    }
    return chart_mark(frame, recorded, highest > 0, (double)highest, (double)max);
}

/* What is less than one a second is told by the minute or the hour. */
static void print_pace(struct layout *layout, const struct summary *summary)
{
    double per_second = summary->sum * 1000 / summary->covered_ms;
    char number[NUMBER_TEXT_MAX];

    if (summary->sum <= 0)
        return;
    if (per_second >= 1)
        layout_print(layout, ", ", "%s a second", number_format_rate(per_second, number));
    else if (per_second * 60 >= 1)
        layout_print(layout, ", ", "%s a minute", number_format_rate(per_second * 60, number));
    else
        layout_print(layout, ", ", "%s an hour", number_format_rate(per_second * 3600, number));
}

static int64_t begin_of(const struct counter_chart *chart, const struct grown *step)
{
    return chart->steps->since_ms + (step - chart->steps->items) * chart->steps->step_ms;
}

static void print_highest(struct chart_frame *frame, const struct counter_chart *chart,
                          const struct summary *summary)
{
    char time[TIME_TEXT_MAX], step[TIME_TEXT_MAX];

    layout_print(&frame->layout, "  ", "max %" PRId64, summary->max);
    if (summary->max > 0)
        layout_print(
            &frame->layout, " ", "in the %s from %s", duration_format(chart->steps->step_ms, step),
            time_format(begin_of(chart, summary->highest), frame->options->utc, false, time));
}

static void print_facts(struct chart_frame *frame, const struct counter_chart *chart)
{
    const struct summary summary = sum_up(chart);
    const char *at_least = summary.at_least ? "at least " : "";
    struct layout *layout = &frame->layout;

    if (summary.highest)
        print_highest(frame, chart, &summary);
    else
        layout_word(layout, "  ", "not recorded");
    if (summary.last && chart->gauge)
        layout_print(layout, ", ", "last %" PRId64, summary.last->last);
    if (summary.highest && !chart->gauge) {
        layout_print(layout, ", ", "%s%.0f in all", at_least, summary.sum);
        print_pace(layout, &summary);
    }
    if (summary.gap_grew > 0)
        layout_print(layout, ", ", "%s%" PRId64 " more over gaps", at_least, summary.gap_grew);
    layout_newline(layout);
}

void counter_chart_print(const struct counter_chart *chart, const struct chart_options *options)
{
    const struct summary summary = sum_up(chart);
    struct chart_frame frame;

    chart_frame_init(&frame, options, chart->steps->n);
    chart_heading(&frame, chart->title);
    chart_line_begin(&frame, LINE_SGR);
    for (size_t i = 0; i < chart->steps->n; i += frame.group)
        fputs(column_mark(&frame, chart, i, summary.max), frame.layout.out);
    chart_line_end(&frame);
    print_facts(&frame, chart);
    chart_axis(&frame, chart->steps->since_ms, chart->steps->until_ms);
    chart_legend(&frame, chart->steps->step_ms, true,
                 chart->steps->tier > TIER_MINUTES ? chart->steps->tier : TIER_TICKS);
    chart_foot(&frame, 0, chart->coverage);
}
