/* SPDX-License-Identifier: MIT */
#include "connhist/model/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "connhist/base/strutil.h"

static const uint8_t mapped_head[12] = {[10] = 0xff, [11] = 0xff};

bool address_is_any(uint8_t family, const struct address *address)
{
    static const uint8_t zeros[16];

    return memcmp(address->bytes, zeros, address_bytes(family)) == 0;
}

bool address_is_mapped(uint8_t family, const struct address *address)
{
    return family == AF_INET6 && memcmp(address->bytes, mapped_head, sizeof(mapped_head)) == 0;
}

uint32_t address_ipv4(uint8_t family, const struct address *address)
{
    const uint8_t *b = address->bytes + (family == AF_INET ? 0 : 12);

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

const char *address_format(uint8_t family, const struct address *address,
                           char buf[static ADDRESS_TEXT_MAX])
{
    if (!inet_ntop(family, address->bytes, buf, ADDRESS_TEXT_MAX))
        strcpy(buf, "?");
    return buf;
}

int address_parse(const char *text, uint8_t *ret_family, struct address *ret)
{
    struct address address = {0};
    uint8_t family = strchr(text, ':') ? AF_INET6 : AF_INET;

    if (inet_pton(family, text, address.bytes) != 1)
        return -EINVAL;
    *ret_family = family;
    *ret = address;
    return 0;
}

static void zero_behind(uint8_t *bytes, size_t n, unsigned bits)
{
    for (size_t i = 0; i < n; i++) {
        unsigned kept = bits > 8 * i ? bits - 8 * (unsigned)i : 0;

        if (kept < 8)
            bytes[i] &= (uint8_t)(0xff00 >> kept);
    }
}

void address_cut(uint8_t family, struct address *address, unsigned ipv4_bits, unsigned ipv6_bits)
{
    if (family == AF_INET)
        zero_behind(address->bytes, 4, ipv4_bits);
    else if (address_is_mapped(family, address))
        zero_behind(address->bytes + 12, 4, ipv4_bits);
    else
        zero_behind(address->bytes, 16, ipv6_bits);
}

int prefix_parse(const char *text, struct prefix *ret)
{
    char address[ADDRESS_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    struct prefix prefix = {0};
    uint64_t bits;

    if (n >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, n);
    address[n] = '\0';
    if (address_parse(address, &prefix.family, &prefix.base) < 0)
        return -EINVAL;
    bits = 8 * address_bytes(prefix.family);
    if (slash && parse_u64(slash + 1, 0, bits, &bits) < 0)
        return -EINVAL;
    prefix.bits = (uint8_t)bits;
    zero_behind(prefix.base.bytes, address_bytes(prefix.family), prefix.bits);
    *ret = prefix;
    return 0;
}

bool prefix_contains(const struct prefix *prefix, uint8_t family, const struct address *address)
{
    struct address cut = {0};

    if (prefix->family == AF_INET && address_is_mapped(family, address))
        memcpy(cut.bytes, address->bytes + 12, 4);
    else if (prefix->family == family)
        cut = *address;
    else
        return false;
    zero_behind(cut.bytes, address_bytes(prefix->family), prefix->bits);
    return memcmp(cut.bytes, prefix->base.bytes, address_bytes(prefix->family)) == 0;
}
