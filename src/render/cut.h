/* SPDX-License-Identifier: MIT */
/* Texts cut to a number of columns; all texts here are safe for the terminal already. */
#pragma once

#include <stdbool.h>

/* Columns that a text takes on the terminal. */
int cut_columns(const char *text);

/* Cuts text to `most` columns (at least 1), with a mark at the cut: in its middle, or at its end.
 * *ret: memory of its own, NULL where the text fits. 0 or -ENOMEM. */
int cut_text(const char *text, int most, bool at_end, char **ret);
