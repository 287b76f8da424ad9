/* SPDX-License-Identifier: MIT */
#include "scope_names.h"

#include <stdio.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/interfaces.h"
#include "connhist/store/db.h"

#define FIRST_EDITION 4

static const char sql[] = "SELECT name FROM interfaces WHERE netns = ?1 AND ifindex = ?2 AND "
                          "from_ms <= ?3 AND (until_ms IS NULL OR until_ms > ?4) "
                          "ORDER BY from_ms DESC LIMIT 1";

static bool any_is_bound(const struct socket_row_vec *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->items[i].scope_ifindex)
            return true;
    return false;
}

int scope_names_live(const struct netns_live *netns, struct socket_row_vec *rows, struct err *err)
{
    _cleanup_(interface_list_finish) struct interface_list list = {0};
    _cleanup_close_ int home_fd = -1;
    struct err unread = {0};
    int r;

    if (!any_is_bound(rows))
        return 0;
    if (netns_live_enter(netns, &home_fd, &unread) < 0)
        return 0;
    interfaces_read(&list, &unread);
    r = netns_live_leave(home_fd, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rows->n; i++) {
        struct socket_row *row = &rows->items[i];
        const struct interface *interface =
            row->scope_ifindex ? interface_list_find(&list, row->scope_ifindex) : NULL;

        if (interface)
            memcpy(row->interface, interface->name, sizeof(row->interface));
    }
    return 0;
}

int scope_names_past(struct scope_names *names, int64_t netns, uint32_t ifindex, int64_t since_ms,
                     int64_t at_ms, char ret[static INTERFACE_NAME_MAX], struct err *err)
{
    int r = 0;

    *ret = '\0';
    if (!ifindex || db_edition(names->db) < FIRST_EDITION)
        return 0;
    if (!names->stmt)
        r = db_prepare(names->db, sql, &names->stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(names->stmt, 1, netns);
    stmt_bind_i64(names->stmt, 2, ifindex);
    stmt_bind_i64(names->stmt, 3, at_ms);
    stmt_bind_i64(names->stmt, 4, since_ms);
    r = stmt_step(names->stmt, err);
    if (r > 0)
        snprintf(ret, INTERFACE_NAME_MAX, "%s", stmt_text(names->stmt, 0));
    stmt_reset(names->stmt);
    return r < 0 ? r : 0;
}
