/* SPDX-License-Identifier: MIT */
#include "connhist/model/coverage.h"

#include <string.h>

#define DETAILS 3

static const char *const detail_names[DETAILS] = {"on", "anonymous", "off"};

unsigned coverage_detail_parse(const char *text)
{
    for (unsigned i = 0; i < DETAILS; i++)
        if (strcmp(text, detail_names[i]) == 0)
            return 1U << i;
    return 0;
}

const char *coverage_detail_name(unsigned detail)
{
    for (unsigned i = 0; i < DETAILS; i++)
        if (detail == 1U << i)
            return detail_names[i];
    return "?";
}

bool coverage_is_gap(int64_t interval_ms, int64_t distance_ms)
{
    return distance_ms > interval_ms + interval_ms / 2;
}

/* The kernel tells of a closing a little late: so much before a gap what was lost belongs to it. */
#define TOLD_LATE_MS 100

bool coverage_in_gap(const struct coverage *coverage, const struct gap *span)
{
    for (size_t i = 0; i < coverage->gaps.n; i++)
        if (coverage->gaps.items[i].record_from_ms <= span->record_from_ms + TOLD_LATE_MS &&
            coverage->gaps.items[i].record_until_ms >= span->record_until_ms)
            return true;
    return false;
}

int64_t coverage_events_apart(const struct coverage *coverage)
{
    int64_t n = coverage->events_lost;

    for (size_t i = 0; i < coverage->deaf.n; i++)
        n -= coverage_in_gap(coverage, &coverage->deaf.items[i]);
    return n;
}

void coverage_finish(struct coverage *coverage)
{
    vec_finish(&coverage->gaps);
    vec_finish(&coverage->deaf);
    vec_finish(&coverage->pruned);
}
