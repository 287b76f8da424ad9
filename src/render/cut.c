/* SPDX-License-Identifier: MIT */
#include "cut.h"

#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "connhist/base/utf8.h"

static int columns_of(struct utf8 c)
{
    int columns = c.code < 0x80 ? 1 : wcwidth((wchar_t)c.code);

    return columns >= 0 ? columns : 2;
}

/* Where the first `most` columns of a text end. */
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

/* Where what takes at least `skipped` columns of a text ends. */
static const char *begin_of_tail(const char *text, int skipped)
{
    for (struct utf8 c; *text && skipped > 0; text += c.bytes) {
        c = utf8_read(text);
        skipped -= columns_of(c);
    }
    return text;
}

int cut_columns(const char *text)
{
    int columns = 0;

    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        columns += columns_of(c);
    }
    return columns;
}

int cut_text(const char *text, int most, bool at_end, char **ret)
{
    const char *mark = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\xe2\x80\xa6" : "~";
    int columns = strlen(text) > (size_t)most ? cut_columns(text) : 0;
    const char *head, *tail;

    *ret = NULL;
    if (columns <= most)
        return 0;
    head = end_of_head(text, at_end ? most - 1 : most / 2);
    tail = begin_of_tail(text, at_end ? columns : columns - (most - most / 2 - 1));
    return asprintf(ret, "%.*s%s%s", (int)(head - text), text, mark, tail) < 0 ? -ENOMEM : 0;
}
