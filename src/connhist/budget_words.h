/* SPDX-License-Identifier: MIT */
/* How large the record is, for people. */
#pragma once

#include "connhist/report/budget.h"

#define BUDGET_WORDS_MAX 256

/* "12.3 MiB since 2026-08-24 03:14:05"; a part without a begin has its size alone. */
const char *budget_part_words(const struct budget *budget, enum size_part part, bool utc,
                              char buf[static BUDGET_WORDS_MAX]);

/* Growth, budget, and when it will be reached. used_bytes: the file and its -wal. */
const char *budget_words(const struct budget *budget, int64_t used_bytes,
                         char buf[static BUDGET_WORDS_MAX]);

/* Days until the budget is reached; -1: it is not known, or never. */
int64_t budget_full_days(const struct budget *budget, int64_t used_bytes);
