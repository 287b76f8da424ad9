/* SPDX-License-Identifier: MIT */
#include "connhist/render/openmetrics.h"

#include <inttypes.h>

#include "text_char.h"

void openmetrics_family(FILE *out, const char *name, enum openmetrics_type type, const char *unit,
                        const char *help)
{
    fprintf(out, "# TYPE %s %s\n", name, type == OPENMETRICS_COUNTER ? "counter" : "gauge");
    if (unit)
        fprintf(out, "# UNIT %s %s\n", name, unit);
    fprintf(out, "# HELP %s %s\n", name, help);
}

static void put_char(FILE *out, const char *text, struct utf8 c)
{
    if (*text == '\n')
        fputs("\\n", out);
    else if (text_is_escaped(text, c))
        for (unsigned i = 0; i < c.bytes; i++)
            fprintf(out, "\\\\x%02x", (unsigned)(uint8_t)text[i]);
    else if (*text == '"' || *text == '\\')
        fprintf(out, "\\%c", *text);
    else
        fwrite(text, 1, c.bytes, out);
}

/* A name from outside can't end its quotes or its line, nor make the text other than UTF-8; two that
 * differ stay two. */
static void put_value(FILE *out, const char *text)
{
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        put_char(out, text, c);
    }
}

void openmetrics_sample(FILE *out, const char *name, const struct metric_label *labels, size_t n,
                        int64_t value, int64_t at_ms)
{
    char before = '{';

    fputs(name, out);
    for (size_t i = 0; i < n; i++) {
        if (!labels[i].value || !*labels[i].value)
            continue;
        fprintf(out, "%c%s=\"", before, labels[i].name);
        put_value(out, labels[i].value);
        fputc('"', out);
        before = ',';
    }
    fprintf(out, "%s %" PRId64 " %" PRId64 ".%03d\n", before == ',' ? "}" : "", value, at_ms / 1000,
            (int)(at_ms % 1000));
}

void openmetrics_end(FILE *out)
{
    fputs("# EOF\n", out);
}
