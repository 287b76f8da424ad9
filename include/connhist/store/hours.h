/* SPDX-License-Identifier: MIT */
/* What stretches of hours of `closed` hold, as sets of numbers: see `hours` in the schema. A search for
 * what is not in the set of a stretch passes over it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

#define HOURS_LENGTH_MS  INT64_C(3600000)
#define HOURS_LONGEST    24 /* hours of a stretch, at most */
#define HOURS_END_MAX_MS ((INT64_C(1) << 48) - 1)

/* The numbers of the file. */
enum hours_kind {
    HOURS_PORTS = 1,  /* at either end */
    HOURS_IPV4 = 2,   /* remote addresses, as unsigned numbers of 32 bits */
    HOURS_IPV6 = 3,   /* remote addresses, by hours_ipv6() */
    HOURS_OWNERS = 4, /* owners.id, earlier owners as well */
    HOURS_KINDS = 5,  /* 0 is none */
};

/* hours.key, and the end of the stretch that it tells. end_ms: of record time, 0 … HOURS_END_MAX_MS. */
int64_t hours_key(enum hours_kind kind, int64_t end_ms);
int64_t hours_end(int64_t key);

/* The number that stands for an address of IPv6: its upper half is that of the first eight bytes. */
#define HOURS_IPV6_HALF_BITS 24
uint64_t hours_ipv6(const uint8_t bytes[static 16]);

/* A range of numbers, both ends included. */
struct number_range {
    uint64_t low;
    uint64_t high;
};

struct hours_numbers {
    VEC_FIELDS(uint64_t);
};

struct hours_bytes {
    VEC_FIELDS(uint8_t);
};

#define NUMBERS_BITS     48 /* of the greatest number; who has greater ones cuts them */
#define NUMBERS_GREATEST ((UINT64_C(1) << NUMBERS_BITS) - 1)

/* Puts numbers in order, each once. */
void numbers_sort(struct hours_numbers *numbers);

/* Takes low bits off numbers that are in order until at most n are left; returns how many bits. */
unsigned numbers_coarsen(struct hours_numbers *numbers, size_t n);

/* Packs numbers, in order and each once, that lost `lost` bits. They may lose more, until they take no
 * more than most bytes: numbers is changed then. 0 or -ENOMEM. */
int numbers_pack(struct hours_numbers *numbers, unsigned lost, size_t most,
                 struct hours_bytes *ret);

/* Whether one of the numbers packed may lie in one of the ranges, which are in order and apart.
 * 1, 0, or -EBADMSG. */
int numbers_meet(const uint8_t *bytes, size_t n, const struct number_range *ranges,
                 size_t n_ranges);

/* Whether all of numbers, in order, may be among those packed: 1, 0, or -EBADMSG. */
int numbers_hold(const uint8_t *bytes, size_t n, const struct hours_numbers *numbers);
