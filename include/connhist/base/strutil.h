/* SPDX-License-Identifier: MIT */
/* Small things with strings that libc lacks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole string as a decimal number within [min, max]; no sign, space or suffix.
 * -EINVAL: not a number; -ERANGE: outside. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* The candidate with the smallest edit distance to word, for "did you mean", letters being the same
 * as for same_word(); NULL when none is near (more than a third of the letters and one). */
const char *nearest_word(const char *word, const char *const *candidates, size_t n);

/* Whether both are the same apart from the case of ASCII letters, and of '-' and '_'. */
bool same_word(const char *a, const char *b);

#define QUOTE_TEXT_MAX 48

/* Writes 'text' in quotes for a message: one line of printable ASCII, anything else as '?', long
 * text cut with "...". Returns buf. */
const char *quote_text(const char *text, char buf[static QUOTE_TEXT_MAX]);
