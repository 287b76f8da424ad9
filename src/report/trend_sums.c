/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "trend_rows.h"

/* Of so many periods a step has its bounds. */
#define SUMS_PERIODS 60

enum tier trend_sums_tier(int64_t step_ms)
{
    enum tier tier = TIER_TICKS;

    while (tier < TIER_DAYS && tier_length_ms(tier + 1) <= step_ms / SUMS_PERIODS)
        tier++;
    return tier;
}

static int compare_keys(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct series_key));
}

int trend_adds_up(const struct lookup *lookup, struct labels *labels,
                  const struct trend_question *question, bool *ret)
{
    _cleanup_free_ struct series_key *keys = calloc(lookup->services.n + 1, sizeof(*keys));
    uint16_t states = question->filter.states;
    bool one_state = states && !(states & (states - 1));
    unsigned by = question->by;
    size_t n = 0;

    if (!keys)
        return -ENOMEM;
    *ret = !(by & TREND_BY_STATE) && !one_state;
    for (size_t i = 0; !*ret && i < lookup->services.n; i++) {
        const struct known_service *service = &lookup->services.items[i];

        if (!service->chosen)
            continue;
        keys[n] = series_key_make(by, &service->key, 0);
        if (labels_of_service(labels, by, service, &keys[n++].labels) < 0)
            return -ENOMEM;
    }
    if (n > 1)
        qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 1; !*ret && i < n; i++)
        *ret = compare_keys(&keys[i - 1], &keys[i]) == 0;
    return 0;
}
