/* SPDX-License-Identifier: MIT */
#include "netns_periods.h"

#include <errno.h>

#include "connhist/store/db.h"

/* 0-6 of all namespaces; 7-9 of those that did not fail; 10 how many of ours did; 11-14 the first of these. */
#define PERIODS_SQL(order)                                                                        \
    "SELECT c.at_ms, c.done, c.interrupted, c.first_ms, c.last_ms, c.unkept, c.details, o.done, " \
    "o.first_ms, o.last_ms, (SELECT count(*) FROM netns_covers AS n WHERE n.tier = c.tier "       \
    "AND n.at_ms = c.at_ms AND instr(?2, ',' || n.netns || ',') > 0), f.netns, f.done, "          \
    "f.first_ms, f.last_ms FROM cover_rollups AS c LEFT JOIN netns_covers AS o "                  \
    "ON o.tier = c.tier AND o.at_ms = c.at_ms AND o.netns = 0 LEFT JOIN netns_covers AS f "       \
    "ON f.tier = c.tier AND f.at_ms = c.at_ms AND f.netns = (SELECT min(n.netns) "                \
    "FROM netns_covers AS n WHERE n.tier = c.tier AND n.at_ms = c.at_ms "                         \
    "AND instr(?2, ',' || n.netns || ',') > 0) "                                                  \
    "WHERE c.tier = ?1 AND c.at_ms >= ?3 AND c.at_ms < ?4 ORDER BY c.at_ms " order

int netns_periods_find(struct db *db, const struct netns_choice *choice, enum tier tier,
                       int64_t from_ms, int64_t end_ms, bool down, struct stmt **ret,
                       struct err *err)
{
    static const char up_sql[] = PERIODS_SQL("ASC"), down_sql[] = PERIODS_SQL("DESC");
    int r = db_prepare(db, down ? down_sql : up_sql, ret, err);

    if (r < 0)
        return r;
    stmt_bind_i64(*ret, 1, tier);
    stmt_bind_text(*ret, 2, netns_choice_text(choice));
    stmt_bind_i64(*ret, 3, from_ms);
    stmt_bind_i64(*ret, 4, end_ms);
    return 0;
}

int netns_periods_next(struct stmt *stmt, const struct netns_choice *choice, enum tier tier,
                       struct netns_period *ret, struct err *err)
{
    int column = 1, first = 3, failing;
    int r = stmt_step(stmt, err);

    if (r <= 0)
        return r;
    *ret = (struct netns_period){
        .at_ms = stmt_i64(stmt, 0),
        .unkept = stmt_i64(stmt, 5),
        .details = (unsigned)stmt_i64(stmt, 6),
        .some = !stmt_is_null(stmt, 7),
    };
    failing = (int)stmt_i64(stmt, 10);
    if (ret->some && failing == 0) {
        column = 7;
        first = 8;
    } else if (ret->some && failing == 1 &&
               netns_choice_is_alone(choice, stmt_i64(stmt, 11), ret->at_ms,
                                     ret->at_ms + tier_length_ms(tier))) {
        column = 12;
        first = 13;
    }
    ret->apart = column != 1;
    ret->done = stmt_i64(stmt, column);
    ret->interrupted = stmt_i64(stmt, 1) + stmt_i64(stmt, 2) - ret->done;
    ret->first_ms = stmt_i64(stmt, first);
    ret->last_ms = stmt_i64(stmt, first + 1);
    return 1;
}

/* Adds a piece that was cut out of [from_ms, end_ms), less the periods that reach over it. */
static int add_inside(const struct piece *piece, int64_t from_ms, int64_t end_ms,
                      struct pieces *ret)
{
    int64_t length_ms = tier_length_ms(piece->tier);
    struct piece inside = *piece;

    if (inside.from_ms < from_ms)
        inside.from_ms += length_ms;
    if (inside.end_ms > end_ms)
        inside.end_ms -= length_ms;
    return inside.from_ms < inside.end_ms ? vec_push(ret, inside) : 0;
}

/* The first lapse that does not end before an instant; NULL: there is none. */
static const struct lapse *next_lapse(const struct netns_choice *choice, int64_t at_ms)
{
    const struct lapse *next = NULL;

    for (size_t i = 0; i < choice->lapses.n; i++) {
        const struct lapse *lapse = &choice->lapses.items[i];

        if (lapse->until_ms > at_ms && lapse->from_ms < lapse->until_ms - 1 &&
            (!next || lapse->from_ms < next->from_ms))
            next = lapse;
    }
    return next;
}

int netns_choice_cut(const struct netns_choice *choice, const struct grid *grid, int64_t from_ms,
                     int64_t end_ms, struct pieces *ret)
{
    int r = 0;

    while (from_ms < end_ms && r == 0) {
        const struct lapse *lapse = next_lapse(choice, from_ms);
        int64_t stop_ms = lapse && lapse->from_ms < end_ms - 1 ? lapse->from_ms + 1 : end_ms;
        struct pieces pieces = {0};

        if (!lapse) {
            return grid_cut(grid, from_ms, end_ms, ret);
        }
        if (from_ms < stop_ms)
            r = grid_cut(grid, from_ms, stop_ms, &pieces);
        for (size_t i = 0; r == 0 && i < pieces.n; i++)
            r = add_inside(&pieces.items[i], from_ms, stop_ms, ret);
        vec_finish(&pieces);
        from_ms = stop_ms < end_ms ? lapse->until_ms : end_ms;
    }
    return r;
}
