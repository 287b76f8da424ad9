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

void coverage_finish(struct coverage *coverage)
{
    vec_finish(&coverage->gaps);
    vec_finish(&coverage->deaf);
}
