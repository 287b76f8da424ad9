/* SPDX-License-Identifier: MIT */
/* Whose rows can stand on a page: told by their form. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair.h"
#include "targets.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The rows of an index end with the numbers of their table's rows: each stands there once. */
static bool are_single(struct repair_numbers *numbers)
{
    if (numbers->n > 0)
        qsort(numbers->items, numbers->n, sizeof(*numbers->items), compare);
    for (size_t i = 1; i < numbers->n; i++)
        if (numbers->items[i] == numbers->items[i - 1])
            return false;
    return true;
}

/* The wall clock's offset is noted when it changes: two rows with the same one are none of it. */
static bool repeats(const struct target *target, const struct record *record, int64_t *last,
                    uint32_t i)
{
    bool same = strcmp(target->table, "epochs") == 0 && !target->index && i > 0 && record->n == 2 &&
                record->values[1].integer == *last;

    *last = record->n == 2 ? record->values[1].integer : 0;
    return same;
}

int repair_can_be(struct repair *repair, const struct target *target, const struct page *page)
{
    struct key last = {0};
    int64_t offset = 0;

    if (!repair_has_rows(target, page))
        return 0;
    vec_clear(&repair->numbers);
    for (uint32_t i = 0; i < page->n_cells; i++) {
        const struct record *record = &repair->record;

        if (!record_read(&repair->image, page, i, &repair->record) ||
            record->n != target->n_columns || !target_is_likely(target, record) ||
            !target_follows(target, record, &last) || repeats(target, record, &offset, i))
            return 0;
        if (target->index && target->columns[record->n - 1].is_rowid &&
            vec_push(&repair->numbers, record->values[record->n - 1].integer) < 0)
            return -ENOMEM;
    }
    return are_single(&repair->numbers);
}
