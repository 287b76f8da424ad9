/* SPDX-License-Identifier: MIT */
/* Text that is safe to show. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "connhist/model/coverage.h"

/* Writes text to out for a terminal: control characters and broken UTF-8 become \xHH. */
void text_for_terminal(FILE *out, const char *text);

/* Writes text to out as a JSON string with its quotes; broken UTF-8 becomes U+FFFD. */
void text_for_json(FILE *out, const char *text);

/* Writes text to out as a CSV field (RFC 4180); one that a spreadsheet would take for a formula gets a ' in front. */
void text_for_csv(FILE *out, const char *text);

/* Coverage in words, one or more lines: "coverage: 359 of 360 snapshots, 1 missed; gaps: …" (at most `max_gaps` gaps told).
 * Always says how much of what was planned is there. */
void coverage_print(FILE *out, const struct coverage *coverage, bool utc, size_t max_gaps);
