/* SPDX-License-Identifier: MIT */
#include "connhist/report/tables_live.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/base/cleanup.h"
#include "connhist/kernel/counters.h"
#include "connhist/kernel/interfaces.h"
#include "connhist/kernel/routes.h"
#include "netns_live.h"

void tables_finish(struct tables *tables)
{
    counter_table_finish(&tables->counters);
    interface_list_finish(&tables->interfaces);
    route_table_finish(&tables->routes);
}

/* What was inconsistent, or could not all be kept, is shown, and said. */
static int shown(int r, size_t n_left_out, const char *what, struct err *err)
{
    if (r == -EINTR)
        return 1;
    if (r < 0 || n_left_out == 0)
        return r;
    err_set(err, -E2BIG, "%zu %s are not shown: they are more, or larger, than can be held",
            n_left_out, what);
    return 1;
}

static int read_tables(unsigned which, struct tables *tables, struct err *err)
{
    int lacks = 0, r = 0;

    if (which & TABLE_COUNTERS) {
        r = counters_read(&tables->counters, err);
        r = shown(r, tables->counters.n_left_out, "counters", err);
        lacks |= r > 0;
    }
    if (r >= 0 && which & TABLE_INTERFACES) {
        r = interfaces_read(&tables->interfaces, err);
        r = shown(r, tables->interfaces.n_left_out, "network interfaces", err);
        lacks |= r > 0;
    }
    if (r >= 0 && which & TABLE_ROUTES) {
        r = routes_read(&tables->routes, err);
        r = shown(r, tables->routes.n_left_out, "routes", err);
        lacks |= r > 0;
    }
    return r < 0 ? r : lacks;
}

int tables_live(const struct filter *filter, unsigned which, struct tables *ret, struct err *err)
{
    _cleanup_close_ int home_fd = -1;
    struct netns_live netns;
    struct err back = {0};
    int r = netns_live_find(filter, &netns, err);

    if (r < 0)
        return r;
    snprintf(ret->netns, sizeof(ret->netns), "%s", netns.is_own ? "" : netns.name);
    r = netns_live_enter(&netns, &home_fd, err);
    if (r < 0)
        return r;
    r = read_tables(which, ret, err);
    if (netns_live_leave(home_fd, &back) < 0 && r >= 0)
        return err_set(err, back.code, "%s", back.text);
    return r;
}
