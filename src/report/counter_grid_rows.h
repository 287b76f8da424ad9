/* SPDX-License-Identifier: MIT */
/* Reads the rows of one namespace into a grid of counters and steps. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/report/counter_grid.h"

/* A namespace of one boot. */
struct grid_place {
    int64_t netns;   /* netns.id */
    int64_t from_ms; /* since when it was recorded, record time */
    char label[80];  /* as struct counter_series.netns */
};

struct grid_series {
    struct counter_series told;
    int64_t counter; /* counter_names.id */
};

/* A span in steps; which rows tell of it. */
struct grid_span {
    const struct walltime *walltime; /* not owned */
    int64_t since_ms;                /* wall time */
    int64_t until_ms;                /* wall time, not included */
    int64_t step_ms;
    size_t n_steps;
    int64_t days_ms;     /* record time: days from here on, where hours are gone ... */
    int64_t hours_ms;    /* ... hours from here on, where readings are ... */
    int64_t readings_ms; /* ... and readings from here on ... */
    int64_t end_ms;      /* ... to here */
};

/* Sets the record times. */
int grid_span_load(struct grid_span *span, struct db *db, struct err *err);

/* Puts what the namespace's readings told of n series into values, n_steps for each of them: those of
 * other namespaces stay. */
int grid_rows_read(const struct grid_span *span, struct db *db, const struct grid_place *place,
                   const struct grid_series *series, size_t n, int64_t *values, struct err *err);
