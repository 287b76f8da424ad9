/* SPDX-License-Identifier: MIT */
#include "counted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/store/db.h"
#include "edition.h"

void counted_spans_finish(struct counted_spans *spans)
{
    vec_finish(spans);
}

int counted_kept_load(struct counted_spans *ret, struct db *db, struct err *err)
{
    static const char sql[] =
        "SELECT tier, from_ms, until_ms FROM tiers WHERE tier BETWEEN 1 AND 3";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t from_ms[4] = {0};
    int r = db_prepare(db, sql, &stmt, err);

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        from_ms[stmt_i64(stmt, 0)] = stmt_i64(stmt, 1);
        if (stmt_i64(stmt, 0) == 2)
            ret->hours_until_ms = stmt_i64(stmt, 2);
    }
    /* Where the coarser tier begins no earlier, nothing was left to it: that is how far back a copy
     * of a span goes. */
    ret->hours_from_ms = from_ms[3] < from_ms[2] ? from_ms[2] : 0;
    ret->minutes_from_ms = from_ms[2] < from_ms[1] || ret->hours_from_ms ? from_ms[1] : 0;
    return r;
}

bool counted_is_again(const struct counted_spans *spans, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (spans->items[i].netns == spans->items[at].netns)
            return true;
    return false;
}

int counted_spans_load(struct counted_spans *ret, struct db *db, const struct filter *filter,
                       struct err *err)
{
    static const char sql[] =
        "SELECT n.id, n.inode, n.name, s.from_ms, coalesce(s.until_ms, 9223372036854775807), "
        "coalesce(n.boot, 0), n.cookie, coalesce(s.ended, 0), s.is_new AND (SELECT count(*) FROM "
        "netns_spans AS o WHERE o.netns = n.id) = 1 FROM netns_spans AS s JOIN netns AS n ON n.id "
        "= s.netns ORDER BY s.from_ms, n.id";
    const struct filter chosen = {.netns = filter->netns ? filter->netns : FILTER_NETNS_OWN};
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r;

    if (!edition_has_counters(db))
        return 0;
    r = counted_kept_load(ret, db, err);
    if (r == 0)
        r = db_prepare(db, sql, &stmt, err);
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        struct counted_span span = {.netns = stmt_i64(stmt, 0),
                                    .from_ms = stmt_i64(stmt, 3),
                                    .until_ms = stmt_i64(stmt, 4),
                                    .boot = stmt_i64(stmt, 5),
                                    .inode = stmt_i64(stmt, 1),
                                    .cookie = stmt_i64(stmt, 6),
                                    .gone = stmt_i64(stmt, 7) == NETNS_GONE,
                                    .is_new = stmt_i64(stmt, 8) != 0};

        if (!filter_netns(&chosen, stmt_text(stmt, 2), (uint64_t)stmt_i64(stmt, 1)))
            continue;
        snprintf(span.name, sizeof(span.name), "%s", stmt_text(stmt, 2));
        if (vec_push(ret, span) < 0)
            return err_errno(err, -ENOMEM, "reading the network namespaces");
    }
    if (r == 0 && ret->n == 0 && filter->netns)
        return err_set(err, -ENOENT, "network namespace %s was never recorded", filter->netns);
    return r;
}

void counted_netns_text(const struct counted_spans *spans, int64_t netns,
                        char ret[static TABLES_NETNS_MAX])
{
    const struct counted_span *one = NULL;
    bool named = false, numbered = false; /* another one has its name, or its number, too */

    for (size_t i = 0; i < spans->n; i++)
        if (spans->items[i].netns == netns)
            one = &spans->items[i];
    for (size_t i = 0; one && *one->name && i < spans->n; i++) {
        const struct counted_span *other = &spans->items[i];

        if (other->netns == netns || other->boot != one->boot ||
            strcmp(other->name, one->name) != 0)
            continue;
        named = true;
        numbered |= other->inode == one->inode;
    }
    if (numbered)
        snprintf(ret, TABLES_NETNS_MAX, "%.32s (inode:%lld, %lld)", one->name,
                 (long long)one->inode, (long long)one->cookie);
    else if (named)
        snprintf(ret, TABLES_NETNS_MAX, "%.50s (inode:%lld)", one->name, (long long)one->inode);
    else
        snprintf(ret, TABLES_NETNS_MAX, "%s", one ? one->name : "");
}

static int64_t ceil_to(int64_t at_ms, int64_t length_ms)
{
    return (at_ms + length_ms - 1) / length_ms * length_ms;
}

static unsigned put(struct counted_piece *ret, unsigned n, int tier, int64_t from_ms,
                    int64_t end_ms)
{
    if (from_ms >= end_ms)
        return n;
    ret[n] = (struct counted_piece){.from_ms = from_ms, .end_ms = end_ms, .tier = tier};
    return n + 1;
}

unsigned counted_cut(int64_t from_ms, int64_t until_ms, struct counted_piece ret[static 5])
{
    int64_t from = from_ms + 1, end = until_ms + 1; /* [from, end) */
    int64_t hour = ceil_to(from, COUNTED_HOUR_MS), last_hour = end - end % COUNTED_HOUR_MS;
    int64_t day = ceil_to(hour, COUNTED_DAY_MS), last_day = last_hour - last_hour % COUNTED_DAY_MS;
    unsigned n = 0;

    if (hour >= last_hour)
        return put(ret, n, 1, from, end);
    n = put(ret, n, 1, from, hour);
    if (day >= last_day) {
        n = put(ret, n, 2, hour, last_hour);
    } else {
        n = put(ret, n, 2, hour, day);
        n = put(ret, n, 3, day, last_day);
        n = put(ret, n, 2, last_day, last_hour);
    }
    return put(ret, n, 1, last_hour, end);
}
