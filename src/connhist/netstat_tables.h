/* SPDX-License-Identifier: MIT */
/* What `connhist netstat` shows beside sockets: statistics (-s), interfaces (-e), routes (-r). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/model/counter.h"
#include "connhist/render/writer.h"
#include "connhist/report/tables_live.h"

#include "context.h"

/* What was asked about them. */
struct table_choice {
    struct filter filter;           /* netns alone */
    unsigned which;                 /* bits of enum table_bit */
    enum counter_protocol protocol; /* -p: only its statistics and routes; 0: all */
    uint32_t table;                 /* --table: only its routes; 0: all */
    bool zeros;                     /* counters that are 0 in tables, too */
    bool each;                      /* interfaces one by one */
};

/* Whether the options ask for such tables, instead of sockets. */
bool netstat_tables_asked(const struct context *ctx);

/* Reads the options and refuses those that say nothing to what is shown, for tables of sockets as
 * well. Returns an exit status. */
int netstat_tables_choose(const struct context *ctx, struct table_choice *ret);

/* Shows the kernel's tables. Returns an exit status. */
int netstat_tables_now(struct context *ctx);

/* One table as a document of its own; what is above it in a table for people is written to stdout.
 * *ret_rows: how many rows there were. 0 or a negative errno of the writer. */
int put_statistics(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables,
                   size_t *ret_rows);
int put_interfaces(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables,
                   size_t *ret_rows);
int put_routes(struct writer *writer, const struct context *ctx, const struct table_choice *choice,
               const struct tables *tables, size_t *ret_rows);
