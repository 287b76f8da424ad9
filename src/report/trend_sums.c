/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/store/db.h"
#include "edition.h"
#include "trend_rows.h"

/* Of so many periods a step has its bounds. */
#define SUMS_PERIODS 60

/* With more changes of namespaces there would be more to read than of a sum. */
#define SPANS_MAX 16

/* When a namespace had sockets at most: while it was recorded, and before the next boot's first snapshot. One whose
 * spans are not known was there through its boot. What is gone was not counted at its last snapshot. */
static const char spans_sql[] =
    "WITH known AS (SELECT n.id, p.from_ms AS from_ms, CASE WHEN p.ended = 1 THEN p.until_ms "
    "ELSE p.until_ms + 1 END AS end_ms, (SELECT min(r.started_ms) FROM recordings AS r "
    "WHERE r.boot = n.boot) AS boot_ms, (SELECT min(r.started_ms) FROM recordings AS r "
    "WHERE r.boot > n.boot) AS next_ms FROM netns AS n "
    "LEFT JOIN netns_spans AS p ON p.netns = n.id), "
    "spans AS (SELECT id, coalesce(from_ms, boot_ms, 0) AS from_ms, "
    "min(coalesce(end_ms, 9223372036854775807), coalesce(next_ms, 9223372036854775807)) "
    "AS end_ms FROM known) "
    "SELECT id, from_ms, end_ms FROM spans WHERE from_ms < ?2 AND end_ms > ?1 ORDER BY from_ms, "
    "end_ms";

struct span {
    int64_t netns;
    int64_t from_ms;
    int64_t end_ms; /* no count is left from here on */
};

struct spans {
    VEC_FIELDS(struct span); /* ascending by from_ms */
};

static void spans_finish(struct spans *spans)
{
    vec_finish(spans);
}

/* A service of the question and the series it belongs to. */
struct member {
    struct series_key key;
    uint32_t netns;
};

void trend_sums_finish(struct trend_sums *sums)
{
    vec_finish(&sums->cuts);
}

enum tier trend_sums_tier(int64_t step_ms)
{
    enum tier tier = TIER_TICKS;

    while (tier < TIER_DAYS && tier_length_ms(tier + 1) <= step_ms / SUMS_PERIODS)
        tier++;
    return tier;
}

static int compare_netns(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

/* Of the namespaces of a question, in order; no more than SPANS_MAX + 1. */
static int load_spans(struct spans *ret, struct db *db, const uint32_t *netns, size_t n_netns,
                      int64_t from_ms, int64_t until_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, spans_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from_ms);
    stmt_bind_i64(stmt, 2, until_ms);
    while (ret->n <= SPANS_MAX && (r = stmt_step(stmt, err)) > 0) {
        struct span span = {
            .netns = stmt_i64(stmt, 0), .from_ms = stmt_i64(stmt, 1), .end_ms = stmt_i64(stmt, 2)};
        uint32_t number = (uint32_t)span.netns;

        if (n_netns && bsearch(&number, netns, n_netns, sizeof(number), compare_netns) &&
            vec_push(ret, span) < 0)
            return err_errno(err, -ENOMEM, "reading the network namespaces");
    }
    return r < 0 ? r : 0;
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    int r = memcmp(&a->key, &b->key, sizeof(a->key));

    return r ? r : (a->netns > b->netns) - (a->netns < b->netns);
}

/* Whether a namespace is among those of members, which are in order. */
static bool has_netns(const struct member *members, size_t n, int64_t netns)
{
    for (size_t i = 0; i < n; i++)
        if (members[i].netns == netns)
            return true;
    return false;
}

/* The members of one series: a sum if two are of one namespace, or of two that were there at once; else it goes over from one
 * to the next. */
static int add_series(struct trend_sums *sums, const struct spans *spans,
                      const struct member *members, size_t n)
{
    const struct span *before = NULL;

    for (size_t i = 1; i < n; i++)
        sums->add_up |= members[i - 1].netns == members[i].netns;
    sums->add_up |= n > 1 && spans->n > SPANS_MAX;
    for (size_t i = 0; n > 1 && !sums->add_up && i < spans->n; i++) {
        const struct span *span = &spans->items[i];

        if (!has_netns(members, n, span->netns))
            continue;
        if (before && before->netns != span->netns) {
            sums->add_up = before->end_ms > span->from_ms;
            if (vec_push(&sums->cuts, span->from_ms) < 0)
                return -ENOMEM;
        }
        if (!before || before->end_ms < span->end_ms || before->netns != span->netns)
            before = span;
    }
    return 0;
}

static int compare_cuts(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void order_cuts(struct trend_sums *sums)
{
    size_t kept = 0;

    if (sums->cuts.n > 1)
        qsort(sums->cuts.items, sums->cuts.n, sizeof(sums->cuts.items[0]), compare_cuts);
    for (size_t i = 0; i < sums->cuts.n; i++)
        if (kept == 0 || sums->cuts.items[kept - 1] != sums->cuts.items[i])
            sums->cuts.items[kept++] = sums->cuts.items[i];
    sums->cuts.n = kept;
}

/* Puts down the services of the question, in order of their series; returns how many, or -ENOMEM. */
static int64_t list_members(const struct lookup *lookup, struct labels *labels, unsigned by,
                            struct member *members)
{
    size_t n = 0;

    for (size_t i = 0; i < lookup->services.n; i++) {
        const struct known_service *service = &lookup->services.items[i];

        if (!service->chosen)
            continue;
        members[n].key = series_key_make(by, &service->key, 0);
        members[n].netns = service->key.netns;
        if (labels_of_service(labels, by, service, &members[n++].key.labels) < 0)
            return -ENOMEM;
    }
    if (n > 1)
        qsort(members, n, sizeof(*members), compare_members);
    return (int64_t)n;
}

/* Reads the spans of the namespaces that members are of. */
static int load_spans_of(struct spans *ret, struct db *db, const struct member *members, size_t n,
                         int64_t from_ms, int64_t until_ms, struct err *err)
{
    _cleanup_free_ uint32_t *netns = calloc(n + 1, sizeof(*netns));

    if (!netns)
        return err_errno(err, -ENOMEM, "reading the network namespaces");
    for (size_t i = 0; i < n; i++)
        netns[i] = members[i].netns;
    if (n > 1)
        qsort(netns, n, sizeof(*netns), compare_netns);
    return load_spans(ret, db, netns, n, from_ms, until_ms, err);
}

int trend_sums_find(struct trend_sums *ret, struct db *db, const struct lookup *lookup,
                    struct labels *labels, const struct trend_question *question, int64_t from_ms,
                    int64_t until_ms, struct err *err)
{
    _cleanup_free_ struct member *members = calloc(lookup->services.n + 1, sizeof(*members));
    _cleanup_(spans_finish) struct spans spans = {0};
    uint16_t states = question->filter.states;
    bool one_state = states && !(states & (states - 1));
    int64_t n;
    int r;

    ret->add_up = (!(question->by & TREND_BY_STATE) && !one_state);
    if (ret->add_up || !edition_has_tiers(db))
        return 0;
    n = members ? list_members(lookup, labels, question->by, members) : -ENOMEM;
    if (n < 0)
        return err_errno(err, -ENOMEM, "counting the sockets");
    r = load_spans_of(&spans, db, members, (size_t)n, from_ms, until_ms, err);
    for (int64_t i = 0, end; r == 0 && !ret->add_up && i < n; i = end) {
        for (end = i + 1;
             end < n && memcmp(&members[i].key, &members[end].key, sizeof(members[i].key)) == 0;)
            end++;
        if (add_series(ret, &spans, &members[i], (size_t)(end - i)) < 0)
            r = err_errno(err, -ENOMEM, "counting the sockets");
    }
    order_cuts(ret);
    return r;
}
