/* SPDX-License-Identifier: MIT */
/* Rows in, text out: one interface for every format. What comes from outside (names, addresses of
 * strangers) is data: control characters never reach a terminal, formulas never a spreadsheet.
 *
 *   table  libsmartcols, 5,000 rows at a time, so that any number of rows takes the memory of 5,000:
 *          later rows may be wider. Null, NaN and empty text are "-". Without rows: the headings
 *          alone. On a terminal that is too narrow, columns are cut and left out as they say, and
 *          what was left out is told beneath. For the alignment of other scripts the program has
 *          called setlocale(LC_CTYPE, "").
 *   json   one object, a row a line; streamed.
 *   jsonl  a row a line; neither fields nor coverage.
 *   csv    RFC 4180 with a header line, lines ended by LF as other programs here do; null is empty. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/model/coverage.h"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV };

enum cell_kind { CELL_NULL, CELL_INT, CELL_REAL, CELL_TEXT, CELL_TIME };

struct cell {
    enum cell_kind kind;
    union {
        int64_t integer;  /* CELL_INT; CELL_TIME: ms since 1970 UTC (a number in JSON and CSV) */
        double real;      /* CELL_REAL */
        const char *text; /* CELL_TEXT; not owned; need not be UTF-8 */
    };
};

static inline struct cell cell_null(void)
{
    return (struct cell){.kind = CELL_NULL};
}
static inline struct cell cell_int(int64_t value)
{
    return (struct cell){.kind = CELL_INT, .integer = value};
}
static inline struct cell cell_real(double value)
{
    return (struct cell){.kind = CELL_REAL, .real = value};
}
static inline struct cell cell_text(const char *text)
{
    return text ? (struct cell){.kind = CELL_TEXT, .text = text} : cell_null();
}
/* TIME_UNKNOWN (INT64_MIN) becomes null. */
static inline struct cell cell_time(int64_t ms)
{
    return ms == INT64_MIN ? cell_null() : (struct cell){.kind = CELL_TIME, .integer = ms};
}

struct column {
    const char *name;    /* field name in JSON and CSV, e.g. "local_port" */
    const char *heading; /* in tables; NULL: the column is left out there */
    bool right;          /* right-aligned in tables */
    bool words;          /* cut at its end, not in its middle, where it must be cut */
    uint8_t least;       /* on a terminal that is too narrow: columns to which its texts may be
                            cut; 0: they are not */
    uint8_t tight;       /* to that where not even leaving out is enough; 0: not below least */
    uint8_t gives; /* there, where cuts are not enough: left out, the highest first; 0: never */
};

/* A field of the document beside its rows. */
struct field {
    const char *name;
    struct cell value;
};

/* Rows of another kind that a JSON document has as an array beside its own. */
struct part {
    const char *name;
    const struct column *columns;
    size_t n_columns;
    const struct cell *cells; /* row by row; NULL: null is written, for nothing is known */
    size_t n_rows;
};

struct document {
    const char *schema;         /* e.g. "connhist/report/1" */
    const struct field *fields; /* JSON: between schema and coverage; may be NULL */
    size_t n_fields;
    const struct coverage *coverage; /* JSON: "coverage"; NULL: none (null) */
    const struct part *part;         /* JSON: between coverage and rows; NULL: none */
    const struct column *columns;
    size_t n_columns;
    bool with_ms; /* tables: times to the millisecond */
};

struct writer_options {
    enum format format;
    FILE *out;        /* not owned */
    bool utc;         /* tables: times in UTC */
    bool color;       /* tables: colour may be used */
    int width;        /* tables: columns of the terminal; 0: no limit */
    bool continued;   /* csv: the same table stands before, with its header line */
    int64_t stamp_ms; /* jsonl, csv: one of several tables, each row of which begins with this time
                         as at_ms; 0: none */
};

struct writer;

int writer_new(const struct writer_options *options, struct writer **ret);
void writer_free(struct writer *writer);
DEFINE_CLEANUP(struct writer *, writer_free)

/* Begins a document; document (with what it points to) must stay until writer_end(). 0, -ENOMEM, or
 * as writer_row(). */
int writer_begin(struct writer *writer, const struct document *document);

/* One row with document.n_columns cells; they need be valid only during the call. 0, or the first
 * failure (-ENOMEM, -EPIPE …) again and again: a caller may stop, or go on and leave the failure to
 * writer_end(). */
int writer_row(struct writer *writer, const struct cell *cells);

/* Ends the document and flushes. -ENOMEM, -EIO, -ENOSPC, -EPIPE …: the output could not be written;
 * err says why. Another document may follow with writer_begin(). */
int writer_end(struct writer *writer, struct err *err);

/* Several documents as one answer: each in turn between these two. JSON: one object with schema,
 * fields and "tables", an array of the documents; table and JSON Lines: one behind the other. CSV
 * holds one table alone: -EOPNOTSUPP. Errors else as writer_row() and writer_end(). */
int writer_set_begin(struct writer *writer, const char *schema, const struct field *fields,
                     size_t n_fields);
int writer_set_end(struct writer *writer, struct err *err);

/* "table", "json" … -EINVAL when it is none. */
int format_parse(const char *text, enum format *ret);
