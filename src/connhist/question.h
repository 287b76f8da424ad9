/* SPDX-License-Identifier: MIT */
/* From the texts of options to the values of a question. All return an exit status and complain
 * themselves, saying what is wrong and what would be right. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/report/filter.h"

#include "context.h"

/* Reads an option that is a time; leaves *ret when it was not given. */
int question_time(const struct context *ctx, enum option_id id, int64_t *ret_ms);

/* Reads an option that is a duration of at least min_ms; leaves *ret when it was not given. */
int question_duration(const struct context *ctx, enum option_id id, int64_t min_ms,
                      int64_t *ret_ms);

/* Reads an option that is a number of at most max; leaves *ret when it was not given. */
int question_number(const struct context *ctx, enum option_id id, uint64_t max, uint64_t *ret);

/* Reads --since and --until with their defaults: 24 hours ago or where the record begins, and now.
 */
int question_span(struct context *ctx, int64_t *ret_since_ms, int64_t *ret_until_ms);

/* Reads --port --proto --state --role --peer --local --netns --process --unit --container
 * --pid into a filter. families: whether
 * --proto may name one of IPv4 and IPv6. */
int question_filter(struct context *ctx, bool families, struct filter *ret);

/* Reads --netns alone. */
int question_netns(const struct context *ctx, struct filter *filter);

/* Wall time of the first snapshot, TIME_UNKNOWN if there is none, or no file. */
int question_record_begin(struct context *ctx, int64_t *ret_ms);

/* Complains that no snapshot was taken at or before an instant (wall time), and where the record
 * begins. */
int question_no_snapshot(struct context *ctx, int64_t at_ms, int64_t pruned_ms);
