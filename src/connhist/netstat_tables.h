/* SPDX-License-Identifier: MIT */
/* What `connhist netstat` shows beside sockets: statistics (-s), interfaces (-e), routes (-r). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/model/counter.h"
#include "connhist/render/writer.h"
#include "connhist/report/tables_live.h"
#include "connhist/report/tables_past.h"

#include "context.h"

/* What was asked about them. */
struct table_choice {
    struct filter filter;                 /* netns alone */
    const struct reading_choice *reading; /* of the past; NULL: now. Not owned */
    int64_t at_ms;                        /* of the past: the instant asked for */
    unsigned which;                       /* bits of enum table_bit */
    enum counter_protocol protocol;       /* -p: only its statistics and routes; 0: all */
    uint32_t table;                       /* --table: only its routes; 0: all */
    bool zeros;                           /* counters that are 0 in tables, too */
    bool each;                            /* interfaces one by one */
    bool left_out;                        /* of the past: routes asked for may not be recorded */
};

/* Whether the options ask for such tables, instead of sockets. */
bool netstat_tables_asked(const struct context *ctx);

/* Reads the options and refuses those that say nothing to what is shown, for tables of sockets as
 * well. Returns an exit status. */
int netstat_tables_choose(const struct context *ctx, struct table_choice *ret);

/* Shows the kernel's tables, now or as they were. Returns an exit status. */
int netstat_tables_run(struct context *ctx);

/* What the options ask of the past: tables as they were, or what counters grew by. Return an exit
 * status. */
int netstat_tables_at(struct context *ctx, struct table_choice *choice);
int netstat_tables_grown(struct context *ctx, const struct table_choice *choice);

/* Says why there is nothing of what ("counters") at or before at_ms in a namespace: first_ms is when it
 * was read first (TIME_UNKNOWN: never). Times are wall times. Returns an exit status. */
int table_nothing(struct context *ctx, const char *netns, const char *what, int64_t at_ms,
                  int64_t first_ms);

#define TABLE_ENDED_MAX 96

/* "was no more from 2026-11-22 14:03:05.000 on", of a namespace; returns buf. */
const char *table_ended(const struct context *ctx, int64_t ended_ms, bool gone,
                        char buf[static TABLE_ENDED_MAX]);

/* Writes the tables chosen. Returns an exit status. */
int netstat_tables_put(const struct context *ctx, const struct table_choice *choice,
                       const struct tables *tables);

#define TABLE_FIELDS_MAX 6

/* The fields of a document: of which instant it is. name: its table; NULL: of the set. Returns how
 * many. */
size_t table_fields(const struct context *ctx, const struct table_choice *choice, const char *name,
                    struct field ret[static TABLE_FIELDS_MAX]);

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
