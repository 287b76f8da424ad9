/* SPDX-License-Identifier: MIT */
/* One character of a text for a terminal. */
#pragma once

#include <stdio.h>

#include "connhist/base/utf8.h"

/* Whether c, just read at text, is shown as \xHH for each of its bytes. */
bool text_is_escaped(const char *text, struct utf8 c);

/* Writes c, just read at text. */
void text_write_char(FILE *out, const char *text, struct utf8 c);
