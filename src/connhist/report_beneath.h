/* SPDX-License-Identifier: MIT */
/* connhist report: the counters beneath a port's report. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/render/writer.h"
#include "connhist/report/filter.h"
#include "connhist/report/tables_past.h"

#include "context.h"

#define BENEATH_MAX     24
#define BENEATH_COLUMNS 7

/* Those that explain sockets and moved in a span. */
struct beneath {
    struct growth growth;                             /* owned */
    const struct grown_counter *moved[BENEATH_MAX];   /* of growth */
    struct cell cells[BENEATH_MAX * BENEATH_COLUMNS]; /* the same for a document */
    size_t n;
    bool known; /* there are readings to compare */
};

/* wall times. What can't be read is not known. */
void beneath_load(const struct context *ctx, const struct filter *filter, int64_t since_ms,
                  int64_t until_ms, struct beneath *ret);
void beneath_finish(struct beneath *beneath);

/* As a part of a document; beneath must stay. */
struct part beneath_part(const struct beneath *beneath);

/* For people: a line for each. */
void beneath_print(const struct context *ctx, const struct beneath *beneath);
