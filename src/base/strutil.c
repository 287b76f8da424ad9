/* SPDX-License-Identifier: MIT */
#include "connhist/base/strutil.h"

#include <errno.h>
#include <string.h>

#define WORD_MAX 64 /* longer words are not compared */

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (!*text)
        return -EINVAL;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return -ERANGE;
    }
    if (value < min || value > max)
        return -ERANGE;
    *ret = value;
    return 0;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return c == '-' ? '_' : c;
}

/* Levenshtein's distance; both words are at most WORD_MAX long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], n = strlen(b);

    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (fold(a[i - 1]) != fold(b[j - 1])));
            diagonal = above;
        }
    }
    return row[n];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t length = strlen(word), best_distance = length / 3 + 2;

    if (length > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t distance;

        if (strlen(candidates[i]) > WORD_MAX)
            continue;
        distance = edit_distance(word, candidates[i]);
        if (distance < best_distance && distance < strlen(candidates[i])) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (fold(*a) != fold(*b))
            return false;
    return !*a && !*b;
}

const char *quote_text(const char *text, char buf[static QUOTE_TEXT_MAX])
{
    size_t n = strlen(text), room = QUOTE_TEXT_MAX - 3, used = 0;
    bool cut = n > room;

    if (cut)
        n = room - 3;
    buf[used++] = '\'';
    for (size_t i = 0; i < n; i++)
        buf[used++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    for (size_t i = 0; cut && i < 3; i++)
        buf[used++] = '.';
    buf[used++] = '\'';
    buf[used] = '\0';
    return buf;
}
