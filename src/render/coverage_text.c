/* SPDX-License-Identifier: MIT */
#include "coverage_text.h"

#include <inttypes.h>

#include "connhist/base/timetext.h"

#define INDENT 2

static void print_losses(struct layout *layout, const struct coverage *coverage)
{
    if (coverage->interrupted > 0)
        layout_print(layout, ", ", "%" PRId64 " interrupted", coverage->interrupted);
    if (coverage->missed > 0)
        layout_print(layout, ", ", "%" PRId64 " missed", coverage->missed);
    if (coverage->events_lost > 0)
        layout_print(layout, ", ", "%" PRId64 " event%s lost", coverage->events_lost,
                     coverage->events_lost == 1 ? "" : "s");
    if (coverage->unkept > 0)
        layout_print(layout, ", ", "%" PRId64 " socket%s without detail", coverage->unkept,
                     coverage->unkept == 1 ? "" : "s");
}

static void print_gap(struct layout *layout, const struct gap *gap, bool utc)
{
    char from[TIME_TEXT_MAX], until[TIME_TEXT_MAX], duration[TIME_TEXT_MAX];

    bool with_ms = gap->until_ms - gap->from_ms < 1000; /* else both could look the same */

    layout_word(layout, "  ", "not recorded:");
    layout_word(layout, " ", time_format(gap->from_ms, utc, with_ms, from));
    layout_word(layout, " ", "-");
    layout_word(layout, " ", time_format(gap->until_ms, utc, with_ms, until));
    layout_print(layout, " ", "(%s)", duration_format(gap->until_ms - gap->from_ms, duration));
    if (gap->reason[0])
        layout_text(layout, ": ", gap->reason);
    layout_newline(layout);
}

void coverage_layout(struct layout *layout, const struct coverage *coverage, bool utc,
                     size_t max_gaps)
{
    size_t shown = coverage->gaps.n < max_gaps ? coverage->gaps.n : max_gaps;
    size_t more = coverage->gaps.n - shown;

    layout->indent = INDENT;
    layout_word(layout, "", "coverage:");
    if (coverage->planned == 0)
        layout_text(layout, " ", "nothing was recorded in this span");
    else
        layout_print(layout, " ", "%" PRId64 " of %" PRId64 " snapshot%s", coverage->done,
                     coverage->planned, coverage->planned == 1 ? "" : "s");
    print_losses(layout, coverage);
    if (more > 0 && shown == 0)
        layout_print(layout, ", ", "%zu gap%s", more, more == 1 ? "" : "s");
    layout_newline(layout);
    layout->indent = 2 * INDENT;
    for (size_t i = 0; i < shown; i++)
        print_gap(layout, &coverage->gaps.items[i], utc);
    if (more > 0 && shown > 0) {
        layout_print(layout, "  ", "... and %zu more", more);
        layout_newline(layout);
    }
}

void coverage_print(FILE *out, const struct coverage *coverage, bool utc, size_t max_gaps)
{
    struct layout layout = {.out = out};

    coverage_layout(&layout, coverage, utc, max_gaps);
}
