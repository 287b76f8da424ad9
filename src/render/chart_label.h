/* SPDX-License-Identifier: MIT */
#pragma once

#include "connhist/render/chart.h"
#include "layout.h"

/* Writes what a series is, e.g. "tcp 80 http server TIME_WAIT", without a newline. */
void chart_label(struct layout *layout, const struct trend_series *series,
                 const struct chart_options *options);
