/* SPDX-License-Identifier: MIT */
/* What of one namespace is told to the batch of a reading, and noted as told. 0 or -ENOMEM. */
#pragma once

#include "counting.h"

/* Where a name's counter stands when what it counted is gone: whatever has the name next begins
 * from 0. */
#define COUNTED_GONE INT64_MAX

/* Where what counts now stood, where that is not what its name had. */
struct counted_before {
    int64_t value;
    bool is_first; /* how it came to that nobody saw: it grew by more, perhaps */
};

/* The place of a value. -ENOSPC: the name is one too many (with `most` of them); -ENOMEM. */
int counting_find_value(struct counting_state *state, struct counted_space *space, const char *name,
                        size_t most, int64_t **ret);

/* before: NULL: what had the name is what counts. */
int counting_tell_counter(struct counting_state *state, struct counted_space *space,
                          const struct counter *counter, const struct counted_before *before);

/* Notes between two readings where the statistics of new interfaces stand: from there on they grow. */
int counting_meet(struct counted_space *space, const struct interface_list *list);

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
