/* SPDX-License-Identifier: MIT */
#include "connhist/store/known_services.h"

#include "sql.h"
#include "writer.h"

static const char sql[] = "SELECT n.inode, n.cookie, s.port, s.protocol, s.role FROM services AS s "
                          "JOIN netns AS n ON n.id = s.netns WHERE n.boot = ?1 AND s.port > 0";

/* Whether the row's namespace is among those of this run. */
static bool find(sqlite3_stmt *stmt, const struct netns_ref *netns, size_t n, uint32_t *ret)
{
    uint64_t inode = (uint64_t)sqlite3_column_int64(stmt, 0);
    uint64_t cookie = (uint64_t)sqlite3_column_int64(stmt, 1);

    for (size_t i = 0; i < n; i++)
        if (netns[i].inode == inode && netns[i].cookie == cookie) {
            *ret = netns[i].id;
            return true;
        }
    return false;
}

int store_each_service(struct store *store, const struct netns_ref *netns, size_t n_netns,
                       int (*fn)(void *arg, const struct service_key *key), void *arg,
                       struct err *err)
{
    _cleanup_(cleanup_sqlite3_finalize) sqlite3_stmt *stmt = NULL;
    int r = sql_prepare(store->db, sql, &stmt, err);

    if (r < 0)
        return r;
    SQL_BIND(stmt, store->boot);
    while ((r = sql_step(stmt, err)) > 0) {
        struct service_key key = {.port = sqlite3_column_int(stmt, 2),
                                  .protocol = (uint8_t)sqlite3_column_int(stmt, 3),
                                  .role = (uint8_t)sqlite3_column_int(stmt, 4)};

        if (!find(stmt, netns, n_netns, &key.netns))
            continue;
        r = fn(arg, &key);
        if (r < 0)
            return r;
    }
    return r;
}
