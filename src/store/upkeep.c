/* SPDX-License-Identifier: MIT */
#include "connhist/store/upkeep.h"

#include "rollup.h"
#include "writer.h"

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

void store_set_retention(struct store *store, const struct store_retention *retention)
{
    store->retention = *retention;
}

int store_upkeep(struct store *store, int64_t now_ms, struct err *err)
{
    (void)now_ms; /* a period is over when a snapshot behind it is written */
    if (!store->db)
        return 0;
    return rollup_step(store, err);
}
