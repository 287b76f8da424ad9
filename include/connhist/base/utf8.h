/* SPDX-License-Identifier: MIT */
/* Reading UTF-8 that may be broken. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct utf8 {
    uint32_t code;  /* Unicode scalar value; meaningless unless valid */
    unsigned bytes; /* bytes of text that it takes; at least 1 */
    bool valid;     /* false: bytes that are no UTF-8 (overlong, surrogate, beyond U+10FFFF, cut) */
};

/* Reads the first character of a text that is not empty. What is broken is taken in the pieces
 * that Unicode recommends to replace by one U+FFFD each (maximal subparts). */
struct utf8 utf8_read(const char *text);

/* Whether a terminal could be misled by it: C0 and C1 controls, DEL, line and paragraph separators,
 * and everything that reorders text (bidi marks, embeddings, overrides, isolates). */
bool utf8_is_control(uint32_t code);
