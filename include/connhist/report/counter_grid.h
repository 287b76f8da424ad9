/* SPDX-License-Identifier: MIT */
/* All recorded counters of all namespaces, by the steps of a span: a part of them at a time, so that
 * memory does not grow with them or with the span. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/model/counter.h"
#include "connhist/report/filter.h"
#include "connhist/report/walltime.h"

struct db;
struct counter_grid;

/* There was no reading in that step. */
#define COUNTER_GRID_NONE INT64_MIN

struct counter_series {
    char name[COUNTER_NAME_MAX];      /* "TcpExt.ListenOverflows"; of an interface "rx_bytes" */
    char interface[COUNTER_NAME_MAX]; /* whose statistic it is; "": none's */
    char netns[80];                   /* as shown; "": the recorder's own */
    uint8_t kind;                     /* enum counter_kind */
};

/* Which series there are, of the namespaces that the filter's netns asks for, of which nothing else counts; a file of an older edition has none. Wall times, until_ms is not included;
 * walltime must stay as long as *ret. Call db_begin() before. -ENOMEM. */
int counter_grid_new(struct db *db, const struct walltime *walltime, const struct filter *filter,
                     int64_t since_ms, int64_t until_ms, int64_t step_ms, struct counter_grid **ret,
                     struct err *err);
void counter_grid_free(struct counter_grid *grid);
DEFINE_CLEANUP(struct counter_grid *, counter_grid_free)

/* How many: those of one counter stand together, then those of one statistic of interfaces. */
size_t counter_grid_count(const struct counter_grid *grid);

/* i < counter_grid_count(); valid as long as the grid. */
const struct counter_series *counter_grid_series(const struct counter_grid *grid, size_t i);

/* Reads series from `first` (< count) on, as many as are held at once; what was read before is gone. Call
 * db_begin() before. Returns how many, at least 1. -ENOMEM; others as stmt_step(). */
int counter_grid_load(struct counter_grid *grid, struct db *db, size_t first, struct err *err);

/* Of a series that was read: a value for each step, that of the last reading in it. An interface has
 * none while it was not there. */
const int64_t *counter_grid_values(const struct counter_grid *grid, size_t i);

/* How many steps there are. */
size_t counter_grid_steps(const struct counter_grid *grid);
