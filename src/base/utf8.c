/* SPDX-License-Identifier: MIT */
#include "connhist/base/utf8.h"

#include <stddef.h>

/* What a lead byte promises: how many bytes follow, and the range of the first of them. That range
 * is what rules out overlong forms, surrogates and values beyond U+10FFFF. */
struct lead {
    uint8_t low;         /* first lead byte */
    uint8_t high;        /* last lead byte, included */
    uint8_t following;   /* continuation bytes */
    uint8_t second_low;  /* least first continuation byte */
    uint8_t second_high; /* greatest first continuation byte */
};

static const struct lead leads[] = {
    {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf}, {0xe1, 0xec, 2, 0x80, 0xbf},
    {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf}, {0xf0, 0xf0, 3, 0x90, 0xbf},
    {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct lead *lead_of(uint8_t byte)
{
    for (unsigned i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (byte >= leads[i].low && byte <= leads[i].high)
            return &leads[i];
    return NULL;
}

struct utf8 utf8_read(const char *text)
{
    const uint8_t *bytes = (const uint8_t *)text;
    const struct lead *lead;
    uint32_t code;

    if (bytes[0] < 0x80)
        return (struct utf8){.code = bytes[0], .bytes = 1, .valid = true};
    lead = lead_of(bytes[0]);
    if (!lead)
        return (struct utf8){.bytes = 1};
    code = bytes[0] & (0x3fU >> lead->following);
    for (unsigned i = 1; i <= lead->following; i++) {
        uint8_t low = i == 1 ? lead->second_low : 0x80, high = i == 1 ? lead->second_high : 0xbf;

        /* the NUL at the end of the text is outside of every range */
        if (bytes[i] < low || bytes[i] > high)
            return (struct utf8){.bytes = i};
        code = code << 6 | (bytes[i] & 0x3fU);
    }
    return (struct utf8){.code = code, .bytes = lead->following + 1U, .valid = true};
}

bool utf8_is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x061c ||
           (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}
