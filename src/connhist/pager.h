/* SPDX-License-Identifier: MIT */
/* Long tables on a terminal, page by page. */
#pragma once

#include "context.h"

/* Where people see a table on a terminal: from now on stdout leads through $PAGER, or `less` if that
 * is installed. Nothing happens elsewhere, with --no-pager, where $PAGER is empty or `cat`, and when
 * no pager can be started. */
void pager_start(struct context *ctx);

/* Closes stdout and waits until the pager is left. Nothing happens without one. */
void pager_finish(struct context *ctx);
