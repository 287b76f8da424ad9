/* SPDX-License-Identifier: MIT */
#include "snapshot_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"

#define MS_PER_SEC 1000

const char *snapshot_distance(const struct context *ctx, int64_t distance_ms, int64_t at_ms,
                              char buf[static DISTANCE_MAX])
{
    char distance[TIME_TEXT_MAX], at[TIME_TEXT_MAX];

    snprintf(buf, DISTANCE_MAX, "%s %s %s", duration_format(llabs(distance_ms), distance),
             distance_ms < 0 ? "after" : "before",
             time_format(at_ms, ctx->utc, at_ms % MS_PER_SEC != 0, at));
    return buf;
}

int64_t snapshot_covered_until(const struct snapshot_choice *choice)
{
    return choice->in_gap && choice->resumes_ms > choice->record_ms ? choice->resumes_ms
                                                                    : choice->record_ms + 1;
}

void snapshot_complain(const struct context *ctx, const struct snapshot_choice *choice)
{
    char distance[TIME_TEXT_MAX], shown[TIME_TEXT_MAX];

    duration_format(llabs(choice->distance_ms), distance);
    time_format(choice->snapshot_ms, ctx->utc, false, shown);
    if (choice->in_gap)
        complain("nothing was recorded at that time: shown is the last snapshot before, of %s, "
                 "%s %s",
                 shown, distance, choice->distance_ms < 0 ? "later by the clock" : "earlier");
    if (choice->earlier)
        complain("the clock was set back after that time: shown is what was before");
    if (choice->ambiguous)
        complain("the clock was set back, so that this time was twice: the later one is shown");
    if (choice->unkept)
        complain(
            "%lld half-open connections of that snapshot are not shown: beyond a bound they are "
            "counted (see connhist report), not kept",
            (long long)choice->unkept);
    if (strcmp(choice->detail, "off") == 0)
        complain("only listening sockets are shown: the record was kept with `detail: off`");
    else if (strcmp(choice->detail, "anonymous") == 0)
        complain("remote addresses are cut: the record was kept with `detail: anonymous`");
}
