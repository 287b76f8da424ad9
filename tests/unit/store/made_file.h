/* SPDX-License-Identifier: MIT */
/* Files made by SQLite itself, and their bytes, for the tests of what reads pages without it. */
#pragma once

#include "support.h"

struct image; /* store/image.h */

/* Makes the file by SQL, with pages of that size; vacuum: with pages that tell the parent of each. */
void made_file(const struct place *place, uint32_t page_size, bool vacuum, const char *sql);

/* Overwrites a part of the file. */
void made_damage(const struct place *place, int64_t at, const void *bytes, size_t n);

/* Overwrites a whole page with noughts. */
void made_blank(const struct place *place, uint32_t page_size, uint32_t page);

void made_open(const struct place *place, struct image *ret);
