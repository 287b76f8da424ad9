/* SPDX-License-Identifier: MIT */
/* Sets of numbers as the table `hours` has them: distances in an exponential Golomb code, which suits
 * both numbers that lie evenly and those that lie in heaps. */
#include <errno.h>
#include <stdlib.h>

#include "connhist/store/hours.h"

#define KIND_SHIFT 48
#define ORDER_MAX  (NUMBERS_BITS - 1)

int64_t hours_key(enum hours_kind kind, int64_t end_ms)
{
    return (int64_t)kind << KIND_SHIFT | end_ms;
}

int64_t hours_end(int64_t key)
{
    return key & HOURS_END_MAX_MS;
}

static uint64_t half(const uint8_t *bytes)
{
    uint64_t x = 0;

    for (int i = 0; i < 8; i++)
        x = x << 8 | bytes[i];
    return (x ^ x >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HOURS_IPV6_HALF_BITS);
}

uint64_t hours_ipv6(const uint8_t bytes[static 16])
{
    return half(bytes) << HOURS_IPV6_HALF_BITS | half(bytes + 8);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void drop_doubles(struct hours_numbers *numbers)
{
    size_t n = 0;

    for (size_t i = 0; i < numbers->n; i++)
        if (i == 0 || numbers->items[i] != numbers->items[n - 1])
            numbers->items[n++] = numbers->items[i];
    numbers->n = n;
}

void numbers_sort(struct hours_numbers *numbers)
{
    if (numbers->n > 1)
        qsort(numbers->items, numbers->n, sizeof(*numbers->items), compare);
    drop_doubles(numbers);
}

static void lose_bit(struct hours_numbers *numbers)
{
    for (size_t i = 0; i < numbers->n; i++)
        numbers->items[i] >>= 1;
    drop_doubles(numbers);
}

unsigned numbers_coarsen(struct hours_numbers *numbers, size_t n)
{
    unsigned lost = 0;

    for (; numbers->n > n && lost < NUMBERS_BITS; lost++)
        lose_bit(numbers);
    return lost;
}

static unsigned bits_of(uint64_t number)
{
    return number ? 64 - (unsigned)__builtin_clzll(number) : 0;
}

/* How far the i-th number lies behind the one before, less 1. */
static uint64_t distance(const struct hours_numbers *numbers, size_t i)
{
    return i == 0 ? numbers->items[0] : numbers->items[i] - numbers->items[i - 1] - 1;
}

static uint64_t count_bits(const struct hours_numbers *numbers, unsigned order)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < numbers->n; i++)
        bits += 2 * bits_of(distance(numbers, i) + (UINT64_C(1) << order)) - order - 1;
    return bits;
}

/* The order that takes the least, about: from how many distances there are of each length. */
static unsigned choose_order(const struct hours_numbers *numbers)
{
    uint64_t lengths[NUMBERS_BITS + 2] = {0}, least = UINT64_MAX;
    unsigned best = 0;

    for (size_t i = 0; i < numbers->n; i++)
        lengths[bits_of(distance(numbers, i))]++;
    for (unsigned order = 0; order <= ORDER_MAX; order++) {
        uint64_t bits = 0;

        for (unsigned length = 0; length <= NUMBERS_BITS; length++)
            bits += lengths[length] * (length > order ? 2 * length - order - 1 : order + 1);
        if (bits < least) {
            least = bits;
            best = order;
        }
    }
    return best;
}

static void put_bits(uint8_t *bytes, uint64_t *at, uint64_t value, unsigned n)
{
    for (unsigned i = n; i-- > 0; ++*at)
        if (value >> i & 1)
            bytes[*at / 8] |= (uint8_t)(0x80 >> *at % 8);
}

static void put_numbers(const struct hours_numbers *numbers, unsigned order, uint8_t *bytes)
{
    uint64_t at = 0;

    for (size_t i = 0; i < numbers->n; i++) {
        uint64_t value = distance(numbers, i) + (UINT64_C(1) << order);

        at += bits_of(value) - order - 1;
        put_bits(bytes, &at, value, bits_of(value));
    }
}

int numbers_pack(struct hours_numbers *numbers, unsigned lost, size_t most, struct hours_bytes *ret)
{
    unsigned order = choose_order(numbers);
    uint64_t bits = count_bits(numbers, order);

    for (; bits / 8 > most && lost < NUMBERS_BITS; lost++) {
        lose_bit(numbers);
        order = choose_order(numbers);
        bits = count_bits(numbers, order);
    }
    vec_clear(ret);
    if (vec_reserve(ret, bits / 8 + 16) < 0)
        return -ENOMEM;
    ret->items[ret->n++] = (uint8_t)lost;
    ret->items[ret->n++] = (uint8_t)order;
    for (size_t n = numbers->n; n >= 0x80 || (ret->items[ret->n++] = (uint8_t)n, false); n >>= 7)
        ret->items[ret->n++] = (uint8_t)(n | 0x80);
    for (uint64_t i = 0; i < (bits + 7) / 8; i++)
        ret->items[ret->n + i] = 0;
    put_numbers(numbers, order, ret->items + ret->n);
    ret->n += (bits + 7) / 8;
    return 0;
}

struct bits {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t kept; /* the next bits, highest first; 0 behind them */
    unsigned n;    /* how many of them are valid */
};

static void fill(struct bits *bits)
{
    for (; bits->n <= 56 && bits->at < bits->end; bits->n += 8)
        bits->kept |= (uint64_t)*bits->at++ << (56 - bits->n);
}

static uint64_t take(struct bits *bits, unsigned n)
{
    uint64_t value = bits->kept >> (64 - n);

    bits->kept <<= n;
    bits->n -= n;
    return value;
}

/* A distance less 1. */
static int read_distance(struct bits *bits, unsigned order, uint64_t *ret)
{
    unsigned zeros;

    fill(bits);
    if (!bits->kept)
        return -EBADMSG;
    zeros = (unsigned)__builtin_clzll(bits->kept);
    if (zeros + order > NUMBERS_BITS || zeros >= bits->n)
        return -EBADMSG;
    if (zeros)
        take(bits, zeros);
    fill(bits);
    if (bits->n < zeros + order + 1)
        return -EBADMSG;
    *ret = take(bits, zeros + order + 1) - (UINT64_C(1) << order);
    return 0;
}

static int read_head(struct bits *bits, unsigned *lost, unsigned *order, uint64_t *n)
{
    unsigned shift = 0;
    uint8_t byte;

    if (bits->end - bits->at < 3)
        return -EBADMSG;
    *lost = *bits->at++;
    *order = *bits->at++;
    *n = 0;
    do {
        if (bits->at == bits->end || shift > 28)
            return -EBADMSG;
        byte = *bits->at++;
        *n |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return *lost > NUMBERS_BITS || *order > ORDER_MAX ? -EBADMSG : 0;
}

/* Goes through a set. */
struct reader {
    struct bits bits;
    uint64_t number; /* the last one; before the first: -1 */
    uint64_t left;   /* numbers behind it */
    unsigned lost, order;
};

static int begin(struct reader *reader, const uint8_t *bytes, size_t n)
{
    *reader = (struct reader){.bits = {.at = bytes, .end = bytes + n}, .number = UINT64_MAX};
    return read_head(&reader->bits, &reader->lost, &reader->order, &reader->left);
}

/* 1: there is a next one; 0: there is none; -EBADMSG. */
static int next(struct reader *reader)
{
    uint64_t more;
    int r;

    if (reader->left == 0)
        return 0;
    r = read_distance(&reader->bits, reader->order, &more);
    if (r < 0)
        return r;
    reader->left--;
    reader->number += more + 1;
    return reader->number >> NUMBERS_BITS ? -EBADMSG : 1;
}

int numbers_meet(const uint8_t *bytes, size_t n, const struct number_range *ranges, size_t n_ranges)
{
    struct reader reader;
    int r = n ? begin(&reader, bytes, n) : -EBADMSG;

    if (r < 0)
        return r;
    while ((r = next(&reader)) > 0) {
        while (n_ranges && ranges->high >> reader.lost < reader.number) {
            ranges++;
            n_ranges--;
        }
        if (!n_ranges)
            return 0;
        if (ranges->low >> reader.lost <= reader.number)
            return 1;
    }
    return r;
}

int numbers_hold(const uint8_t *bytes, size_t n, const struct hours_numbers *numbers)
{
    struct reader reader;
    int r = n ? begin(&reader, bytes, n) : -EBADMSG;

    if (r == 0 && numbers->n)
        r = next(&reader);
    for (size_t i = 0; i < numbers->n; i++) {
        while (r > 0 && reader.number < numbers->items[i] >> reader.lost)
            r = next(&reader);
        if (r <= 0 || reader.number != numbers->items[i] >> reader.lost)
            return r < 0 ? r : 0;
    }
    return r < 0 ? r : 1;
}
