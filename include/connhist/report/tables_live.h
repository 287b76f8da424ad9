/* SPDX-License-Identifier: MIT */
/* The kernel's tables beside that of sockets, as they are now: counters, interfaces, routes. */
#pragma once

#include "connhist/base/err.h"
#include "connhist/model/counter.h"
#include "connhist/model/interface.h"
#include "connhist/model/route.h"
#include "connhist/report/filter.h"

#define TABLES_NETNS_MAX 80

/* Which tables to read: bits. */
enum table_bit {
    TABLE_COUNTERS = 1,
    TABLE_INTERFACES = 2,
    TABLE_ROUTES = 4,
};

/* What one network namespace has. Zeroed: nothing. */
struct tables {
    struct counter_table counters;    /* owned; sorted */
    struct interface_list interfaces; /* owned; sorted */
    struct route_table routes;        /* owned; sorted */
    char netns[TABLES_NETNS_MAX];     /* its name, as in struct socket_row; "" for one's own */
};

void tables_finish(struct tables *tables);

/* Reads the tables asked for, one after the other, in the network namespace that filter->netns
 * names, else in the calling thread's; of the filter nothing else counts. 0. 1: the answer may not
 * be whole, *err says why. -ENOENT: there is no such namespace now; -EPERM: CAP_SYS_ADMIN is
 * missing to look into it; others as counters_read(), interfaces_read(), routes_read(). */
int tables_live(const struct filter *filter, unsigned which, struct tables *ret, struct err *err);
