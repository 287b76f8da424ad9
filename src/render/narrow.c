/* SPDX-License-Identifier: MIT */
#include "narrow.h"

static int least_of(const struct narrow_column *column)
{
    return column->least && column->least < column->natural ? column->least : column->natural;
}

static int tight_of(const struct narrow_column *column)
{
    int least = least_of(column);

    return column->least && column->tight && column->tight < least ? column->tight : least;
}

/* What the columns that are shown take, with the blanks between them. */
static int sum(const struct narrow_column *columns, size_t n, bool cut)
{
    int total = -1;

    for (size_t i = 0; i < n; i++)
        if (!columns[i].out)
            total += 1 + (cut ? least_of(&columns[i]) : columns[i].width);
    return total;
}

/* What says nothing goes first, then what was said to give way most; of equals the last. */
static struct narrow_column *next_out(struct narrow_column *columns, size_t n)
{
    struct narrow_column *found = NULL;
    unsigned most = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned rank = columns[i].gives + (columns[i].empty ? UINT8_MAX : 0U);

        if (columns[i].out || !columns[i].gives || rank < most)
            continue;
        most = rank;
        found = &columns[i];
    }
    return found;
}

/* The widest of those that can still be cut; NULL: none. */
static struct narrow_column *widest(struct narrow_column *columns, size_t n, bool tight)
{
    struct narrow_column *found = NULL;

    for (size_t i = 0; i < n; i++) {
        struct narrow_column *one = &columns[i];

        if (!one->out && one->width > (tight ? tight_of(one) : least_of(one)) &&
            (!found || one->width > found->width))
            found = one;
    }
    return found;
}

void narrow_fit(struct narrow_column *columns, size_t n, int room)
{
    struct narrow_column *one;
    int total;

    for (size_t i = 0; i < n; i++) {
        columns[i].out = false;
        columns[i].width = columns[i].natural;
    }
    while (sum(columns, n, true) > room && (one = next_out(columns, n)))
        one->out = true;
    total = sum(columns, n, false);
    for (; total > room && (one = widest(columns, n, false)); total--)
        one->width--;
    for (; total > room && (one = widest(columns, n, true)); total--)
        one->width--;
}
