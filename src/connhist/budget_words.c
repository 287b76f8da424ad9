/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"

#include "budget_words.h"

#define FULL_PERCENT 95 /* of the budget; some is reserved for the log */

const char *budget_part_words(const struct budget *budget, enum size_part part, bool utc,
                              char buf[static BUDGET_WORDS_MAX])
{
    char size[TIME_TEXT_MAX], at[TIME_TEXT_MAX];

    size_format(budget->bytes[part], size);
    if (budget->since_ms[part] == TIME_UNKNOWN)
        snprintf(buf, BUDGET_WORDS_MAX, "%s", size);
    else
        snprintf(buf, BUDGET_WORDS_MAX, "%s since %s", size,
                 time_format(budget->since_ms[part], utc, false, at));
    return buf;
}

int64_t budget_full_days(const struct budget *budget, int64_t used_bytes)
{
    if (budget->max_bytes <= 0 || budget->day_bytes <= 0)
        return -1;
    return used_bytes >= budget->max_bytes ? 0
                                           : (budget->max_bytes - used_bytes) / budget->day_bytes;
}

const char *budget_words(const struct budget *budget, int64_t used_bytes,
                         char buf[static BUDGET_WORDS_MAX])
{
    char most[TIME_TEXT_MAX], day[TIME_TEXT_MAX], grows[TIME_TEXT_MAX + 48] = "";
    int64_t days = budget_full_days(budget, used_bytes);

    if (budget->day_bytes >= 0)
        snprintf(grows, sizeof(grows), ", %s a day on average",
                 size_format(budget->day_bytes, day));
    if (budget->max_bytes <= 0)
        snprintf(buf, BUDGET_WORDS_MAX, "none noted%s", grows);
    else if (used_bytes >= budget->max_bytes / 100 * FULL_PERCENT)
        snprintf(buf, BUDGET_WORDS_MAX, "%s%s: full, the oldest goes",
                 size_format(budget->max_bytes, most), grows);
    else if (days >= 0)
        snprintf(buf, BUDGET_WORDS_MAX, "%s%s: at this rate full in %lld day%s",
                 size_format(budget->max_bytes, most), grows, (long long)days,
                 days == 1 ? "" : "s");
    else
        snprintf(buf, BUDGET_WORDS_MAX, "%s%s", size_format(budget->max_bytes, most), grows);
    return buf;
}
