/* SPDX-License-Identifier: MIT */
/* Names of processes beside our own words. */
#pragma once

#include <stdio.h>

#define QUOTED_MAX 128 /* a name and its quotes */

/* A name as a table shows it: in quotes where it begins as our own words, "(unknown)" and the like, or as a
 * quoted one do. Returns name, or what it wrote into buf. */
static inline const char *quoted_name(const char *name, char buf[static QUOTED_MAX])
{
    if (*name != '(' && *name != '"')
        return name;
    snprintf(buf, QUOTED_MAX, "\"%.120s\"", name);
    return buf;
}
