/* SPDX-License-Identifier: MIT */
#include "writer_ops.h"

static int jsonl_nothing(struct writer *writer)
{
    (void)writer;
    return 0;
}

static int jsonl_row(struct writer *writer, const struct cell *cells)
{
    json_write_row(writer, cells);
    putc('\n', writer->options.out);
    return 0;
}

const struct writer_ops writer_jsonl = {
    .begin = jsonl_nothing, .row = jsonl_row, .end = jsonl_nothing};
