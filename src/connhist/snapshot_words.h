/* SPDX-License-Identifier: MIT */
/* What is said about the snapshot that stands for an instant. */
#pragma once

#include "connhist/base/timetext.h"
#include "connhist/report/sockets.h"

#include "context.h"

#define DISTANCE_MAX (2 * TIME_TEXT_MAX + 16)

/* "4s before 2026-11-22 03:14:04": how far what is shown is from the instant asked for, wall time; that
 * has its milliseconds if there are any. Returns buf. */
const char *snapshot_distance(const struct context *ctx, int64_t distance_ms, int64_t at_ms,
                              char buf[static DISTANCE_MAX]);

/* Where coverage of what such a snapshot shows ends, record time, not included: with the gap that the
 * instant asked for lies in, which then is told whole, or with the snapshot. */
int64_t snapshot_covered_until(const struct snapshot_choice *choice);

/* Complains, in one line each, of what a table of this snapshot can't tell. */
void snapshot_complain(const struct context *ctx, const struct snapshot_choice *choice);
