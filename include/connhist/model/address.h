/* SPDX-License-Identifier: MIT */
/* Internet addresses as the kernel's socket tables hold them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 64

/* One address. Its family (AF_INET or AF_INET6) stands beside it, once for both endpoints. */
struct address {
    uint8_t bytes[16]; /* network byte order; IPv4 uses the first 4, the rest is zero */
};

/* A set of addresses: those that share the first `bits` bits. */
struct prefix {
    uint8_t family;      /* AF_INET or AF_INET6 */
    uint8_t bits;        /* 0-32 or 0-128 */
    struct address base; /* bits below the prefix are zero */
};

static inline size_t address_bytes(uint8_t family)
{
    return family == 2 /* AF_INET */ ? 4 : 16;
}

/* Whether all bytes are zero: the wildcard. */
bool address_is_any(uint8_t family, const struct address *address);

/* Whether this is an IPv4-mapped IPv6 address (::ffff:a.b.c.d). */
bool address_is_mapped(uint8_t family, const struct address *address);

/* The 32 bits of an IPv4 or IPv4-mapped address, in host byte order. */
uint32_t address_ipv4(uint8_t family, const struct address *address);

/* Text as inet_ntop(3) writes it; returns buf. */
const char *address_format(uint8_t family, const struct address *address,
                           char buf[static ADDRESS_TEXT_MAX]);

/* Reads an address without prefix. -EINVAL when it is none. */
int address_parse(const char *text, uint8_t *ret_family, struct address *ret);

/* Zeroes all bits behind the first `bits`; of a mapped address it is the IPv4 part that is cut,
 * to ipv4_bits, of others ipv6_bits of all 128. */
void address_cut(uint8_t family, struct address *address, unsigned ipv4_bits, unsigned ipv6_bits);

/* Reads "10.0.0.0/8", "2001:db8::/32", or an address (all bits). -EINVAL when it is neither. */
int prefix_parse(const char *text, struct prefix *ret);

/* Whether the address lies in the prefix; an IPv4 prefix matches IPv4-mapped addresses too. */
bool prefix_contains(const struct prefix *prefix, uint8_t family, const struct address *address);
