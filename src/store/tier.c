/* SPDX-License-Identifier: MIT */
/* What readers need to know of tiers, too. */
#include "connhist/store/upkeep.h"

#define MINUTE_MS INT64_C(60000)

static const struct {
    const char *name;
    int64_t length_ms;
} tiers[TIER_COUNT] = {
    [TIER_DETAIL + 1] = {"detail", 0},
    [TIER_TICKS + 1] = {"ticks", 0},
    [TIER_MINUTES + 1] = {"minutes", MINUTE_MS},
    [TIER_HOURS + 1] = {"hours", 60 * MINUTE_MS},
    [TIER_DAYS + 1] = {"days", 24 * 60 * MINUTE_MS},
};

int64_t tier_length_ms(enum tier tier)
{
    return tiers[tier + 1].length_ms;
}

const char *tier_name(enum tier tier)
{
    return tiers[tier + 1].name;
}
