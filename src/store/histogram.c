/* SPDX-License-Identifier: MIT */
#include "connhist/store/histogram.h"

#include <errno.h>

static uint64_t add_up(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

void histogram_add(struct histogram_sum *sum, const struct histogram *histogram)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum->counts[i] = add_up(sum->counts[i], histogram->counts[i]);
}

/* Reads a count behind *offset. -EBADMSG: it is cut off, or too large. */
static int read_count(const uint8_t *bytes, size_t n, size_t *offset, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && *offset < n; shift += 7) {
        uint8_t byte = bytes[(*offset)++];

        if (shift == 63 && byte > 1)
            return -EBADMSG;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

int histogram_add_packed(struct histogram_sum *sum, const void *bytes, size_t n)
{
    struct histogram_sum added = *sum;
    const uint8_t *at = bytes;
    size_t offset = 0;
    unsigned next = 0;

    while (offset < n) {
        unsigned bucket = at[offset++];
        uint64_t count;

        if (bucket < next || bucket >= HISTOGRAM_BUCKETS ||
            read_count(at, n, &offset, &count) < 0 || count == 0)
            return -EBADMSG;
        added.counts[bucket] = add_up(added.counts[bucket], count);
        next = bucket + 1;
    }
    *sum = added;
    return 0;
}

size_t histogram_pack(const struct histogram_sum *sum, uint8_t buf[static HISTOGRAM_PACKED_MAX])
{
    size_t n = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = sum->counts[i];

        if (count == 0)
            continue;
        buf[n++] = (uint8_t)i;
        for (; count > 0x7f; count >>= 7)
            buf[n++] = (uint8_t)(count | 0x80);
        buf[n++] = (uint8_t)count;
    }
    return n;
}

uint64_t histogram_count(const struct histogram_sum *sum)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        n = add_up(n, sum->counts[i]);
    return n;
}

int64_t histogram_percentile(const struct histogram_sum *sum, double share)
{
    double wanted = share * (double)histogram_count(sum);
    uint64_t n = 0;
    int64_t bound = -1;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && (bound < 0 || (double)n < wanted); i++) {
        if (sum->counts[i] == 0)
            continue;
        n = add_up(n, sum->counts[i]);
        bound = (INT64_C(1) << i) - 1;
    }
    return bound;
}
