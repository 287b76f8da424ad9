/* SPDX-License-Identifier: MIT */
#include "coverage_netns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/model/service.h"
#include "connhist/report/filter.h"
#include "connhist/store/db.h"
#include "edition.h"

static const char netns_sql[] = "SELECT id, inode, name FROM netns ORDER BY id";

/* A boot's first snapshot: one that was not there from then on was recorded later than others. */
static const char spans_sql[] =
    "SELECT p.netns, p.from_ms, p.until_ms, p.is_new, p.ended, (SELECT s.start_ms FROM snapshots "
    "AS s WHERE s.start_ms >= (SELECT min(r.started_ms) FROM recordings AS r WHERE r.boot = "
    "n.boot) "
    "ORDER BY s.start_ms LIMIT 1), (SELECT min(r.started_ms) FROM recordings AS r "
    "WHERE r.boot > n.boot) FROM netns_spans AS p JOIN netns AS n ON n.id = p.netns "
    "WHERE instr(?1, ',' || p.netns || ',') > 0 ORDER BY p.netns, p.from_ms";

void netns_choice_finish(struct netns_choice *choice)
{
    vec_finish(&choice->list);
    vec_finish(&choice->lapses);
    vec_finish(&choice->spans);
}

const char *netns_choice_text(const struct netns_choice *choice)
{
    return choice->list.n ? choice->list.items : NULL;
}

/* Appends "1,"; what is there ends with its NUL. */
static int add_number(struct netns_choice *choice, int64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld,", (long long)number);

    if (vec_reserve(&choice->list, (size_t)n) < 0)
        return -ENOMEM;
    memcpy(choice->list.items + choice->list.n - 1, text, (size_t)n + 1);
    choice->list.n += (size_t)n;
    return 0;
}

static int load_list(struct netns_choice *choice, struct db *db, const struct filter *filter,
                     struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, netns_sql, &stmt, err);

    if (r == 0 && (vec_push(&choice->list, ',') < 0 || vec_push(&choice->list, '\0') < 0))
        r = err_errno(err, -ENOMEM, "reading the network namespaces");
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0)
        if (filter_netns(filter, stmt_text(stmt, 2), (uint64_t)stmt_i64(stmt, 1)) &&
            add_number(choice, stmt_i64(stmt, 0)) < 0)
            return err_errno(err, -ENOMEM, "reading the network namespaces");
    return r;
}

/* Why it was recorded no longer; NULL: it was gone. */
static const char *reason_of(int64_t ended)
{
    switch (ended) {
    case NETNS_EXCLUDED:
        return "network namespace excluded by the configuration";
    case NETNS_DENIED:
        return "network namespace could not be entered";
    case NETNS_UNSEEN:
        return "network namespace did not show";
    default:
        return NULL;
    }
}

static int add_lapse(struct netns_choice *choice, int64_t from_ms, int64_t until_ms,
                     const char *reason)
{
    struct lapse lapse = {.from_ms = from_ms, .until_ms = until_ms, .reason = reason};

    return reason && from_ms < until_ms ? vec_push(&choice->lapses, lapse) : 0;
}

/* One row: what lies before it, back to the span before (its end and why, 0: there is none). */
static int take_span(struct netns_choice *choice, struct stmt *stmt, int64_t before_ms,
                     int64_t before_ended)
{
    int64_t from_ms = stmt_i64(stmt, 1);
    int64_t first_ms = stmt_is_null(stmt, 5) ? from_ms : stmt_i64(stmt, 5);

    if (before_ended)
        return add_lapse(choice, before_ms, from_ms, reason_of(before_ended));
    if (stmt_i64(stmt, 3) || first_ms >= from_ms)
        return 0;
    return add_lapse(choice, first_ms - 1, from_ms, "network namespace not recorded yet");
}

static int load_spans(struct netns_choice *choice, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t netns = 0, before_ms = 0, before_ended = 0, boot_end_ms = INT64_MAX;
    int r = db_prepare(db, spans_sql, &stmt, err), added = 0;

    if (r < 0)
        return r;
    stmt_bind_text(stmt, 1, netns_choice_text(choice));
    while (added == 0 && (r = stmt_step(stmt, err)) > 0) {
        struct netns_span span = {.netns = stmt_i64(stmt, 0),
                                  .from_ms = stmt_i64(stmt, 1),
                                  .until_ms =
                                      stmt_is_null(stmt, 2) ? INT64_MAX : stmt_i64(stmt, 2)};

        if (stmt_i64(stmt, 0) != netns) {
            added = add_lapse(choice, before_ms, boot_end_ms, reason_of(before_ended));
            netns = stmt_i64(stmt, 0);
            before_ended = 0;
        }
        if (added == 0)
            added = take_span(choice, stmt, before_ms, before_ended);
        before_ms = span.until_ms;
        before_ended = stmt_is_null(stmt, 4) ? 0 : stmt_i64(stmt, 4);
        boot_end_ms = stmt_is_null(stmt, 6) ? INT64_MAX : stmt_i64(stmt, 6);
        if (added == 0)
            added = vec_push(&choice->spans, span);
    }
    if (r == 0 && added == 0)
        added = add_lapse(choice, before_ms, boot_end_ms, reason_of(before_ended));
    return added < 0 ? err_errno(err, added, "reading the network namespaces") : r;
}

/* While another of the same name was recorded there is an answer. */
static int take_out(struct netns_choice *choice, const struct netns_span *span)
{
    size_t n = choice->lapses.n;
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        struct lapse lapse = choice->lapses.items[i];

        if (span->from_ms >= lapse.until_ms || span->until_ms <= lapse.from_ms)
            continue;
        if (span->from_ms > lapse.from_ms) {
            choice->lapses.items[i].until_ms = span->from_ms;
            if (span->until_ms < lapse.until_ms)
                r = add_lapse(choice, span->until_ms, lapse.until_ms, lapse.reason);
        } else {
            choice->lapses.items[i].from_ms =
                span->until_ms < lapse.until_ms ? span->until_ms : lapse.until_ms;
        }
    }
    return r;
}

/* A pause that reaches into the span may be told otherwise by what lies outside. */
static const char apart_sql[] =
    "WITH span AS (SELECT coalesce((SELECT min(from_ms) FROM pauses WHERE from_ms < ?1 "
    "AND until_ms > ?1), ?1) AS from_ms, coalesce((SELECT max(until_ms) FROM pauses "
    "WHERE from_ms < ?2 AND until_ms > ?2), ?2) AS until_ms) "
    "SELECT 1 FROM span WHERE EXISTS (SELECT 1 FROM incomplete AS i "
    "WHERE i.start_ms >= span.from_ms AND i.start_ms < span.until_ms) "
    "OR EXISTS (SELECT 1 FROM netns_covers AS n WHERE n.tier = 3 AND n.at_ms > span.from_ms - "
    "86400000 AND n.at_ms < span.until_ms) OR EXISTS (SELECT 1 FROM netns_covers AS n "
    "WHERE n.tier = 2 AND n.at_ms > span.from_ms - 3600000 AND n.at_ms < span.until_ms) "
    "OR EXISTS (SELECT 1 FROM netns_covers AS n WHERE n.tier = 1 AND n.at_ms > span.from_ms - "
    "60000 AND n.at_ms < span.until_ms)";

/* They are as all others where no snapshot was complete in some alone, and none came or went. */
static int find_apart(struct netns_choice *choice, struct db *db, int64_t from_ms, int64_t until_ms,
                      struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(
        db, edition_has_tiers(db) ? apart_sql : "SELECT 1 FROM incomplete WHERE ?1 < ?2 LIMIT 1",
        &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from_ms);
    stmt_bind_i64(stmt, 2, until_ms);
    r = stmt_step(stmt, err);
    choice->apart = r > 0 || netns_choice_between(choice, from_ms, until_ms);
    return r < 0 ? r : 0;
}

int netns_choice_load(struct netns_choice *ret, struct db *db, const struct filter *filter,
                      int64_t from_ms, int64_t until_ms, struct err *err)
{
    struct netns_choice choice = {0};
    int r;

    if (!filter || !filter->netns || !edition_has_events(db)) {
        *ret = choice;
        return 0;
    }
    r = load_list(&choice, db, filter, err);
    if (r == 0)
        r = load_spans(&choice, db, err);
    for (size_t i = 0; i < choice.spans.n && r == 0; i++)
        if (take_out(&choice, &choice.spans.items[i]) < 0)
            r = err_errno(err, -ENOMEM, "reading the network namespaces");
    if (r == 0)
        r = find_apart(&choice, db, from_ms, until_ms, err);
    if (r < 0)
        netns_choice_finish(&choice);
    else
        *ret = choice;
    return r;
}

bool netns_choice_is_alone(const struct netns_choice *choice, int64_t netns, int64_t from_ms,
                           int64_t until_ms)
{
    for (size_t i = 0; i < choice->spans.n; i++)
        if (choice->spans.items[i].netns != netns && choice->spans.items[i].from_ms < until_ms &&
            choice->spans.items[i].until_ms >= from_ms)
            return false;
    return true;
}

const struct lapse *netns_choice_lapse(const struct netns_choice *choice, int64_t at_ms)
{
    for (size_t i = 0; i < choice->lapses.n; i++)
        if (choice->lapses.items[i].from_ms < at_ms && at_ms < choice->lapses.items[i].until_ms)
            return &choice->lapses.items[i];
    return NULL;
}

const struct lapse *netns_choice_between(const struct netns_choice *choice, int64_t from_ms,
                                         int64_t until_ms)
{
    for (size_t i = 0; i < choice->lapses.n; i++)
        if (choice->lapses.items[i].from_ms < until_ms &&
            from_ms < choice->lapses.items[i].until_ms)
            return &choice->lapses.items[i];
    return NULL;
}
