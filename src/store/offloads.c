/* SPDX-License-Identifier: MIT */
/* What held connections that were not ordinary: a row where it changed. */
#include "connhist/model/batch.h"
#include "sql.h"
#include "writer.h"

/* What is the same as before is not written: a life that had none before was the host's. */
static int put(struct store *store, const struct life *life, int64_t at_ms, struct err *err)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO offloads (life, at_ms, offload) SELECT ?1, ?2, ?3 WHERE ?3 <> "
        "coalesce((SELECT o.offload FROM offloads AS o WHERE o.life = ?1 ORDER BY o.at_ms DESC "
        "LIMIT 1), 1)";

    return WRITER_RUN(store, STMT_PUT_OFFLOAD, sql, err, (int64_t)life->number, at_ms,
                      life->offload);
}

/* A life has its value from a snapshot that showed it; one that closed, from one before its end. */
static int put_all(struct store *store, const struct life_vec *lives, int64_t start_ms,
                   struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < lives->n && r >= 0; i++) {
        const struct life *life = &lives->items[i];
        int64_t at_ms = start_ms;

        if (!life->offload)
            continue;
        if (life->ended_ms != TIME_UNKNOWN && life->ended_ms <= at_ms)
            at_ms = life->ended_ms - 1;
        r = put(store, life, at_ms > life->since_ms ? at_ms : life->since_ms, err);
    }
    return r < 0 ? r : 0;
}

int offloads_write(struct store *store, const struct batch *batch, struct err *err)
{
    int64_t start_ms = batch->snapshot.start_ms;
    int r = put_all(store, &batch->opened, start_ms, err);

    if (r >= 0)
        r = put_all(store, &batch->changed, start_ms, err);
    return r < 0 ? r : put_all(store, &batch->closed, start_ms, err);
}
