/* SPDX-License-Identifier: MIT */
/* Rows of what changed between two instants. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "connhist/render/writer.h"
#include "connhist/report/diff.h"

#include "socket_table.h"

/* Columns for people, or fields for programs; of static storage. */
const struct column *diff_columns(const struct socket_table *table, bool people, size_t *ret_n);

/* Writes a row. table tells how addresses and ports are shown. 0, or negative errno: the output is
 * broken. */
int diff_row_for_people(const struct socket_table *table, struct writer *writer,
                        const struct diff_row *row);
int diff_row_for_programs(struct writer *writer, const struct diff_row *row);
