/* SPDX-License-Identifier: MIT */
#include "layout.h"

#include "connhist/render/text.h"

#include <langinfo.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "text_char.h"

#define WORD_MAX 256 /* bytes of a formatted word */

static int char_columns(const char *text, struct utf8 c, bool ascii)
{
    int columns;

    if (text_is_escaped(text, c))
        return 4 * (int)c.bytes;
    if (ascii || c.code < 0x80)
        return 1;
    columns = wcwidth((wchar_t)c.code);
    /* a locale without that character doesn't know; two is the most there is */
    return columns >= 0 ? columns : 2;
}

static void write_char(FILE *out, const char *text, struct utf8 c, bool ascii)
{
    if (ascii && c.valid && c.code >= 0x80 && !utf8_is_control(c.code))
        putc('?', out);
    else
        text_write_char(out, text, c);
}

int layout_columns(const char *text, bool ascii)
{
    int columns = 0;

    for (struct utf8 c; *text && columns < INT_MAX / 2; text += c.bytes) {
        c = utf8_read(text);
        columns += char_columns(text, c, ascii);
    }
    return columns;
}

int layout_clip(struct layout *layout, const char *text, int columns)
{
    const char *mark = layout->ascii ? "~" : "\xe2\x80\xa6";
    bool cut = layout_columns(text, layout->ascii) > columns;
    int used = 0, room = cut ? columns - 1 : columns;

    for (struct utf8 c; *text; text += c.bytes) {
        int wanted;

        c = utf8_read(text);
        wanted = char_columns(text, c, layout->ascii);
        if (used + wanted > room)
            break;
        write_char(layout->out, text, c, layout->ascii);
        used += wanted;
    }
    if (cut && columns > 0) {
        fputs(mark, layout->out);
        used++;
    }
    layout->used += used;
    return used;
}

void layout_newline(struct layout *layout)
{
    putc('\n', layout->out);
    layout->used = 0;
}

/* The length of separator without the blanks at its end. */
static int solid_length(const char *separator)
{
    size_t length = strlen(separator);

    while (length > 0 && separator[length - 1] == ' ')
        length--;
    return (int)length;
}

void layout_word(struct layout *layout, const char *separator, const char *text)
{
    int columns = layout_columns(text, layout->ascii), solid = solid_length(separator);
    int needed = layout->used + (int)strlen(separator) + columns + 1;

    /* one column is left for the separator that may follow */
    if (layout->width > 0 && layout->used > layout->indent && needed > layout->width) {
        fprintf(layout->out, "%.*s", solid, separator);
        layout_newline(layout);
        layout->used = fprintf(layout->out, "%*s", layout->indent, "");
    } else {
        fputs(separator, layout->out);
        layout->used += (int)strlen(separator);
    }
    if (layout->width > 0 && columns > layout->width - layout->used - 1)
        columns = layout->width - layout->used - 1;
    layout_clip(layout, text, columns);
}

void layout_text(struct layout *layout, const char *separator, const char *text)
{
    char word[WORD_MAX];

    for (size_t n; *text; text += n) {
        n = strcspn(text, " ");
        snprintf(word, sizeof(word), "%.*s", (int)n, text);
        layout_word(layout, separator, word);
        separator = " ";
        n += text[n] == ' ';
    }
}

void layout_print(struct layout *layout, const char *separator, const char *format, ...)
{
    char word[WORD_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(word, sizeof(word), format, args);
    va_end(args);
    layout_word(layout, separator, word);
}

void text_as_lines(FILE *out, const char *text, int width)
{
    const bool ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    /* layout leaves a column for a separator that may follow: here none does */
    struct layout layout = {.out = out, .width = width > 0 ? width + 1 : 0, .ascii = ascii};

    layout_text(&layout, "", text);
    layout_newline(&layout);
}
