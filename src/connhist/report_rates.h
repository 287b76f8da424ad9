/* SPDX-License-Identifier: MIT */
/* connhist report --measure, and what both kinds of report share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/render/chart.h"
#include "connhist/render/writer.h"

#include "context.h"

/* Answers --measure. Returns an exit status; complains itself. */
int report_rates(struct context *ctx);

/* Whether it is asked well, without a file. Returns an exit status; complains itself. */
int report_rates_check(struct context *ctx);

/* How a chart is drawn on stdout; while ctx and its names stay. */
struct chart_options report_chart_options(const struct context *ctx);

/* Reads --by as a set of enum trend_by; port, role and state where it was not given. Returns an
 * exit status; complains itself. */
int report_by(const struct context *ctx, unsigned *ret);

/* The word of --by for one of these bits. */
const char *report_by_word(unsigned by);

/* The port of a series, with its name for people; buf must stay as long as the cell. */
struct cell report_port_cell(const struct context *ctx, unsigned protocol, int32_t port, char *buf,
                             size_t size);
