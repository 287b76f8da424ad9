/* SPDX-License-Identifier: MIT */
#include "connhist/model/coverage.h"

bool coverage_is_gap(int64_t interval_ms, int64_t distance_ms)
{
    return distance_ms > interval_ms + interval_ms / 2;
}

void coverage_finish(struct coverage *coverage)
{
    vec_finish(&coverage->gaps);
}
