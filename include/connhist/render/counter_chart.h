/* SPDX-License-Identifier: MIT */
/* A counter of the kernel as a line of blocks, for people. */
#pragma once

#include "connhist/model/coverage.h"
#include "connhist/render/chart.h"
#include "connhist/report/tables_past.h"

struct counter_chart {
    const struct counter_steps *steps; /* none of these is owned */
    const struct coverage *coverage;
    const char *title; /* its name, and what it means */
    bool gauge;
};

/* As chart_print(): a block for what it grew by in a step, or the highest value of a gauge; its
 * maximum and the begin of that step, the sum and what it makes in a second of the time that was
 * covered. What it grew by over gaps is in no block and told apart. */
void counter_chart_print(const struct counter_chart *chart, const struct chart_options *options);
