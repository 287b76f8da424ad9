/* SPDX-License-Identifier: MIT */
/* Samples with their times as text: OpenMetrics 1.0, which promtool and others read. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct metric_label {
    const char *name;  /* of a fixed list */
    const char *value; /* any bytes: what is not UTF-8, and controls, are written as \xHH, as
                          text_for_terminal() does; NULL or "": the sample has none */
};

enum openmetrics_type {
    OPENMETRICS_GAUGE,
    OPENMETRICS_COUNTER, /* its samples are called NAME_total; it may begin again from 0 */
};

/* Begins a family; all of its samples follow before the next family, each series by itself and in the
 * order of time. unit: NULL, or what the name ends in ("bytes"). help is one line. */
void openmetrics_family(FILE *out, const char *name, enum openmetrics_type type, const char *unit,
                        const char *help);

/* One sample; at_ms: since 1970 UTC. */
void openmetrics_sample(FILE *out, const char *name, const struct metric_label *labels, size_t n,
                        int64_t value, int64_t at_ms);

/* Nothing may follow: who reads it knows that it is whole. */
void openmetrics_end(FILE *out);
