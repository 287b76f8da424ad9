/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>

#include "connhist/render/text.h"
#include "number.h"
#include "writer_ops.h"

static void write_value(FILE *out, const struct cell *cell)
{
    char buf[NUMBER_TEXT_MAX];

    switch (cell->kind) {
    case CELL_INT:
    case CELL_TIME:
        fprintf(out, "%" PRId64, cell->integer);
        return;
    case CELL_REAL:
        fputs(isfinite(cell->real) ? number_format(cell->real, buf) : "null", out);
        return;
    case CELL_TEXT:
        text_for_json(out, cell->text);
        return;
    case CELL_NULL:
        break;
    }
    fputs("null", out);
}

static void write_name(FILE *out, const char *name)
{
    text_for_json(out, name);
    fputs(": ", out);
}

static void write_fields(FILE *out, const struct column *columns, size_t n,
                         const struct cell *cells, const char *begin)
{
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? begin : ", ", out);
        write_name(out, columns[i].name);
        write_value(out, &cells[i]);
    }
    putc('}', out);
}

static void write_part(FILE *out, const struct part *part)
{
    fputs(",\n", out);
    write_name(out, part->name);
    if (!part->cells) {
        fputs("null", out);
        return;
    }
    putc('[', out);
    for (size_t i = 0; i < part->n_rows; i++)
        write_fields(out, part->columns, part->n_columns, part->cells + i * part->n_columns,
                     i == 0 ? "{" : ", {");
    putc(']', out);
}

void json_write_row(struct writer *writer, const struct cell *cells)
{
    const struct document *document = writer->document;
    FILE *out = writer->options.out;

    const bool stamped = writer->options.format == FORMAT_JSONL && writer->options.stamp_ms;

    if (stamped)
        fprintf(out, "{\"at_ms\": %" PRId64, writer->options.stamp_ms);
    write_fields(out, document->columns, document->n_columns, cells, stamped ? ", " : "{");
}

static void write_gaps(FILE *out, const char *name, const struct gap_vec *gaps)
{
    fprintf(out, ", \"%s\": [", name);
    for (size_t i = 0; i < gaps->n; i++) {
        const struct gap *gap = &gaps->items[i];

        fprintf(out, "%s{\"from_ms\": %" PRId64 ", \"until_ms\": %" PRId64 ", \"reason\": ",
                i == 0 ? "" : ", ", gap->from_ms, gap->until_ms);
        text_for_json(out, gap->reason);
        putc('}', out);
    }
    putc(']', out);
}

static void write_pruned(FILE *out, const struct coverage *coverage)
{
    fputs(", \"pruned\": [", out);
    for (size_t i = 0; i < coverage->pruned.n; i++) {
        const struct pruned *pruned = &coverage->pruned.items[i];

        fprintf(out,
                "%s{\"tier\": \"%s\", \"from_ms\": %" PRId64 ", \"until_ms\": %" PRId64
                ", \"cause\": \"%s\"}",
                i == 0 ? "" : ", ", pruned->what, pruned->from_ms, pruned->until_ms, pruned->cause);
    }
    putc(']', out);
}

static void write_details(FILE *out, unsigned details)
{
    const char *separator = "";

    fputs(", \"detail\": [", out);
    for (unsigned bit = COVERAGE_DETAIL_ON; bit <= COVERAGE_DETAIL_OFF; bit <<= 1) {
        if (!(details & bit))
            continue;
        fprintf(out, "%s\"%s\"", separator, coverage_detail_name(bit));
        separator = ", ";
    }
    putc(']', out);
}

static void write_coverage(FILE *out, const struct coverage *coverage)
{
    fputs(",\n\"coverage\": ", out);
    if (!coverage) {
        fputs("null", out);
        return;
    }
    fprintf(out,
            "{\"planned\": %" PRId64 ", \"done\": %" PRId64 ", \"interrupted\": %" PRId64
            ", \"missed\": %" PRId64 ", \"events_lost\": %" PRId64 ", \"unkept\": %" PRId64,
            coverage->planned, coverage->done, coverage->interrupted, coverage->missed,
            coverage->events_lost, coverage->unkept);
    write_details(out, coverage->details);
    write_gaps(out, "gaps", &coverage->gaps);
    write_gaps(out, "events_lost_spans", &coverage->deaf);
    write_pruned(out, coverage);
    putc('}', out);
}

static void write_head(FILE *out, const char *schema, const struct field *fields, size_t n)
{
    fputs("{\"schema\": ", out);
    text_for_json(out, schema);
    for (size_t i = 0; i < n; i++) {
        fputs(", ", out);
        write_name(out, fields[i].name);
        write_value(out, &fields[i].value);
    }
}

void json_set_begin(struct writer *writer, const char *schema, const struct field *fields,
                    size_t n_fields)
{
    write_head(writer->options.out, schema, fields, n_fields);
    fputs(",\n\"tables\": [\n", writer->options.out);
}

void json_set_end(struct writer *writer)
{
    fputs("]}\n", writer->options.out);
}

static int json_begin(struct writer *writer)
{
    const struct document *document = writer->document;
    FILE *out = writer->options.out;

    if (writer->in_set && writer->n_documents > 0)
        fputs(",\n", out);
    write_head(out, document->schema, document->fields, document->n_fields);
    write_coverage(out, document->coverage);
    if (document->part)
        write_part(out, document->part);
    fputs(",\n\"rows\": [", out);
    return 0;
}

static int json_row(struct writer *writer, const struct cell *cells)
{
    fputs(writer->n_rows == 0 ? "\n" : ",\n", writer->options.out);
    json_write_row(writer, cells);
    return 0;
}

static int json_end(struct writer *writer)
{
    fputs(writer->n_rows == 0 ? "]}\n" : "\n]}\n", writer->options.out);
    return 0;
}

const struct writer_ops writer_json = {.begin = json_begin, .row = json_row, .end = json_end};
