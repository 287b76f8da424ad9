/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"

#include "counter_words.h"
#include "netstat_tables.h"

/* The same for programs (names) and for people (headings). */
static const struct column columns[] = {
    {"table", NULL, false},
    {"netns", NULL, false},
    {"protocol", "PROTOCOL", false, .gives = 4},
    {"counter", "COUNTER", false},
    {"value", "VALUE", true},
    {"kind", NULL, false},
    {"meaning", "MEANING", false, .words = true, .least = 20, .gives = 5},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

/* By protocol, then in the kernel's own order. */
static int compare(const void *left, const void *right)
{
    const struct counter *a = *(const struct counter *const *)left;
    const struct counter *b = *(const struct counter *const *)right;

    if (a->protocol != b->protocol)
        return a->protocol < b->protocol ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static int put_counter(struct writer *writer, const struct tables *tables,
                       const struct counter *counter)
{
    const struct cell cells[COLUMNS] = {
        cell_text("statistics"),
        cell_text(tables->netns),
        cell_text(counter_protocol_name(counter->protocol)),
        cell_text(counter->name),
        cell_int(counter->value),
        cell_text(counter_kind_name(counter->kind)),
        cell_text(counter_words(counter->name)),
    };

    return writer_row(writer, cells);
}

/* People see of the counters those that moved; a gauge of 0 tells as much as another. */
static bool worth_showing(const struct context *ctx, const struct table_choice *choice,
                          const struct counter *counter)
{
    if (choice->protocol && counter->protocol != choice->protocol)
        return false;
    return ctx->format != FORMAT_TABLE || choice->zeros || counter->value != 0 ||
           counter->kind == COUNTER_GAUGE;
}

int put_statistics(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables, size_t *ret_rows)
{
    struct field fields[TABLE_FIELDS_MAX];
    size_t n_fields = table_fields(ctx, choice, "statistics", fields);
    const struct document document = {.schema = "connhist/netstat/1",
                                      .fields = fields,
                                      .n_fields = n_fields,
                                      .columns = columns,
                                      .n_columns = COLUMNS};
    const struct counter_table *counters = &tables->counters;
    _cleanup_free_ const struct counter **sorted = calloc(counters->n + 1, sizeof(*sorted));
    int r;

    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < counters->n; i++)
        sorted[i] = &counters->items[i];
    qsort(sorted, counters->n, sizeof(*sorted), compare);
    if (ctx->format == FORMAT_TABLE)
        context_say(
            "Statistics by protocol%s",
            choice->zeros ? "" : "; counters that are 0 are left out (-a shows them), gauges not");
    r = writer_begin(writer, &document);
    for (size_t i = 0; r == 0 && i < counters->n; i++) {
        if (!worth_showing(ctx, choice, sorted[i]))
            continue;
        r = put_counter(writer, tables, sorted[i]);
        ++*ret_rows;
    }
    return r < 0 ? r : writer_end(writer, NULL);
}
