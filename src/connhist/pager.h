/* SPDX-License-Identifier: MIT */
/* Long tables on a terminal, page by page. */
#pragma once

#include "context.h"

/* Where people see a table on a terminal: from now on stdout leads through $PAGER, or `less` if that
 * is installed, and SIGPIPE is ignored. Nothing happens elsewhere, with --no-pager, where $PAGER is
 * empty or `cat`, and when no pager can be started, which is complained of. */
void pager_start(struct context *ctx);

/* Leads stdout back to the terminal and waits until the pager is left. False when the shell found
 * only then that there is no such pager: nothing was shown, and from now on there is none. Nothing
 * happens, and true, without one. */
bool pager_finish(struct context *ctx);
