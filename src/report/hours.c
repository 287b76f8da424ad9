/* SPDX-License-Identifier: MIT */
#include "hours.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "connhist/model/owner.h"
#include "connhist/store/db.h"
#include "connhist/store/hours.h"

#define FIRST_EDITION 3

/* Few sockets live longer than this beyond what is asked for: how many there were, nobody need know. */
#define BEYOND_MS (48 * HOURS_LENGTH_MS)

static const char hours_sql[] =
    "SELECT key, length, numbers FROM hours WHERE key > ?1 AND key <= ?2 ORDER BY key";
static const char owners_sql[] =
    "SELECT o.id, p.pid, g.process, g.exe, c.unit, c.container "
    "FROM owners AS o LEFT JOIN processes AS p ON p.id = o.process "
    "LEFT JOIN programs AS g ON g.id = o.program LEFT JOIN cgroups AS c ON c.id = o.cgroup "
    "ORDER BY o.id";

struct ranges {
    VEC_FIELDS(struct number_range);
};

/* Ascending by low. */
static int add_range(struct ranges *ranges, uint64_t low, uint64_t high)
{
    struct number_range range = {.low = low, .high = high};
    struct number_range *last = ranges->n ? &ranges->items[ranges->n - 1] : NULL;

    if (!last || low > last->high + 1)
        return vec_push(ranges, range);
    if (high > last->high)
        last->high = high;
    return 0;
}

static int compare_ports(const void *left, const void *right)
{
    const struct port_choice *a = left, *b = right;

    return (a->low > b->low) - (a->low < b->low);
}

static int find_ports(struct ranges *ranges, const struct filter *filter)
{
    struct port_choice ports[FILTER_PORTS_MAX];
    int r = 0;

    memcpy(ports, filter->ports, filter->n_ports * sizeof(*ports));
    qsort(ports, filter->n_ports, sizeof(*ports), compare_ports);
    for (size_t i = 0; i < filter->n_ports && r == 0; i++)
        r = add_range(ranges, ports[i].low, ports[i].high);
    return r;
}

static int find_owners(struct ranges *ranges, const struct filter *filter, struct db *db,
                       struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, owners_sql, &stmt, err);

    while (r == 0 && (r = stmt_step(stmt, err)) > 0) {
        uint64_t id = (uint64_t)stmt_i64(stmt, 0) & NUMBERS_GREATEST;
        struct owner owner = {
            .pid = (uint32_t)stmt_i64(stmt, 1),
            .comm = stmt_text(stmt, 2),
            .exe = stmt_text(stmt, 3),
            .unit = stmt_text(stmt, 4),
            .container = stmt_text(stmt, 5),
        };

        r = filter_owner(filter, &owner) ? add_range(ranges, id, id) : 0;
        if (r < 0)
            return err_errno(err, r, "reading the owners");
    }
    return r;
}

/* 1: the ranges are those of a kind; 0: the prefix is too wide for that, or may have both kinds. */
static int find_peer(struct ranges *ranges, const struct prefix *peer, enum hours_kind *ret)
{
    static const uint8_t none[8];
    uint8_t bytes[16];
    uint64_t low, more;
    int r;

    if (peer->family == AF_INET) {
        if (peer->bits == 0 || peer->bits > 32)
            return 0;
        *ret = HOURS_IPV4;
        low = address_ipv4(AF_INET, &peer->base);
        more = (UINT64_C(1) << (32 - peer->bits)) - 1;
    } else {
        if (peer->bits < 64 || memcmp(peer->base.bytes, none, sizeof(none)) == 0)
            return 0;
        *ret = HOURS_IPV6;
        memcpy(bytes, peer->base.bytes, sizeof(bytes));
        low = hours_ipv6(bytes);
        more = peer->bits == 128 ? 0 : (UINT64_C(1) << HOURS_IPV6_HALF_BITS) - 1;
        low &= ~more;
    }
    r = add_range(ranges, low, low + more);
    return r < 0 ? r : 1;
}

/* Stretches of a kind that have none of the numbers. What can't be read may have any. */
static int pass(struct visits *skips, struct db *db, enum hours_kind kind,
                const struct ranges *ranges, int64_t from_ms, int64_t until_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t last_ms =
        until_ms < HOURS_END_MAX_MS - BEYOND_MS ? until_ms + BEYOND_MS : HOURS_END_MAX_MS;
    int r = db_prepare(db, hours_sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, hours_key(kind, from_ms < 0 ? 0 : from_ms));
    stmt_bind_i64(stmt, 2, hours_key(kind, last_ms));
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t end_ms = hours_end(stmt_i64(stmt, 0)), length = stmt_i64(stmt, 1);
        struct visit skip = {.from_ms = end_ms - length * HOURS_LENGTH_MS, .until_ms = end_ms - 1};
        size_t n;
        const void *bytes = stmt_blob(stmt, 2, &n);

        if (length < 1 || length > HOURS_LONGEST ||
            numbers_meet(bytes, n, ranges->items, ranges->n) != 0)
            continue;
        if (vec_push(skips, skip) < 0)
            return err_errno(err, -ENOMEM, "reading the sockets");
    }
    return r;
}

static int compare_visits(const void *left, const void *right)
{
    const struct visit *a = left, *b = right;

    return (a->from_ms > b->from_ms) - (a->from_ms < b->from_ms);
}

/* Those of several kinds lie upon each other. */
static void join(struct visits *skips)
{
    size_t n = 0;

    if (skips->n > 1)
        qsort(skips->items, skips->n, sizeof(*skips->items), compare_visits);
    for (size_t i = 0; i < skips->n; i++) {
        struct visit *last = n ? &skips->items[n - 1] : NULL;

        if (!last || skips->items[i].from_ms > last->until_ms + 1)
            skips->items[n++] = skips->items[i];
        else if (skips->items[i].until_ms > last->until_ms)
            last->until_ms = skips->items[i].until_ms;
    }
    skips->n = n;
}

int hours_find(struct visits *skips, struct db *db, const struct filter *filter, bool ports_only,
               int64_t from_ms, int64_t until_ms, struct err *err)
{
    enum hours_kind kind = HOURS_IPV4;
    struct ranges ranges = {0};
    int r = 0;

    if (db_edition(db) < FIRST_EDITION)
        return 0;
    if (filter->n_ports) {
        r = find_ports(&ranges, filter);
        r = r < 0 ? err_errno(err, r, "reading the sockets")
                  : pass(skips, db, HOURS_PORTS, &ranges, from_ms, until_ms, err);
    }
    if (r == 0 && !ports_only && filter->has_peer) {
        vec_clear(&ranges);
        r = find_peer(&ranges, &filter->peer, &kind);
        if (r < 0)
            err_errno(err, r, "reading the sockets");
        if (r > 0)
            r = pass(skips, db, kind, &ranges, from_ms, until_ms, err);
    }
    if (r == 0 && !ports_only && filter_by_owner(filter)) {
        vec_clear(&ranges);
        r = find_owners(&ranges, filter, db, err);
        if (r == 0)
            r = pass(skips, db, HOURS_OWNERS, &ranges, from_ms, until_ms, err);
    }
    vec_finish(&ranges);
    join(skips);
    return r < 0 ? r : 0;
}
