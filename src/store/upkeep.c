/* SPDX-License-Identifier: MIT */
#include "connhist/store/upkeep.h"

#include "rollup.h"
#include "writer.h"

int store_upkeep(struct store *store, int64_t now_ms, struct err *err)
{
    int r;

    if (!store->db || !budget_may_work(store))
        return 0;
    r = rollup_step(store, err); /* first: what was not added up can't go */
    if (r == 0)
        r = retention_step(store, now_ms, err);
    return r ? r : hours_step(store, err);
}
