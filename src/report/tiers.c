/* SPDX-License-Identifier: MIT */
#include "tiers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "connhist/store/db.h"
#include "edition.h"

static const char tiers_sql[] = "SELECT tier, from_ms, until_ms FROM tiers";

int kept_load(struct kept *ret, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct kept kept = {.until_ms = {INT64_MAX, INT64_MAX}};
    int r;

    if (!edition_has_tiers(db)) {
        *ret = kept;
        return 0;
    }
    r = db_prepare(db, tiers_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        int64_t tier = stmt_i64(stmt, 0);

        if (tier < TIER_DETAIL || tier > TIER_DAYS)
            continue;
        kept.from_ms[tier + 1] = stmt_i64(stmt, 1);
        if (tier > TIER_TICKS)
            kept.until_ms[tier + 1] = stmt_i64(stmt, 2);
    }
    if (r == 0)
        *ret = kept;
    return r;
}

int64_t floor_to(int64_t ms, int64_t length_ms)
{
    int64_t rest = ms % length_ms;

    if (rest < 0)
        rest += length_ms;
    return ms < INT64_MIN + rest ? INT64_MIN : ms - rest;
}

int64_t period_middle(const struct walltime *walltime, enum tier tier, int64_t at_ms)
{
    return walltime_of_record(walltime, at_ms + tier_length_ms(tier) / 2);
}

enum tier kept_finest(const struct kept *kept, enum tier finest, int64_t at_ms)
{
    enum tier tier = finest;

    while (tier < TIER_DAYS && kept->from_ms[tier + 1] > at_ms)
        tier++;
    return tier;
}

int64_t kept_end(const struct kept *kept, const struct walltime *walltime, enum tier finest,
                 int64_t from_ms, int64_t until_ms)
{
    enum tier tier = finest;
    int64_t first_ms, last_ms, begin_ms, length_ms;

    walltime_to_record(walltime, until_ms, &first_ms, &last_ms);
    for (; tier < TIER_DAYS; tier++) { /* a tier does that is there from the next one's period on */
        begin_ms = floor_to(last_ms - 1, tier_length_ms(tier + 1));
        if (kept->from_ms[tier + 1] <= (begin_ms > from_ms ? begin_ms : from_ms))
            break;
    }
    length_ms = tier_length_ms(tier);
    if (length_ms == 0 || last_ms > kept->until_ms[tier + 1])
        return until_ms;
    begin_ms = floor_to(until_ms - 1, length_ms);
    return begin_ms > INT64_MAX - length_ms ? until_ms : begin_ms + length_ms;
}

static int put(struct pieces *pieces, enum tier tier, int64_t from_ms, int64_t end_ms)
{
    struct piece *last = pieces->n ? &pieces->items[pieces->n - 1] : NULL;
    struct piece piece = {.tier = tier, .from_ms = from_ms, .end_ms = end_ms};

    if (from_ms >= end_ms)
        return 0;
    if (last && last->tier == tier && last->end_ms == from_ms) {
        last->end_ms = end_ms;
        return 0;
    }
    return vec_push(pieces, piece);
}

/* The period is there as a whole. */
static bool is_there(const struct grid *grid, enum tier tier, int64_t at_ms)
{
    const struct kept *kept = grid->kept;

    return at_ms >= kept->from_ms[tier + 1] &&
           at_ms + tier_length_ms(tier) <= kept->until_ms[tier + 1];
}

/* By which multiple of a length the wall clock is apart from the record's in all of a period; false:
 * by no such. */
static bool find_shift(const struct grid *grid, int64_t at_ms, int64_t length_ms, int64_t *ret_ms)
{
    bool first = true;

    for (int64_t ms = at_ms; ms < at_ms + length_ms; ms = walltime_until(grid->walltime, ms)) {
        int64_t offset_ms = walltime_of_record(grid->walltime, ms) - ms;
        int64_t shift_ms = floor_to(offset_ms + length_ms / 2, length_ms);

        if (llabs(offset_ms - shift_ms) > length_ms / 60 || (!first && shift_ms != *ret_ms))
            return false;
        *ret_ms = shift_ms;
        first = false;
    }
    return true;
}

/* The period lies in one bucket. */
static bool fits(const struct grid *grid, enum tier tier, int64_t at_ms)
{
    int64_t length_ms = tier_length_ms(tier), shift_ms = 0, begin_ms;

    if (grid->any_shift)
        return true;
    if (!find_shift(grid, at_ms, length_ms, &shift_ms))
        return false;
    if (grid->step_ms == 0)
        return true;
    begin_ms = at_ms + shift_ms - grid->since_ms;
    return begin_ms >= 0 && begin_ms + length_ms <= grid->until_ms - grid->since_ms &&
           begin_ms / grid->step_ms == (begin_ms + length_ms - 1) / grid->step_ms;
}

static int cut(const struct grid *grid, enum tier tier, int64_t from_ms, int64_t end_ms,
               struct pieces *ret);

/* A part of a period that can't be taken as a whole, or need not be. */
static int cut_period(const struct grid *grid, enum tier tier, int64_t at_ms, int64_t from_ms,
                      int64_t end_ms, struct pieces *ret)
{
    int64_t length_ms = tier_length_ms(tier), finer_ms = INT64_MAX, middle_ms;

    if (tier > grid->finest)
        finer_ms = grid->kept->from_ms[tier - 1 + 1];
    if (finer_ms > from_ms && is_there(grid, tier, at_ms)) { /* nothing finer: its middle decides */
        middle_ms = at_ms + length_ms / 2;
        return middle_ms >= from_ms && middle_ms < end_ms ? put(ret, tier, at_ms, at_ms + length_ms)
                                                          : 0;
    }
    return finer_ms < end_ms
               ? cut(grid, tier - 1, finer_ms > from_ms ? finer_ms : from_ms, end_ms, ret)
               : 0;
}

/* The period is better read from finer ones. */
static bool is_coarse(const struct grid *grid, enum tier tier, int64_t at_ms)
{
    int64_t next_ms = at_ms + tier_length_ms(tier);

    for (size_t i = 0; i < grid->n_cuts; i++)
        if (grid->cuts[i] > at_ms && grid->cuts[i] < next_ms)
            return true;
    return tier > grid->coarsest;
}

/* There are few levels: each is a tier. */
static int cut(const struct grid *grid, enum tier tier, int64_t from_ms, int64_t end_ms,
               struct pieces *ret) /* NOLINT(misc-no-recursion) */
{
    int64_t length_ms = tier_length_ms(tier), next_ms;
    int r = 0;

    if (tier == grid->finest) {
        if (from_ms < grid->kept->from_ms[tier + 1])
            from_ms = grid->kept->from_ms[tier + 1];
        return put(ret, tier, from_ms, end_ms);
    }
    for (int64_t at_ms = floor_to(from_ms, length_ms); at_ms < end_ms && r == 0; at_ms = next_ms) {
        int64_t begin_ms = at_ms > from_ms ? at_ms : from_ms, stop_ms;
        bool finer;

        if (at_ms >= grid->kept->until_ms[tier + 1]) /* not added up from here on */
            return cut_period(grid, tier, at_ms, begin_ms, end_ms, ret);
        next_ms = at_ms + length_ms;
        stop_ms = next_ms < end_ms ? next_ms : end_ms;
        finer = is_coarse(grid, tier, at_ms) && tier > grid->finest &&
                grid->kept->from_ms[tier - 1 + 1] <= begin_ms;
        if (!finer && begin_ms == at_ms && stop_ms == next_ms && is_there(grid, tier, at_ms) &&
            fits(grid, tier, at_ms))
            r = put(ret, tier, at_ms, next_ms);
        else
            r = cut_period(grid, tier, at_ms, begin_ms, stop_ms, ret);
    }
    return r;
}

int grid_cut(const struct grid *grid, int64_t from_ms, int64_t end_ms, struct pieces *ret)
{
    if (grid->finest == TIER_DETAIL) {
        if (from_ms < grid->kept->from_ms[TIER_DETAIL + 1])
            from_ms = grid->kept->from_ms[TIER_DETAIL + 1];
        return put(ret, TIER_TICKS, from_ms, end_ms);
    }
    return cut(grid, TIER_DAYS, from_ms, end_ms, ret);
}
