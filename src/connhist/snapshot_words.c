/* SPDX-License-Identifier: MIT */
#include "snapshot_words.h"

#include <stdlib.h>
#include <string.h>

#include "connhist/base/timetext.h"

#include "complain.h"

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
