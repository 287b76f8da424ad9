/* SPDX-License-Identifier: MIT */
/* A walk over netlink attributes that checks every length. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct nlattr;

struct attr_walk {
    const uint8_t *at; /* 4-byte aligned */
    size_t left;       /* bytes */
};

/* Takes the next attribute: 1 and *ret, 0 at the end, -EPROTO where a length can't be. The last
 * one's padding may be missing. */
int attr_next(struct attr_walk *walk, const struct nlattr **ret);
