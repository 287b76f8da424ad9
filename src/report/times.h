/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Index of the first of n ascending times that is not before an instant, from `low` on; n: none. */
static inline size_t times_index(const int64_t *times, size_t n, size_t low, int64_t at_ms)
{
    size_t high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (times[middle] < at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
