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

#include "connhist/base/timetext.h"
#include "cut.h"
#include "layout.h"
#include "narrow.h"
#include "number.h"
#include "text_char.h"
#include "writer_ops.h"

#define CHUNK_ROWS  5000
#define CELL_MAX    120 /* columns of a text on a terminal */
#define NO_VALUE    "-" /* as ss and netstat do; keeps columns countable for awk */
#define HEADING_SGR "bold"

struct table_state {
    struct libscols_table *table;  /* the chunk being gathered */
    struct narrow_column *columns; /* on a terminal: of those with a heading; owned */
    size_t n_lines;                /* in the chunk */
    size_t n_columns;              /* that have a heading */
    bool fitted;                   /* columns have their widths */
    bool narrow;                   /* some were cut or left out for them */
};

static void table_free(struct writer *writer)
{
    struct table_state *state = writer->state;

    if (!state)
        return;
    scols_unref_table(state->table);
    free(state->columns);
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

/* A heading is not cut. */
static uint8_t not_below(uint8_t width, int heading)
{
    return width && heading > width ? (uint8_t)heading : width;
}

static int add_columns(struct table_state *state, const struct writer *writer)
{
    const struct document *document = writer->document;

    state->columns = calloc(document->n_columns + 1, sizeof(*state->columns));
    if (!state->columns)
        return -ENOMEM;
    for (size_t i = 0; i < document->n_columns; i++) {
        const struct column *column = &document->columns[i];
        int columns;

        if (!column->heading)
            continue;
        if (add_column(state->table, writer, column) < 0)
            return -ENOMEM;
        columns = layout_columns(column->heading, !is_utf8_locale());
        state->columns[state->n_columns++] = (struct narrow_column){
            .natural = columns,
            .least = not_below(column->least, columns),
            .tight = not_below(column->tight, columns),
            .gives = column->gives,
            .empty = true,
        };
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
    return add_columns(state, writer);
}

/* A path may have 4,096 bytes; its ends tell most. */
static int set_text(struct libscols_line *line, size_t column, const char *text, bool terminal)
{
    _cleanup_free_ char *safe = NULL, *cut = NULL;

    if (make_safe(text, &safe) < 0)
        return -ENOMEM;
    if (terminal && cut_text(safe ? safe : text, CELL_MAX, false, &cut) < 0)
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

/* Keeps how wide a column is by now. */
static void measure(struct table_state *state, struct libscols_line *line, size_t column,
                    const struct cell *cell)
{
    const char *text = scols_cell_get_data(scols_line_get_cell(line, column));
    struct narrow_column *measured = &state->columns[column];
    int columns = text ? cut_columns(text) : 0;

    if (columns > measured->natural)
        measured->natural = columns;
    measured->empty &= cell->kind == CELL_NULL || (cell->kind == CELL_TEXT && !*cell->text);
}

static int cut_lines(const struct table_state *state, size_t column, bool at_end)
{
    for (size_t i = 0; i < state->n_lines; i++) {
        struct libscols_cell *cell =
            scols_line_get_cell(scols_table_get_line(state->table, i), column);
        _cleanup_free_ char *cut = NULL;
        int r = cut_text(scols_cell_get_data(cell), state->columns[column].width, at_end, &cut);

        if (r < 0 || (cut && scols_cell_set_data(cell, cut)))
            return -ENOMEM;
    }
    return 0;
}

/* The first chunk decides which columns give way, and how much. */
static void choose_widths(struct table_state *state, int room)
{
    narrow_fit(state->columns, state->n_columns, room);
    for (size_t i = 0; i < state->n_columns; i++) {
        const struct narrow_column *column = &state->columns[i];
        struct libscols_column *shown = scols_table_get_column(state->table, i);

        state->narrow |= column->out || column->width < column->natural;
        if (column->out)
            scols_column_set_flags(shown, scols_column_get_flags(shown) | SCOLS_FL_HIDDEN);
    }
    state->fitted = true;
}

static int fit(const struct writer *writer)
{
    const struct document *document = writer->document;
    struct table_state *state = writer->state;
    size_t shown = 0;
    int r = 0;

    if (writer->options.width <= 0)
        return 0;
    if (!state->fitted)
        choose_widths(state, writer->options.width);
    for (size_t i = 0; state->narrow && i < document->n_columns && r == 0; i++) {
        if (!document->columns[i].heading)
            continue;
        if (state->columns[shown].least && !state->columns[shown].out)
            r = cut_lines(state, shown, document->columns[i].words);
        shown++;
    }
    return r;
}

/* Makes the next chunk's columns as wide as this one's; headings are only above the first.
 * libsmartcols takes the heading's width as the least, or with that flag a wider hint, not both. */
static void keep_widths(struct libscols_table *table)
{
    for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
        struct libscols_column *column = scols_table_get_column(table, i);
        const char *heading = scols_cell_get_data(scols_column_get_header(column));
        size_t width = scols_column_get_width(column);

        scols_column_set_whint(column, (double)width);
        if (width > (size_t)cut_columns(heading))
            scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_STRICTWIDTH);
    }
    scols_table_enable_noheadings(table, 1);
}

static int print_chunk(const struct writer *writer)
{
    struct table_state *state = writer->state;
    int result = fit(writer);

    if (result == 0)
        result = scols_print_table(state->table);

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
        int result = print_chunk(writer);

        if (result)
            return result;
    }
    line = scols_table_new_line(state->table, NULL);
    if (!line)
        return -ENOMEM;
    for (size_t i = 0; i < document->n_columns; i++) {
        if (!document->columns[i].heading)
            continue;
        if (set_cell(line, shown, &cells[i], &writer->options, document->with_ms))
            return -ENOMEM;
        if (writer->options.width > 0)
            measure(state, line, shown, &cells[i]);
        shown++;
    }
    state->n_lines++;
    return 0;
}

/* libsmartcols prints nothing for a table without rows; headings say what was looked for. */
static void print_headings(const struct writer *writer)
{
    const struct document *document = writer->document;
    struct table_state *state = writer->state;
    FILE *out = writer->options.out;
    const char *separator = "";
    size_t shown = 0;

    if (writer->options.width > 0)
        narrow_fit(state->columns, state->n_columns, writer->options.width);
    for (size_t i = 0; i < document->n_columns; i++) {
        const char *heading = document->columns[i].heading;

        if (!heading || state->columns[shown++].out)
            continue;
        fprintf(out, writer->options.color ? "%s\033[1m" : "%s", separator);
        escape(out, heading, is_utf8_locale());
        if (writer->options.color)
            fputs("\033[0m", out);
        separator = " ";
    }
    putc('\n', out);
}

/* Nobody shall take a column that has no room for one that is not there. */
static void tell_left_out(const struct writer *writer)
{
    const struct document *document = writer->document;
    const struct table_state *state = writer->state;
    struct layout layout = {
        .out = writer->options.out, .width = writer->options.width, .ascii = !is_utf8_locale()};
    size_t shown = 0, told = 0;

    for (size_t i = 0; i < document->n_columns; i++) {
        const struct narrow_column *column = &state->columns[shown];

        if (!document->columns[i].heading)
            continue;
        shown++;
        if (!column->out || column->empty)
            continue;
        if (told++ == 0)
            layout_text(&layout, "", "No room here for");
        layout_word(&layout, told > 1 ? ", " : " ", document->columns[i].heading);
    }
    if (told)
        layout_newline(&layout);
}

static int table_end(struct writer *writer)
{
    struct table_state *state = writer->state;
    int result = 0;

    if (writer->n_rows == 0) {
        print_headings(writer);
        return 0;
    }
    if (state->n_lines > 0)
        result = print_chunk(writer);
    if (result == 0)
        tell_left_out(writer);
    return result;
}

const struct writer_ops writer_table = {
    .begin = table_begin, .row = table_row, .end = table_end, .free = table_free};
