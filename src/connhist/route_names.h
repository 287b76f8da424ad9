/* SPDX-License-Identifier: MIT */
/* Names that this host gives its tables of routes, where ip(8) has them from: the record has their
 * numbers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "connhist/base/vec.h"

struct route_table_name {
    uint32_t table; /* RTA_TABLE */
    char *name;     /* owned */
};

/* Zeroed: none. Of two for one name or number the later one counts. */
struct route_names {
    VEC_FIELDS(struct route_table_name);
};

void route_names_finish(struct route_names *names);

/* Reads iproute2's rt_tables, and rt_tables.d/NAME.conf, in /etc or else where the distribution has
 * them. What is not there or not understood is passed over, as by ip. 0 or -ENOMEM. */
int route_names_read(struct route_names *names);

/* The name of a table; NULL: it has none here. */
const char *route_names_of(const struct route_names *names, uint32_t table);

/* The number of a name; 0: nothing is called that. */
uint32_t route_names_find(const struct route_names *names, const char *name);
