/* SPDX-License-Identifier: MIT */
/* Histograms as the file keeps them: for each bucket that is not empty, in ascending order, its
 * number (a byte) and its count (LEB128). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/model/batch.h"

/* A histogram of any number of minutes: counts stay at their maximum instead of wrapping. */
struct histogram_sum {
    uint64_t counts[HISTOGRAM_BUCKETS];
};

#define HISTOGRAM_PACKED_MAX (HISTOGRAM_BUCKETS * 11)

/* Adds one of a batch. */
void histogram_add(struct histogram_sum *sum, const struct histogram *histogram);

/* Adds one of the file. -EBADMSG: it is damaged, and nothing was added. */
int histogram_add_packed(struct histogram_sum *sum, const void *bytes, size_t n);

/* Returns the number of bytes; 0: it is empty. */
size_t histogram_pack(const struct histogram_sum *sum, uint8_t buf[static HISTOGRAM_PACKED_MAX]);

/* How many values are in it. */
uint64_t histogram_count(const struct histogram_sum *sum);

/* The upper bound of the bucket in which the value lies that `share` (0 … 1) of all are not above;
 * the last bucket's is that of its own values, though greater ones are in it, too. -1: empty. */
int64_t histogram_percentile(const struct histogram_sum *sum, double share);
