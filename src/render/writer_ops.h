/* SPDX-License-Identifier: MIT */
/* What a format must do; writer.c looks after its order and the errors of the output. */
#pragma once

#include "connhist/render/writer.h"

struct writer_ops;

struct writer {
    const struct writer_ops *ops;    /* the format's */
    struct writer_options options;   /* as given */
    const struct document *document; /* between begin and end; not owned */
    void *state;                     /* the format's own, freed by its free() */
    size_t n_rows;                   /* rows of this document so far */
    size_t n_documents;              /* documents of the set so far */
    bool in_set;                     /* between writer_set_begin() and writer_set_end() */
    int error;                       /* first failure, negative errno; 0: none */
};

/* Each returns 0 or a negative errno of its own; what the output refuses is seen by writer.c. */
struct writer_ops {
    int (*begin)(struct writer *writer);
    int (*row)(struct writer *writer, const struct cell *cells);
    int (*end)(struct writer *writer);
    void (*free)(struct writer *writer); /* NULL: nothing to free */
};

extern const struct writer_ops writer_table, writer_json, writer_jsonl, writer_csv;

/* Begins and ends a set. */
void json_set_begin(struct writer *writer, const char *schema, const struct field *fields,
                    size_t n_fields);
void json_set_end(struct writer *writer);

/* Writes {"name": value, …} with the document's column names. */
void json_write_row(struct writer *writer, const struct cell *cells);
