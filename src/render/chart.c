/* SPDX-License-Identifier: MIT */
#include "connhist/render/chart.h"

#include <inttypes.h>
#include <math.h>

#include "chart_frame.h"
#include "connhist/base/timetext.h"
#include "connhist/model/state.h"
#include "number.h"

#define FAST_PER_HOUR 600.0 /* from here on a rate is told by the minute */

struct chart {
    const struct trend *trend;
    struct chart_frame frame;
};

static const char *state_sgr(unsigned state)
{
    switch (state) {
    case STATE_ESTABLISHED:
        return "32";
    case STATE_LISTEN:
        return "36";
    case STATE_TIME_WAIT:
    case STATE_FIN_WAIT1:
    case STATE_FIN_WAIT2:
    case STATE_CLOSING:
    case STATE_LAST_ACK:
        return "33";
    case STATE_CLOSE_WAIT:
        return "31";
    case STATE_SYN_SENT:
    case STATE_SYN_RECV:
        return "35";
    default:
        return "34";
    }
}

/* The column that stands for buckets [first, first + group): their maximum. */
static const char *column_mark(const struct chart *chart, const struct trend_series *series,
                               size_t first)
{
    bool recorded = false;
    int64_t max = 0;

    for (size_t i = first; i < series->points.n && i - first < chart->frame.group; i++) {
        const struct trend_point *point = &series->points.items[i];

        if (!point->recorded)
            continue;
        recorded = true;
        if (point->max > max)
            max = point->max;
    }
    return chart_mark(&chart->frame, recorded, max > 0, (double)max, (double)series->max);
}

static bool any_recorded(const struct trend_series *series)
{
    for (size_t i = 0; i < series->points.n; i++)
        if (series->points.items[i].recorded)
            return true;
    return false;
}

static void print_rate(struct layout *layout, const char *was, const char *word, double per_hour)
{
    char number[NUMBER_TEXT_MAX];
    const char *unit = "an hour";
    double rate = fabs(per_hour);

    if (rate >= FAST_PER_HOUR) {
        rate /= 60;
        unit = "a minute";
    }
    if (!isfinite(rate) || rate < 0.1)
        layout_print(layout, ", ", "%s%s", was, word);
    else
        layout_print(layout, ", ", "%s%s by %s %s", was, word, number_format_rate(rate, number),
                     unit);
}

/* was: "was " of the past, else "". */
static void print_direction(struct layout *layout, const struct trend_series *series,
                            const char *was)
{
    switch (series->direction) {
    case TREND_STEADY:
        layout_print(layout, ", ", "%ssteady", was);
        break;
    case TREND_GROWING:
        print_rate(layout, was, "growing", series->per_hour);
        break;
    case TREND_SHRINKING:
        print_rate(layout, was, "shrinking", series->per_hour);
        break;
    case TREND_UNCLEAR:
        layout_word(layout, ", ", "trend unclear");
        break;
    }
}

static void print_facts(struct chart *chart, const struct trend_series *series)
{
    const struct chart_options *options = chart->frame.options;
    bool past = options->now_ms > chart->trend->stale_ms;
    struct layout *layout = &chart->frame.layout;
    char time[TIME_TEXT_MAX];

    if (!any_recorded(series)) {
        layout_word(layout, "  ", "not recorded");
        layout_newline(layout);
        return;
    }
    layout_print(layout, "  ", "max %" PRId64, series->max);
    if (series->max > 0)
        layout_print(layout, " ", "at %s",
                     time_format(series->max_at_ms, options->utc, false, time));
    if (past)
        layout_print(layout, ", ", "last %" PRId64 " at %s", series->now,
                     time_format(chart->trend->last_ms, options->utc, false, time));
    else
        layout_print(layout, ", ", "now %" PRId64, series->now);
    if (series->now != 0 || series->direction == TREND_STEADY) /* what is gone goes nowhere */
        print_direction(layout, series, past ? "was " : "");
    if (options->by & TREND_BY_LIVES && series->oldest_ms >= 0)
        layout_print(layout, ", ", "oldest %s", duration_format(series->oldest_ms, time));
    layout_newline(layout);
}

static void print_series(struct chart *chart, const struct trend_series *series)
{
    struct chart_frame *frame = &chart->frame;

    chart_title(frame, series);
    chart_line_begin(frame, state_sgr(series->state));
    for (size_t i = 0; i < series->points.n; i += frame->group)
        fputs(column_mark(chart, series, i), frame->layout.out);
    chart_line_end(frame);
    print_facts(chart, series);
}

void chart_print(const struct trend *trend, const struct chart_options *options)
{
    struct chart chart = {.trend = trend};
    size_t n_buckets = 0;

    for (size_t i = 0; i < trend->series.n; i++)
        if (trend->series.items[i].points.n > n_buckets)
            n_buckets = trend->series.items[i].points.n;
    chart_frame_init(&chart.frame, options, n_buckets);
    for (size_t i = 0; i < trend->series.n; i++)
        print_series(&chart, &trend->series.items[i]);
    if (trend->series.n > 0) {
        chart_axis(&chart.frame, trend->since_ms, trend->until_ms);
        chart_legend(&chart.frame, trend->step_ms, false, trend->tier);
    }
    chart_foot(&chart.frame, trend->series_hidden, &trend->coverage);
}
