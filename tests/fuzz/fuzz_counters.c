/* SPDX-License-Identifier: MIT */
/* Any text as one of /proc/net's files of counters. Byte 0 of the input: 0 pairs, 1 lines, 2
 * sockstat; then the text. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "kernel/counters_parse.h"

static void check(const struct counter_table *table)
{
    assert(table->n <= COUNTERS_MAX);
    for (size_t i = 0; i < table->n; i++) {
        const struct counter *counter = &table->items[i];

        assert(memchr(counter->name, '\0', sizeof(counter->name)));
        assert(strchr(counter->name, '.'));
        assert(counter->protocol > 0 && counter->protocol < COUNTER_PROTOCOLS);
        assert(i == 0 || counter_compare_names(table->items[i - 1].name, counter->name) < 0);
        assert(counter_table_find(table, counter->name) == counter);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    _cleanup_free_ char *text = NULL;
    struct counter_table table = {0};

    if (n < 2)
        return 0;
    text = malloc(n - 1); /* with nothing behind it */
    if (!text)
        return 0;
    memcpy(text, data + 1, n - 1);
    if (counters_parse((enum counters_format)(data[0] % 3), text, n - 1, &table) == 0) {
        counter_table_sort(&table);
        check(&table);
    }
    counter_table_finish(&table);
    return 0;
}
