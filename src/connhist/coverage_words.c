/* SPDX-License-Identifier: MIT */
#include "coverage_words.h"

#include <stdio.h>

#include "connhist/base/timetext.h"
#include "connhist/store/upkeep.h"

#include "complain.h"

/* " (the longest of 2 gaps: 3m20s, recorder not running)", "" when there is no gap. */
static const char *gap_words(const struct coverage *coverage, char *buf, size_t size)
{
    const struct gap *longest = NULL;
    char text[TIME_TEXT_MAX];

    for (size_t i = 0; i < coverage->gaps.n; i++) {
        const struct gap *gap = &coverage->gaps.items[i];

        if (!longest || gap->until_ms - gap->from_ms > longest->until_ms - longest->from_ms)
            longest = gap;
    }
    buf[0] = '\0';
    if (!longest)
        return buf;
    duration_format(longest->until_ms - longest->from_ms, text);
    if (coverage->gaps.n == 1)
        snprintf(buf, size, " (one gap: %s, %s)", text, longest->reason);
    else
        snprintf(buf, size, " (the longest of %zu gaps: %s, %s)", coverage->gaps.n, text,
                 longest->reason);
    return buf;
}

void coverage_warn(const struct context *ctx, const struct coverage *coverage)
{
    int64_t lost = coverage_events_apart(coverage);
    char gaps[200], events[80] = "";

    if (!ctx->metrics && ctx->format != FORMAT_CSV && ctx->format != FORMAT_JSONL)
        return;
    if (coverage->done == coverage->planned && coverage->done > 0 && coverage->gaps.n == 0 &&
        lost == 0)
        return;
    if (lost > 0)
        snprintf(events, sizeof(events), ", events lost %lld time%s: short connections may lack",
                 (long long)lost, lost == 1 ? "" : "s");
    complain("the record of this time is not whole: %lld of %lld planned snapshots%s%s",
             (long long)coverage->done, (long long)coverage->planned,
             gap_words(coverage, gaps, sizeof(gaps)), events);
}

void coverage_tell_detail(const struct coverage *coverage, bool peers)
{
    bool all = coverage->details == COVERAGE_DETAIL_OFF;

    if (coverage->details & COVERAGE_DETAIL_OFF)
        complain("%s only listening sockets were kept, connections were counted but not recorded "
                 "one by one: `detail: off`",
                 all ? "in that time" : "in a part of that time");
    if (peers && coverage->details & COVERAGE_DETAIL_ANONYMOUS)
        complain("remote addresses are cut%s: `detail: anonymous`",
                 coverage->details == COVERAGE_DETAIL_ANONYMOUS ? "" : " in a part of that time");
}

void coverage_tell_pruned(const struct context *ctx, const struct coverage *coverage)
{
    char until[TIME_TEXT_MAX];

    for (size_t i = 0; i < coverage->gaps.n; i++)
        if (coverage->gaps.items[i].pruned)
            complain("%s: there is nothing in this answer from before %s",
                     coverage->gaps.items[i].reason,
                     time_format(coverage->gaps.items[i].until_ms, ctx->utc, false, until));
}

const char *coverage_time_heading(enum tier tier, enum tier finest)
{
    static const char *const by[] = {
        [TIER_MINUTES] = "TIME (BY MINUTE)",
        [TIER_HOURS] = "TIME (BY HOUR)",
        [TIER_DAYS] = "TIME (BY DAY)",
    };

    return tier > finest ? by[tier] : "TIME";
}

void coverage_tell_tier(const struct context *ctx, int64_t shortest_ms, int64_t since_ms,
                        int64_t until_ms, int64_t step_ms)
{
    char step[TIME_TEXT_MAX], since[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
    enum tier tier = TIER_MINUTES;

    while (tier < TIER_DAYS && tier_length_ms(tier) < shortest_ms)
        tier++;
    complain(
        "what was recorded at the begin of this time is kept by %s alone: the answer is from %s "
        "until %s, in steps of %s",
        tier == TIER_DAYS    ? "day"
        : tier == TIER_HOURS ? "hour"
                             : "minute",
        time_format(since_ms, ctx->utc, false, since),
        time_format(until_ms, ctx->utc, false, until), duration_format(step_ms, step));
}

void coverage_nothing(const struct context *ctx, const struct coverage *coverage, const char *what,
                      const char *hint, int64_t since_ms, int64_t until_ms)
{
    char since[TIME_TEXT_MAX], until[TIME_TEXT_MAX], gaps[200];

    time_format(since_ms, ctx->utc, false, since);
    time_format(until_ms, ctx->utc, false, until);
    if (coverage->done == 0)
        complain("nothing was recorded from %s until %s", since, until);
    else
        complain("no %s matches from %s until %s, in %lld of %lld planned snapshots%s%s%s", what,
                 since, until, (long long)coverage->done, (long long)coverage->planned,
                 gap_words(coverage, gaps, sizeof(gaps)), hint ? "; " : "", hint ? hint : "");
}
