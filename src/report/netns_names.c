/* SPDX-License-Identifier: MIT */
#include "netns_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/report/filter.h"
#include "connhist/store/db.h"

static const char names_sql[] = "SELECT id, inode, name, coalesce(boot, 0), cookie FROM netns "
                                "WHERE id IN (SELECT netns FROM services) ORDER BY name, boot, id";

static size_t run_end(const struct netns_names *names, size_t from)
{
    size_t end = from + 1;

    while (end < names->n && names->items[end].boot == names->items[from].boot &&
           strcmp(names->items[end].name, names->items[from].name) == 0)
        end++;
    return end;
}

/* The number tells them apart, unless the kernel gave it twice: then its own one does. */
static void tell_apart(struct netns_names *names, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        struct netns_name *one = &names->items[i];
        const char *name = *one->name ? one->name : FILTER_NETNS_OWN;
        bool twice = false;

        for (size_t j = from; j < end; j++)
            twice |= j != i && names->items[j].inode == one->inode;
        if (twice)
            snprintf(one->text, sizeof(one->text), "%.32s (inode:%lld, %lld)", name,
                     (long long)one->inode, (long long)one->cookie);
        else
            snprintf(one->text, sizeof(one->text), "%.50s (inode:%lld)", name,
                     (long long)one->inode);
    }
}

int netns_names_load(struct netns_names *ret, struct db *db, const struct filter *filter,
                     struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, names_sql, &stmt, err);

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        struct netns_name one = {.id = stmt_i64(stmt, 0),
                                 .boot = stmt_i64(stmt, 3),
                                 .inode = stmt_i64(stmt, 1),
                                 .cookie = stmt_i64(stmt, 4)};

        if (!filter_netns(filter, stmt_text(stmt, 2), (uint64_t)one.inode))
            continue;
        snprintf(one.name, sizeof(one.name), "%s", stmt_text(stmt, 2));
        memcpy(one.text, one.name, sizeof(one.name));
        if (vec_push(ret, one) < 0)
            return err_errno(err, -ENOMEM, "reading the network namespaces");
    }
    for (size_t from = 0, end; from < ret->n; from = end) {
        end = run_end(ret, from);
        if (end - from > 1)
            tell_apart(ret, from, end);
    }
    return r;
}

const char *netns_names_text(const struct netns_names *names, int64_t id)
{
    for (size_t i = 0; i < names->n; i++)
        if (names->items[i].id == id)
            return names->items[i].text;
    return NULL;
}

size_t netns_names_count(const struct netns_names *names)
{
    size_t count = 0, most = 0;

    for (size_t from = 0, end; from < names->n; from = end) {
        end = run_end(names, from);
        most = end - from > most ? end - from : most;
        if (end == names->n || strcmp(names->items[end].name, names->items[from].name) != 0) {
            count += most;
            most = 0;
        }
    }
    return count;
}
