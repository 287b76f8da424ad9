/* SPDX-License-Identifier: MIT */
#include "connhist/store/upkeep.h"

#include "rollup.h"
#include "writer.h"

void store_set_retention(struct store *store, const struct store_retention *retention)
{
    store->retention = *retention;
}

int store_upkeep(struct store *store, int64_t now_ms, struct err *err)
{
    (void)now_ms; /* a period is over when a snapshot behind it is written */
    if (!store->db)
        return 0;
    return rollup_step(store, err);
}
