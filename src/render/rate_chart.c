/* SPDX-License-Identifier: MIT */
#include "connhist/render/rate_chart.h"

#include <inttypes.h>

#include "chart_frame.h"
#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "number.h"

#define VALUE_TEXT_MAX TIME_TEXT_MAX

/* What a line shows of a point. */
enum shown {
    SHOWN_OPENED,
    SHOWN_CLOSED,
    SHOWN_BY, /* and enum closed_by */
    SHOWN_SENT = SHOWN_BY + CLOSED_BY_TIMEOUT + 1,
    SHOWN_RECEIVED,
    SHOWN_P50,
    SHOWN_P99,
};

struct line {
    enum rate_measure measure; /* it belongs to */
    enum shown shown;
    const char *name;
    const char *sgr; /* its colour */
};

static const struct line lines[] = {
    {RATE_OPENED, SHOWN_OPENED, "opened", "32"},
    {RATE_CLOSED, SHOWN_CLOSED, "closed", "34"},
    {RATE_CLOSED, SHOWN_BY + CLOSED_BY_LOCAL, "closed, local", "33"},
    {RATE_CLOSED, SHOWN_BY + CLOSED_BY_REMOTE, "closed, remote", "36"},
    {RATE_CLOSED, SHOWN_BY + CLOSED_BY_RESET, "closed, reset", "31"},
    {RATE_CLOSED, SHOWN_BY + CLOSED_BY_TIMEOUT, "closed, timeout", "35"},
    {RATE_CLOSED, SHOWN_BY + CLOSED_BY_UNKNOWN, "closed, unknown", "34"},
    {RATE_BYTES, SHOWN_SENT, "sent", "32"},
    {RATE_BYTES, SHOWN_RECEIVED, "received", "36"},
    {RATE_DURATION, SHOWN_P50, "p50", "32"},
    {RATE_DURATION, SHOWN_P99, "p99", "33"},
    {RATE_RTT, SHOWN_P50, "p50", "32"},
    {RATE_RTT, SHOWN_P99, "p99", "33"},
};

static uint64_t value_of(const struct rate_point *point, enum shown shown)
{
    switch (shown) {
    case SHOWN_OPENED:
        return point->opened;
    case SHOWN_CLOSED:
        return rate_closed(point);
    case SHOWN_SENT:
        return point->sent_bytes;
    case SHOWN_RECEIVED:
        return point->received_bytes;
    case SHOWN_P50:
        return point->n ? (uint64_t)point->p50 : 0;
    case SHOWN_P99:
        return point->n ? (uint64_t)point->p99 : 0;
    default:
        return point->closed[shown - SHOWN_BY];
    }
}

static bool is_percentile(const struct line *line)
{
    return line->shown == SHOWN_P50 || line->shown == SHOWN_P99;
}

/* Whether there was anything: a time may be 0 and yet be one. */
static bool has_any(const struct line *line, const struct rate_point *point)
{
    return is_percentile(line) ? point->n > 0 : value_of(point, line->shown) > 0;
}

/* What a line comes to. */
struct summary {
    const struct rate_point *highest; /* the first of the highest; NULL: nothing was recorded */
    const struct rate_point *last;    /* the last with anything; NULL: none has */
    double sum;                       /* of the values, or of how many there are */
    double covered_ms;
    uint64_t max;
    bool at_least; /* something may lack */
};

static struct summary sum_up(const struct line *line, const struct rate_series *series)
{
    struct summary summary = {0};

    for (size_t i = 0; i < series->points.n; i++) {
        const struct rate_point *point = &series->points.items[i];
        uint64_t value = value_of(point, line->shown);

        summary.at_least = summary.at_least || point->at_least;
        if (!point->recorded)
            continue;
        summary.covered_ms += (double)point->covered_ms;
        summary.sum += (double)(is_percentile(line) ? point->n : value);
        if (has_any(line, point))
            summary.last = point;
        if (!summary.highest || value > summary.max) {
            summary.highest = point;
            summary.max = value;
        }
    }
    return summary;
}

/* A time of `us` microseconds with two digits. */
static void format_time(double us, char buf[static VALUE_TEXT_MAX])
{
    char number[NUMBER_TEXT_MAX];

    if (us < 1000)
        snprintf(buf, VALUE_TEXT_MAX, "%.0fus", us);
    else if (us < 1e6)
        snprintf(buf, VALUE_TEXT_MAX, "%sms", number_format_rate(us / 1000, number));
    else if (us < 60e6)
        snprintf(buf, VALUE_TEXT_MAX, "%ss", number_format_rate(us / 1e6, number));
    else
        duration_format((int64_t)(us / 1000), buf);
}

static const char *format_value(enum rate_measure measure, double value,
                                char buf[static VALUE_TEXT_MAX])
{
    switch (measure) {
    case RATE_BYTES:
        return size_format(value < 9e18 ? (int64_t)value : INT64_MAX, buf);
    case RATE_DURATION:
        if (value < 1000)
            snprintf(buf, VALUE_TEXT_MAX, "%.0fms", value);
        else
            format_time(value * 1000, buf);
        break;
    case RATE_RTT:
        format_time(value, buf);
        break;
    default:
        snprintf(buf, VALUE_TEXT_MAX, value < 1e15 ? "%.0f" : "%.3g", value);
    }
    return buf;
}

/* What is less than one a second is told by the minute or the hour. */
static void print_pace(struct layout *layout, enum rate_measure measure,
                       const struct summary *summary)
{
    double per_second = summary->sum * 1000 / summary->covered_ms;
    char text[VALUE_TEXT_MAX], number[NUMBER_TEXT_MAX];

    if (summary->sum <= 0 || summary->covered_ms < RATE_LEAST_MS)
        return;
    if (measure == RATE_BYTES && per_second >= 1)
        layout_print(layout, ", ", "%s a second", format_value(measure, per_second, text));
    else if (measure == RATE_BYTES)
        return;
    else if (per_second >= 1)
        layout_print(layout, ", ", "%s a second", number_format_rate(per_second, number));
    else if (per_second * 60 >= 1)
        layout_print(layout, ", ", "%s a minute", number_format_rate(per_second * 60, number));
    else
        layout_print(layout, ", ", "%s an hour", number_format_rate(per_second * 3600, number));
}

static void print_facts(struct chart_frame *frame, const struct line *line,
                        const struct summary *summary, int64_t step_ms)
{
    const char *at_least = summary->at_least ? "at least " : "";
    struct layout *layout = &frame->layout;
    char value[VALUE_TEXT_MAX], time[TIME_TEXT_MAX];

    layout_print(layout, "  ", "%s:", line->name);
    if (!summary->highest) {
        layout_word(layout, " ", "not recorded");
        layout_newline(layout);
        return;
    }
    layout_print(layout, " ", "max %s", format_value(line->measure, (double)summary->max, value));
    if (summary->max > 0)
        layout_print(layout, " ", "in the %s from %s", duration_format(step_ms, value),
                     time_format(summary->highest->at_ms, frame->options->utc, false, time));
    if (is_percentile(line)) {
        if (summary->last)
            layout_print(
                layout, ", ", "last %s",
                format_value(line->measure, (double)value_of(summary->last, line->shown), value));
        layout_print(layout, ", ", "of %s%s", at_least,
                     format_value(RATE_CLOSED, summary->sum, value));
    } else {
        layout_print(layout, ", ", "%s%s in all", at_least,
                     format_value(line->measure, summary->sum, value));
        print_pace(layout, line->measure, summary);
    }
    layout_newline(layout);
}

/* The highest point of those that are drawn as one column. */
static const char *column_mark(const struct chart_frame *frame, const struct line *line,
                               const struct rate_series *series, size_t first, uint64_t max)
{
    bool recorded = false, any = false;
    uint64_t highest = 0;

    for (size_t i = first; i < series->points.n && i - first < frame->group; i++) {
        const struct rate_point *point = &series->points.items[i];
        uint64_t value = value_of(point, line->shown);

        if (!point->recorded)
            continue;
        recorded = true;
        any = any || has_any(line, point);
        if (value > highest)
            highest = value;
    }
    return chart_mark(frame, recorded, any, (double)highest, (double)max);
}

static void print_line(struct chart_frame *frame, const struct line *line,
                       const struct rate_series *series, int64_t step_ms)
{
    struct summary summary = sum_up(line, series);

    chart_line_begin(frame, line->sgr);
    for (size_t i = 0; i < series->points.n; i += frame->group)
        fputs(column_mark(frame, line, series, i, summary.max), frame->layout.out);
    chart_line_end(frame);
    print_facts(frame, line, &summary, step_ms);
}

/* In how many ways sockets ended. */
static size_t count_ways(const struct rate_series *series)
{
    size_t n = 0;

    for (int by = CLOSED_BY_UNKNOWN; by <= CLOSED_BY_TIMEOUT; by++) {
        bool seen = false;

        for (size_t i = 0; i < series->points.n && !seen; i++)
            seen = series->points.items[i].recorded && series->points.items[i].closed[by] > 0;
        n += seen;
    }
    return n;
}

/* A way in which nothing ended needs no line, nor all ends where there is but one way. */
static bool is_wanted(const struct line *line, const struct rate_series *series)
{
    if (line->measure != RATE_CLOSED)
        return true;
    if (line->shown == SHOWN_CLOSED)
        return count_ways(series) != 1;
    return sum_up(line, series).max > 0;
}

static void print_series(struct chart_frame *frame, enum rate_measure measure,
                         const struct rate_series *series, int64_t step_ms)
{
    const struct trend_series title = {
        .protocol = series->protocol, .role = series->role, .port = series->port};

    chart_title(frame, &title);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (lines[i].measure == measure && is_wanted(&lines[i], series))
            print_line(frame, &lines[i], series, step_ms);
}

void rate_chart_print(const struct rates *rates, enum rate_measure measure,
                      const struct chart_options *options)
{
    struct chart_frame frame;
    size_t n_buckets = 0;

    for (size_t i = 0; i < rates->series.n; i++)
        if (rates->series.items[i].points.n > n_buckets)
            n_buckets = rates->series.items[i].points.n;
    chart_frame_init(&frame, options, n_buckets);
    for (size_t i = 0; i < rates->series.n; i++)
        print_series(&frame, measure, &rates->series.items[i], rates->step_ms);
    if (rates->series.n > 0) {
        chart_axis(&frame, rates->since_ms, rates->until_ms);
        chart_legend(&frame, rates->step_ms, true,
                     rates->tier > TIER_MINUTES ? rates->tier : TIER_TICKS);
    }
    chart_foot(&frame, rates->series_hidden, &rates->coverage);
}
