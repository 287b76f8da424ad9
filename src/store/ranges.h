/* SPDX-License-Identifier: MIT */
/* What values the columns of a file can have: it tells rows of one table from those of another. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct range {
    const char *table; /* NULL: of any */
    const char *column;
    int64_t least, most;
    enum {
        RANGE_PLAIN,
        RANGE_OR_ZERO,
        RANGE_KEY, /* of the time within closed.key */
    } kind;
};

/* The range of the integers of a column; NULL: any may stand there. */
const struct range *range_find(const char *table, const char *column);

bool range_has(const struct range *range, int64_t value);

/* Whether it has so few values that another table's column has them all by chance only. */
static inline bool range_is_narrow(const struct range *range)
{
    return range && (uint64_t)range->most - (uint64_t)range->least < 16;
}
