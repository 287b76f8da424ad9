/* SPDX-License-Identifier: MIT */
/* The made-up kernel's other tables, of the place that was last named by `into`:
 * - counter NAME VALUE: it stands there from now on; -: it is not told any more
 * - interface INDEX NAME MTU RX_BYTES; interface INDEX -: it is gone
 * - route A.B.C.D BITS VIA METRIC; route A.B.C.D BITS -: those to there are gone
 * - unread BITS: what can't be read from now on (enum counted_part)
 * None of them is read before the first such command. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/record/recorder.h"

struct made_tables {
    struct counted_tables now; /* owned */
    bool any;                  /* there was a command */
};

void made_tables_finish(struct made_tables *tables);

/* Whether the line was such a command. */
bool made_tables_obey(struct made_tables *tables, const char *line);

/* A copy, as a source reads it. */
void made_tables_read(const struct made_tables *tables, unsigned what, struct counted_tables *ret);
