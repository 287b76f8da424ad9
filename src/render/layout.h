/* SPDX-License-Identifier: MIT */
/* Lines of words that stay within a width. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct layout {
    FILE *out;  /* not owned */
    int width;  /* columns that no line exceeds; 0: no limit */
    int indent; /* columns of blanks before a line that is continued */
    bool ascii; /* nothing beyond ASCII is written */
    int used;   /* columns used in the current line */
};

/* Columns that text takes when written by layout_word(). */
int layout_columns(const char *text, bool ascii);

/* Writes text, made safe, after separator if it fits into the line, otherwise on a new line without
 * the separator's trailing blanks. A word that fits no line is cut. */
void layout_word(struct layout *layout, const char *separator, const char *text);

/* Writes the words of text (each cut at 255 bytes), the first after separator. */
void layout_text(struct layout *layout, const char *separator, const char *text);

/* Like layout_word(), with a format. The result is cut at 255 bytes. */
__attribute__((format(printf, 3, 4))) void layout_print(struct layout *layout,
                                                        const char *separator, const char *format,
                                                        ...);

/* Writes text, made safe, cut to at most `columns` (with … at the cut). Returns the columns used.
 */
int layout_clip(struct layout *layout, const char *text, int columns);

/* Ends the line. */
void layout_newline(struct layout *layout);
