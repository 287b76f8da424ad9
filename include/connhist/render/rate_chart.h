/* SPDX-License-Identifier: MIT */
/* What came and went as lines of blocks, for people. */
#pragma once

#include "connhist/render/chart.h"
#include "connhist/report/rate.h"

/* As chart_print(). Each series has one line for opened, one for sent and one for received bytes,
 * one for p50 and one for p99 of durations and round trips; for closed one of all and one for each
 * way to end that there was, unless that was the only one. Each line has its maximum in a step and
 * the begin of that step; the sum and what it makes in a second of the time that was recorded, or
 * the last value. A sum of which something may lack is told as "at least". */
void rate_chart_print(const struct rates *rates, enum rate_measure measure,
                      const struct chart_options *options);
