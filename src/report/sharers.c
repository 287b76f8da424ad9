/* SPDX-License-Identifier: MIT */
#include "sharers.h"

#include "connhist/store/db.h"
#include "socket_row.h"

static const char sql[] = "SELECT owner FROM holders WHERE life = ?1 ORDER BY owner";

int sharers_find(struct sharers *sharers, struct owner_lookup *owners, const struct filter *filter,
                 const struct stored_life *life, int64_t until_ms, const struct known_owner **ret,
                 struct err *err)
{
    const struct known_owner *found = NULL, *known;
    int r = 0;

    *ret = NULL;
    if (!life->number)
        return 0;
    if (!sharers->stmt)
        r = db_prepare(sharers->db, sql, &sharers->stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(sharers->stmt, 1, life->number);
    while (!found && (r = stmt_step(sharers->stmt, err)) > 0) {
        r = owner_lookup_get(owners, stmt_i64(sharers->stmt, 0), &known, err);
        if (r < 0)
            break;
        if (known && !known_owner_later(known, until_ms) && filter_owner(filter, &known->owner))
            found = known;
    }
    stmt_reset(sharers->stmt);
    *ret = found;
    return r < 0 ? r : 0;
}
