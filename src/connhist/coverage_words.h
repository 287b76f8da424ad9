/* SPDX-License-Identifier: MIT */
/* What is said about coverage beside an answer that can't carry it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/coverage.h"
#include "connhist/store/upkeep.h"

#include "context.h"

/* For formats without a place for coverage (csv, jsonl): one complaint when it is not whole. */
void coverage_warn(const struct context *ctx, const struct coverage *coverage);

/* For answers made of sockets, not of counts: says on stderr what the recorder did not keep of them
 * (`detail: off` or `anonymous`), if that is so. peers: the answer has remote addresses. */
void coverage_tell_detail(const struct coverage *coverage, bool peers);

/* Says on stderr from when on there is anything at all, where the older part is removed. */
void coverage_tell_pruned(const struct context *ctx, const struct coverage *coverage);

/* The heading over times in tables: it tells of what tier an answer is if that is not the finest one. */
const char *coverage_time_heading(enum tier tier, enum tier finest);

/* Says on stderr that begin, end and step are those of periods of shortest_ms, since there is nothing finer. */
void coverage_tell_tier(const struct context *ctx, int64_t shortest_ms, int64_t since_ms,
                        int64_t until_ms, int64_t step_ms);

/* Says on stderr that nothing matched, and whether anything was recorded in the span at all.
 * what: "socket", "listener" …; hint: a further sentence, NULL: none. */
void coverage_nothing(const struct context *ctx, const struct coverage *coverage, const char *what,
                      const char *hint, int64_t since_ms, int64_t until_ms);
