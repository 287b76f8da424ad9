/* SPDX-License-Identifier: MIT */
/* Text that is safe to show. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "connhist/model/coverage.h"

/* Writes text to out for a terminal: control characters, those that reorder text (bidi), and broken
 * UTF-8 become \xHH for each byte; so does the backslash of a text that imitates
 * that. What is no such escape stays as it is, as "\x2d" in names of systemd's units. */
void text_for_terminal(FILE *out, const char *text);

/* Writes text, words separated by blanks, as lines of at most `width` columns (0: one line); made
 * safe like text_for_terminal(). */
void text_as_lines(FILE *out, const char *text, int width);

/* Writes text to out as a JSON string with its quotes; broken UTF-8 becomes U+FFFD, and what could
 * harm a terminal \uHHHH. */
void text_for_json(FILE *out, const char *text);

/* Writes text to out as a CSV field (RFC 4180); one that a spreadsheet would take for a formula (it
 * begins with = + - @, also full-width, or with a tab or line end) gets a ' in front. Broken UTF-8
 * becomes U+FFFD; what could harm a terminal \xHH, except tabs and line ends. */
void text_for_csv(FILE *out, const char *text);

/* Coverage in words: "coverage: 359 of 360 snapshots, 1 missed", then a line for each gap, oldest
 * first, at most `max_gaps`, and how many more there are. Always says how much of what was planned
 * is there. width: columns of the terminal; 0: lines are not wrapped. */
void coverage_print(FILE *out, const struct coverage *coverage, bool utc, size_t max_gaps,
                    int width);
