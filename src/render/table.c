/* SPDX-License-Identifier: MIT */
/* Tables are laid out by libsmartcols, which must hold the rows to know their widths. So that a
 * long table neither takes the memory of its length nor keeps its reader waiting, it is laid out
 * CHUNK_ROWS rows at a time; each chunk is at least as wide as the one before. */
#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <libsmartcols.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "connhist/base/timetext.h"
#include "number.h"
#include "text_char.h"
#include "writer_ops.h"

#define CHUNK_ROWS  5000
#define CELL_MAX    120 /* columns of a text on a terminal */
#define NO_VALUE    "-" /* as ss and netstat do; keeps columns countable for awk */
#define HEADING_SGR "bold"

struct table_state {
    struct libscols_table *table; /* the chunk being gathered */
    size_t n_lines;               /* in it */
};

static void table_free(struct writer *writer)
{
    struct table_state *state = writer->state;

    if (!state)
        return;
    scols_unref_table(state->table);
    free(state);
    writer->state = NULL;
}

static int set_limits(struct libscols_table *table, const struct writer_options *options)
{
    if (options->width <= 0)
        return scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    if (scols_table_set_termforce(table, SCOLS_TERMFORCE_ALWAYS))
        return -EINVAL;
    return scols_table_set_termwidth(table, (size_t)options->width);
}

static bool is_plain(const char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~' || *text == '\\')
            return false;
    return true;
}

/* libsmartcols measures text by the locale, and never ends where that can't decode it. */
static bool is_utf8_locale(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void escape(FILE *out, const char *text, bool utf8)
{
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        if (utf8 || !c.valid || c.bytes == 1)
            text_write_char(out, text, c);
        else
            for (unsigned i = 0; i < c.bytes; i++)
                fprintf(out, "\\x%02x", (unsigned)(uint8_t)text[i]);
    }
}

/* What must not reach a terminal as it is: *ret_safe is memory of its own, NULL where text does. */
static int make_safe(const char *text, char **ret_safe)
{
    _cleanup_free_ char *safe = NULL;
    size_t size = 0;
    FILE *buffer;

    *ret_safe = NULL;
    if (is_plain(text))
        return 0;
    buffer = open_memstream(&safe, &size);
    if (!buffer)
        return -ENOMEM;
    escape(buffer, text, is_utf8_locale());
    if (fclose(buffer))
        return -ENOMEM;
    *ret_safe = TAKE_PTR(safe);
    return 0;
}

static int add_column(struct libscols_table *table, const struct writer *writer,
                      const struct column *column)
{
    int flags = column->right ? SCOLS_FL_RIGHT : 0;
    _cleanup_free_ char *safe = NULL;
    struct libscols_column *added;

    if (make_safe(column->heading, &safe) < 0)
        return -ENOMEM;
    added = scols_table_new_column(table, safe ? safe : column->heading, 0, flags);
    if (!added)
        return -ENOMEM;
    if (writer->options.color && scols_cell_set_color(scols_column_get_header(added), HEADING_SGR))
        return -ENOMEM;
    return 0;
}

static int add_columns(struct libscols_table *table, const struct writer *writer)
{
    const struct document *document = writer->document;

    for (size_t i = 0; i < document->n_columns; i++) {
        const struct column *column = &document->columns[i];

        if (column->heading && add_column(table, writer, column) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int table_begin(struct writer *writer)
{
    struct table_state *state;
    struct libscols_table *table;

    table_free(writer);
    state = writer->state = calloc(1, sizeof(*state));
    table = scols_new_table();
    if (!state || !table) {
        scols_unref_table(table);
        return -ENOMEM;
    }
    state->table = table;
    scols_table_set_stream(table, writer->options.out);
    /* what could harm a terminal or the locale can't show is escaped here already */
    if (scols_table_enable_noencoding(table, 1) ||
        scols_table_enable_colors(table, writer->options.color) ||
        set_limits(table, &writer->options))
        return -ENOMEM;
    return add_columns(table, writer);
}

static int columns_of(struct utf8 c)
{
    int columns = c.code < 0x80 ? 1 : wcwidth((wchar_t)c.code);

    return columns >= 0 ? columns : 2;
}

/* Where the first `most` columns of a safe text end. */
static const char *end_of_head(const char *text, int most)
{
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        most -= columns_of(c);
        if (most < 0)
            break;
    }
    return text;
}

static int count_columns(const char *text)
{
    int columns = 0;

    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        columns += columns_of(c);
    }
    return columns;
}

/* A path may have 4,096 bytes; its ends tell most. *ret: memory of its own, NULL where the text fits. */
static int cut_middle(const char *text, char **ret)
{
    const char *mark = is_utf8_locale() ? "\xe2\x80\xa6" : "~";
    int columns = strlen(text) > CELL_MAX ? count_columns(text) : 0;
    const char *head, *tail;

    *ret = NULL;
    if (columns <= CELL_MAX)
        return 0;
    head = end_of_head(text, CELL_MAX / 2);
    tail = end_of_head(text, columns - (CELL_MAX - CELL_MAX / 2 - 1));
    return asprintf(ret, "%.*s%s%s", (int)(head - text), text, mark, tail) < 0 ? -ENOMEM : 0;
}

static int set_text(struct libscols_line *line, size_t column, const char *text, bool terminal)
{
    _cleanup_free_ char *safe = NULL, *cut = NULL;

    if (make_safe(text, &safe) < 0)
        return -ENOMEM;
    if (terminal && cut_middle(safe ? safe : text, &cut) < 0)
        return -ENOMEM;
    if (cut)
        return scols_line_set_data(line, column, cut);
    return scols_line_set_data(line, column, safe ? safe : *text ? text : NO_VALUE);
}

static int set_cell(struct libscols_line *line, size_t column, const struct cell *cell,
                    const struct writer_options *options, bool with_ms)
{
    char number[NUMBER_TEXT_MAX], time[TIME_TEXT_MAX];

    switch (cell->kind) {
    case CELL_INT:
        snprintf(number, sizeof(number), "%" PRId64, cell->integer);
        return scols_line_set_data(line, column, number);
    case CELL_REAL:
        return scols_line_set_data(line, column,
                                   isfinite(cell->real) ? number_format_short(cell->real, number)
                                                        : NO_VALUE);
    case CELL_TEXT:
        return set_text(line, column, cell->text, options->width > 0);
    case CELL_TIME:
        return scols_line_set_data(line, column,
                                   time_format(cell->integer, options->utc, with_ms, time));
    case CELL_NULL:
        break;
    }
    return scols_line_set_data(line, column, NO_VALUE);
}

/* Makes the next chunk's columns as wide as this one's; headings are only above the first. */
static void keep_widths(struct libscols_table *table)
{
    for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
        struct libscols_column *column = scols_table_get_column(table, i);

        scols_column_set_whint(column, (double)scols_column_get_width(column));
        scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_STRICTWIDTH);
    }
    scols_table_enable_noheadings(table, 1);
}

static int print_chunk(struct table_state *state)
{
    int result = scols_print_table(state->table);

    if (result)
        return result < 0 ? result : -EIO;
    keep_widths(state->table);
    scols_table_remove_lines(state->table);
    state->n_lines = 0;
    return 0;
}

static int table_row(struct writer *writer, const struct cell *cells)
{
    const struct document *document = writer->document;
    struct table_state *state = writer->state;
    struct libscols_line *line;
    size_t shown = 0;

    if (state->n_lines == CHUNK_ROWS) {
        int result = print_chunk(state);

        if (result)
            return result;
    }
    line = scols_table_new_line(state->table, NULL);
    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < document->n_columns; i++) {
        if (!document->columns[i].heading)
            continue;
        if (set_cell(line, shown++, &cells[i], &writer->options, document->with_ms))
            return -ENOMEM;
    }
    state->n_lines++;
    return 0;
}

/* libsmartcols prints nothing for a table without rows; headings say what was looked for. */
static void print_headings(const struct writer *writer)
{
    const struct document *document = writer->document;
    FILE *out = writer->options.out;
    const char *separator = "";

    for (size_t i = 0; i < document->n_columns; i++) {
        const char *heading = document->columns[i].heading;

        if (!heading)
            continue;
        fprintf(out, writer->options.color ? "%s\033[1m" : "%s", separator);
        escape(out, heading, is_utf8_locale());
        if (writer->options.color)
            fputs("\033[0m", out);
        separator = " ";
    }
    putc('\n', out);
}

static int table_end(struct writer *writer)
{
    struct table_state *state = writer->state;

    if (writer->n_rows == 0) {
        print_headings(writer);
        return 0;
    }
    return state->n_lines > 0 ? print_chunk(state) : 0;
}

const struct writer_ops writer_table = {
    .begin = table_begin, .row = table_row, .end = table_end, .free = table_free};
