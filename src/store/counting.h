/* SPDX-License-Identifier: MIT */
/* Counters, interfaces and routes, inside a transaction. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "connhist/model/batch.h"

struct store;
struct batch_ids;
struct err;

/* The names of counters while a batch is written. */
struct counting_naming {
    int64_t n;        /* in the file; -1: not looked yet */
    int64_t last;     /* the number given last; 0: none */
    uint32_t refused; /* changes that were left out since there are too many */
};

/* The number of a counter's name, which may be new. *ret 0: there are too many (counting_names.c). */
int counting_find_name(struct store *store, const struct counter_change *change,
                       struct counting_naming *naming, int64_t *ret, struct err *err);

int counting_write(struct store *store, const struct batch_ids *ids, const struct batch *batch,
                   struct err *err);

/* One namespace's share. anew: what the file has is of an earlier boot. hops: of all routes of the batch (counting_tables.c). */
int counting_put_interfaces(struct store *store, int64_t netns, int64_t at_ms,
                            const struct counted_netns *one, bool anew,
                            const struct interface_change *changes, struct err *err);
int counting_put_routes(struct store *store, int64_t netns, int64_t at_ms,
                        const struct counted_netns *one, bool anew,
                        const struct route_change *changes, const struct route_hop *hops,
                        struct err *err);
