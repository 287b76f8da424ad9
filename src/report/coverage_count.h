/* SPDX-License-Identifier: MIT */
/* How many snapshots a span has, read from what was added up as far as it is. */
#pragma once

#include <stdint.h>

#include "connhist/base/err.h"
#include "connhist/report/coverage.h"

struct db;

/* Sets done, interrupted, unkept and details, for [from_ms, until_ms) of record time. */
int coverage_count(struct db *db, const struct walltime *walltime, int64_t from_ms,
                   int64_t until_ms, struct coverage *coverage, struct err *err);
