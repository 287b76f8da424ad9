/* SPDX-License-Identifier: MIT */
#include "connhist/render/writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "connhist/base/strutil.h"
#include "writer_ops.h"

static const struct {
    const char *name;
    enum format format;
    const struct writer_ops *ops;
} formats[] = {
    {"table", FORMAT_TABLE, &writer_table},
    {"json", FORMAT_JSON, &writer_json},
    {"jsonl", FORMAT_JSONL, &writer_jsonl},
    {"csv", FORMAT_CSV, &writer_csv},
};

int format_parse(const char *text, enum format *ret)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (same_word(text, formats[i].name)) {
            *ret = formats[i].format;
            return 0;
        }
    return -EINVAL;
}

static const struct writer_ops *ops_of(enum format format)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (formats[i].format == format)
            return formats[i].ops;
    return NULL;
}

int writer_new(const struct writer_options *options, struct writer **ret)
{
    const struct writer_ops *ops = ops_of(options->format);
    struct writer *writer;

    assert(ops && options->out);
    writer = calloc(1, sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    writer->ops = ops;
    writer->options = *options;
    *ret = writer;
    return 0;
}

void writer_free(struct writer *writer)
{
    if (!writer)
        return;
    if (writer->ops->free)
        writer->ops->free(writer);
    free(writer);
}

/* Keeps the first failure: errno is fresh only right after it. A stream that failed without telling
 * why (or long before) is an I/O error. */
static int note(struct writer *writer, int result)
{
    if (writer->error)
        return writer->error;
    if (result < 0)
        writer->error = result;
    else if (ferror(writer->options.out))
        writer->error = errno > 0 ? -errno : -EIO;
    return writer->error;
}

int writer_begin(struct writer *writer, const struct document *document)
{
    assert(!writer->document && document->n_columns > 0);
    writer->document = document;
    writer->n_rows = 0;
    errno = 0;
    return note(writer, writer->ops->begin(writer));
}

int writer_row(struct writer *writer, const struct cell *cells)
{
    assert(writer->document);
    if (writer->error)
        return writer->error;
    errno = 0;
    note(writer, writer->ops->row(writer, cells));
    writer->n_rows++;
    return writer->error;
}

int writer_end(struct writer *writer, struct err *err)
{
    assert(writer->document);
    errno = 0;
    if (!writer->error)
        note(writer, writer->ops->end(writer));
    if (!writer->error && fflush(writer->options.out))
        note(writer, -errno);
    writer->document = NULL;
    writer->n_documents++;
    if (writer->error)
        return err_errno(err, writer->error, "cannot write the output");
    return 0;
}

int writer_set_begin(struct writer *writer, const char *schema, const struct field *fields,
                     size_t n_fields)
{
    assert(!writer->document && !writer->in_set);
    if (writer->options.format == FORMAT_CSV)
        return -EOPNOTSUPP;
    writer->in_set = true;
    writer->n_documents = 0;
    errno = 0;
    if (writer->options.format == FORMAT_JSON)
        json_set_begin(writer, schema, fields, n_fields);
    return note(writer, 0);
}

int writer_set_end(struct writer *writer, struct err *err)
{
    assert(!writer->document && writer->in_set);
    writer->in_set = false;
    errno = 0;
    if (!writer->error && writer->options.format == FORMAT_JSON)
        json_set_end(writer);
    note(writer, 0);
    if (!writer->error && fflush(writer->options.out))
        note(writer, -errno);
    if (writer->error)
        return err_errno(err, writer->error, "cannot write the output");
    return 0;
}
