/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>

#include "connhist/render/text.h"
#include "number.h"
#include "writer_ops.h"

static void write_field(FILE *out, const struct cell *cell)
{
    char buf[NUMBER_TEXT_MAX];

    switch (cell->kind) {
    case CELL_INT:
    case CELL_TIME:
        fprintf(out, "%" PRId64, cell->integer);
        break;
    case CELL_REAL:
        if (isfinite(cell->real))
            fputs(number_format(cell->real, buf), out);
        break;
    case CELL_TEXT:
        text_for_csv(out, cell->text);
        break;
    case CELL_NULL:
        break;
    }
}

static bool is_empty(const struct cell *cell)
{
    return cell->kind == CELL_NULL || (cell->kind == CELL_TEXT && !*cell->text) ||
           (cell->kind == CELL_REAL && !isfinite(cell->real));
}

static int csv_begin(struct writer *writer)
{
    const struct document *document = writer->document;
    FILE *out = writer->options.out;

    if (writer->options.continued)
        return 0;
    if (writer->options.stamp_ms)
        fputs("at_ms,", out);
    for (size_t i = 0; i < document->n_columns; i++) {
        if (i > 0)
            putc(',', out);
        text_for_csv(out, document->columns[i].name);
    }
    putc('\n', out);
    return 0;
}

static int csv_row(struct writer *writer, const struct cell *cells)
{
    FILE *out = writer->options.out;

    if (writer->options.stamp_ms)
        fprintf(out, "%" PRId64 ",", writer->options.stamp_ms);
    for (size_t i = 0; i < writer->document->n_columns; i++) {
        if (i > 0)
            putc(',', out);
        write_field(out, &cells[i]);
    }
    /* readers skip a line with nothing on it */
    if (writer->document->n_columns == 1 && !writer->options.stamp_ms && is_empty(&cells[0]))
        fputs("\"\"", out);
    putc('\n', out);
    return 0;
}

static int csv_end(struct writer *writer)
{
    (void)writer;
    return 0;
}

const struct writer_ops writer_csv = {.begin = csv_begin, .row = csv_row, .end = csv_end};
