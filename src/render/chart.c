/* SPDX-License-Identifier: MIT */
#include "connhist/render/chart.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "chart_label.h"
#include "connhist/base/timetext.h"
#include "connhist/model/state.h"
#include "coverage_text.h"
#include "layout.h"
#include "number.h"

#define WIDTH_LEAST   40
#define WIDTH_DEFAULT 80
#define INDENT        2
#define MAX_GAPS      5
#define LEVELS        7     /* marks for one and more; none has its own */
#define FAST_PER_HOUR 600.0 /* from here on a rate is told by the minute */

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

struct chart {
    const struct trend *trend;
    const struct chart_options *options;
    const struct marks *marks;
    struct layout layout;
    size_t n_buckets; /* of the longest series */
    size_t group;     /* buckets drawn as one column; at least 1 */
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

static void begin_color(const struct chart *chart, const char *sgr)
{
    if (chart->options->color)
        fprintf(chart->options->out, "\033[%sm", sgr);
}

static void end_color(const struct chart *chart)
{
    if (chart->options->color)
        fputs("\033[0m", chart->options->out);
}

static const char *mark_of(const struct chart *chart, int64_t value, int64_t max)
{
    int level = 1;

    if (value <= 0)
        return chart->marks->level[0];
    /* the least level that reaches the value; in doubles, as the products may not fit integers */
    while (level < LEVELS && (double)value * LEVELS > (double)max * level)
        level++;
    return chart->marks->level[level];
}

/* The column that stands for buckets [first, first + group): their maximum. */
static const char *column_mark(const struct chart *chart, const struct trend_series *series,
                               size_t first)
{
    bool recorded = false;
    int64_t max = 0;

    for (size_t i = first; i < series->points.n && i - first < chart->group; i++) {
        const struct trend_point *point = &series->points.items[i];

        if (!point->recorded)
            continue;
        recorded = true;
        if (point->max > max)
            max = point->max;
    }
    return recorded ? mark_of(chart, max, series->max) : chart->marks->gap;
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
    bool past = chart->options->now_ms > chart->trend->stale_ms;
    struct layout *layout = &chart->layout;
    char time[TIME_TEXT_MAX];

    if (!any_recorded(series)) {
        layout_word(layout, "  ", "not recorded");
        layout_newline(layout);
        return;
    }
    layout_print(layout, "  ", "max %" PRId64, series->max);
    if (series->max > 0)
        layout_print(layout, " ", "at %s",
                     time_format(series->max_at_ms, chart->options->utc, false, time));
    if (past)
        layout_print(layout, ", ", "last %" PRId64 " at %s", series->now,
                     time_format(chart->trend->last_ms, chart->options->utc, false, time));
    else
        layout_print(layout, ", ", "now %" PRId64, series->now);
    print_direction(layout, series, past ? "was " : "");
    layout_newline(layout);
}

static void print_series(struct chart *chart, const struct trend_series *series)
{
    FILE *out = chart->options->out;

    begin_color(chart, "1");
    chart_label(&chart->layout, series, chart->options);
    end_color(chart);
    layout_newline(&chart->layout);
    fprintf(out, "%*s", INDENT, "");
    begin_color(chart, state_sgr(series->state));
    for (size_t i = 0; i < series->points.n; i += chart->group)
        fputs(column_mark(chart, series, i), out);
    end_color(chart);
    putc('\n', out);
    print_facts(chart, series);
}

/* The times of both ends, at the ends where the lines are long enough. */
static void print_axis(struct chart *chart)
{
    struct layout *layout = &chart->layout;
    char begin[TIME_TEXT_MAX], end[TIME_TEXT_MAX];
    size_t columns = (chart->n_buckets + chart->group - 1) / chart->group;
    size_t wanted;

    time_format(chart->trend->since_ms, chart->options->utc, false, begin);
    time_format(chart->trend->until_ms, chart->options->utc, false, end);
    wanted = strlen(begin) + strlen(end);
    if (wanted < columns) {
        fprintf(layout->out, "%*s%s%*s%s\n", INDENT, "", begin, (int)(columns - wanted), "", end);
        return;
    }
    layout_print(layout, "  ", "from %s", begin);
    layout_print(layout, " ", "to %s", end);
    layout_newline(layout);
}

static void print_legend(struct chart *chart)
{
    const struct marks *marks = chart->marks;
    struct layout *layout = &chart->layout;
    char duration[TIME_TEXT_MAX];

    layout_print(layout, "  ", "one column: %s",
                 duration_format(chart->trend->step_ms * (int64_t)chart->group, duration));
    layout_print(layout, "; ", "%s none", marks->level[0]);
    layout_print(layout, ", ", "%s the row's max", marks->level[LEVELS]);
    layout_print(layout, ", ", "%s not recorded", marks->gap);
    layout_newline(layout);
}

static void print_foot(struct chart *chart)
{
    size_t hidden = chart->trend->series_hidden;

    if (chart->trend->series.n > 0) {
        print_axis(chart);
        print_legend(chart);
    }
    if (hidden > 0) {
        layout_print(&chart->layout, "", "%zu more %s not shown", hidden,
                     hidden == 1 ? "line is" : "lines are");
        layout_newline(&chart->layout);
    }
    coverage_layout(&chart->layout, &chart->trend->coverage, chart->options->utc, MAX_GAPS);
}

static int width_of(const struct chart_options *options)
{
    if (options->width <= 0)
        return WIDTH_DEFAULT;
    return options->width < WIDTH_LEAST ? WIDTH_LEAST : options->width;
}

void chart_print(const struct trend *trend, const struct chart_options *options)
{
    struct chart chart = {
        .trend = trend,
        .options = options,
        .marks = options->ascii ? &ascii_marks : &block_marks,
        .layout = {.out = options->out,
                   .width = width_of(options),
                   .indent = INDENT,
                   .ascii = options->ascii},
    };
    size_t columns = (size_t)chart.layout.width - INDENT;

    for (size_t i = 0; i < trend->series.n; i++)
        if (trend->series.items[i].points.n > chart.n_buckets)
            chart.n_buckets = trend->series.items[i].points.n;
    chart.group = chart.n_buckets > columns ? (chart.n_buckets + columns - 1) / columns : 1;
    for (size_t i = 0; i < trend->series.n; i++)
        print_series(&chart, &trend->series.items[i]);
    print_foot(&chart);
}
