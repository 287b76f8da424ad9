/* SPDX-License-Identifier: MIT */
#include "connhist/render/openmetrics.h"

#include <inttypes.h>

void openmetrics_family(FILE *out, const char *name, enum openmetrics_type type, const char *unit,
                        const char *help)
{
    fprintf(out, "# TYPE %s %s\n", name, type == OPENMETRICS_COUNTER ? "counter" : "gauge");
    if (unit)
        fprintf(out, "# UNIT %s %s\n", name, unit);
    fprintf(out, "# HELP %s %s\n", name, help);
}

/* A name from outside can't end its quotes or its line. */
static void put_value(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            fputs("\\n", out);
        else if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            fputc('?', out);
        else
            fputc(*p, out);
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
