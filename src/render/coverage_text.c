/* SPDX-License-Identifier: MIT */
#include "coverage_text.h"

#include <inttypes.h>

#include "connhist/base/timetext.h"

#define INDENT 2

static void print_losses(struct layout *layout, const struct coverage *coverage)
{
    int64_t events = coverage_events_apart(coverage);

    if (coverage->interrupted > 0)
        layout_print(layout, ", ", "%" PRId64 " interrupted", coverage->interrupted);
    if (coverage->missed > 0)
        layout_print(layout, ", ", "%" PRId64 " missed", coverage->missed);
    if (events > 0)
        layout_print(layout, ", ", "events lost %" PRId64 " time%s: short connections may lack",
                     events, events == 1 ? "" : "s");
    if (coverage->unkept > 0)
        layout_print(layout, ", ", "%" PRId64 " socket%s without detail", coverage->unkept,
                     coverage->unkept == 1 ? "" : "s");
}

static void print_gap(struct layout *layout, const char *what, const struct gap *gap, bool utc)
{
    char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX], duration[TIME_TEXT_MAX];

    bool with_ms = gap->until_ms - gap->from_ms < 1000; /* else both could look the same */

    layout_text(layout, "  ", what);
    layout_word(layout, " ", time_format(gap->from_ms, utc, with_ms, from));
    layout_word(layout, " ", "-");
    layout_word(layout, " ", time_format(gap->until_ms, utc, with_ms, until));
    layout_print(layout, " ", "(%s)", duration_format(gap->until_ms - gap->from_ms, duration));
    if (gap->reason[0])
        layout_text(layout, ": ", gap->reason);
    layout_newline(layout);
}

/* Those of the spans that are no part of `told`, up to max. */
static void print_gaps(struct layout *layout, const char *what, const struct gap_vec *gaps,
                       const struct coverage *told, bool utc, size_t max)
{
    size_t left = 0;

    for (size_t i = 0; i < gaps->n; i++) {
        if (told && coverage_in_gap(told, &gaps->items[i]))
            continue;
        if (left++ < max)
            print_gap(layout, gaps->items[i].pruned ? "removed:" : what, &gaps->items[i], utc);
    }
    if (left > max && max > 0) {
        layout_print(layout, "  ", "... and %zu more", left - max);
        layout_newline(layout);
    }
}

void coverage_layout(struct layout *layout, const struct coverage *coverage, bool utc,
                     size_t max_gaps)
{
    layout->indent = INDENT;
    layout_word(layout, "", "coverage:");
    if (coverage->planned == 0)
        layout_text(layout, " ", "nothing was recorded in this span");
    else
        layout_print(layout, " ", "%" PRId64 " of %" PRId64 " snapshot%s", coverage->done,
                     coverage->planned, coverage->planned == 1 ? "" : "s");
    print_losses(layout, coverage);
    if (coverage->gaps.n > 0 && max_gaps == 0)
        layout_print(layout, ", ", "%zu gap%s", coverage->gaps.n, coverage->gaps.n == 1 ? "" : "s");
    layout_newline(layout);
    layout->indent = 2 * INDENT;
    print_gaps(layout, "not recorded:", &coverage->gaps, NULL, utc, max_gaps);
    print_gaps(layout, "events of closed connections were lost:", &coverage->deaf, coverage, utc,
               max_gaps);
}

void coverage_print(FILE *out, const struct coverage *coverage, bool utc, size_t max_gaps,
                    int width)
{
    /* layout leaves a column for a separator that may follow */
    struct layout layout = {.out = out, .width = width > 0 ? width + 1 : 0};

    coverage_layout(&layout, coverage, utc, max_gaps);
}
