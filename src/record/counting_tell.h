/* SPDX-License-Identifier: MIT */
/* What of one namespace is told to the batch of a reading, and noted as told. 0 or -ENOMEM. */
#pragma once

#include "counting.h"

/* Where a name's counter stands when what it counted is gone: whatever has the name next begins
 * from 0. */
#define COUNTED_GONE INT64_MAX

/* The place of a value; NULL: the name is one too many (with `most` of them), or memory is short. */
int64_t *counting_find_value(struct counting_state *state, struct counted_space *space,
                             const char *name, size_t most);

/* before: what counts is not what had the name, and this is where it stood; NULL: it is the same. */
int counting_tell_counter(struct counting_state *state, struct counted_space *space,
                          const struct counter *counter, const int64_t *before);

/* The statistics of interfaces, which are held against those of the reading that told them last. */
int counting_tell_stats(struct counting_state *state, struct counted_space *space,
                        const struct interface_list *list);

/* How interfaces are, without their statistics. */
int counting_tell_interfaces(struct counting_state *state, struct counted_space *space,
                             const struct interface_list *list);

/* Takes the routes out of *now. Both are sorted as by route_table_sort(), by hops too: link-local
 * routes differ in those alone. */
int counting_tell_routes(struct counting_state *state, struct counted_space *space,
                         struct route_table *now);
