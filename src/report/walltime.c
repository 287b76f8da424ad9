/* SPDX-License-Identifier: MIT */
#include "connhist/report/walltime.h"

#include <errno.h>
#include <stdbool.h>

#include "connhist/model/life.h"
#include "connhist/store/db.h"

static const char epochs_sql[] = "SELECT from_ms, offset_ms FROM epochs ORDER BY from_ms";

int walltime_load(struct walltime *walltime, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    struct epoch_vec epochs = {0};
    int r;

    r = db_prepare(db, epochs_sql, &stmt, err);
    if (r < 0)
        return r;
    while ((r = stmt_step(stmt, err)) > 0) {
        struct epoch epoch = {.from_ms = stmt_i64(stmt, 0), .offset_ms = stmt_i64(stmt, 1)};

        if (vec_push(&epochs, epoch) < 0) {
            r = err_errno(err, -ENOMEM, "reading the changes of the clock");
            break;
        }
    }
    if (r < 0) {
        vec_finish(&epochs);
        return r;
    }
    walltime->epochs = epochs;
    return 0;
}

void walltime_finish(struct walltime *walltime)
{
    vec_finish(&walltime->epochs);
}

/* Epochs that have begun at a record time: the last of them is in force. */
static size_t epochs_begun(const struct walltime *walltime, int64_t record_ms)
{
    size_t low = 0, high = walltime->epochs.n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (walltime->epochs.items[middle].from_ms <= record_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Offset while `begun` epochs have begun; before the first one both clocks are taken as one. */
static int64_t offset_after(const struct walltime *walltime, size_t begun)
{
    return begun ? walltime->epochs.items[begun - 1].offset_ms : 0;
}

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN + 1;
    return sum;
}

int64_t walltime_of_record(const struct walltime *walltime, int64_t record_ms)
{
    if (record_ms == TIME_UNKNOWN)
        return TIME_UNKNOWN;
    return add(record_ms, offset_after(walltime, epochs_begun(walltime, record_ms)));
}

int64_t walltime_until(const struct walltime *walltime, int64_t record_ms)
{
    size_t begun = epochs_begun(walltime, record_ms);

    return begun < walltime->epochs.n ? walltime->epochs.items[begun].from_ms : INT64_MAX;
}

/* The record time of a wall time while `begun` epochs have begun; false: not in that stretch. */
static bool in_stretch(const struct walltime *walltime, size_t begun, int64_t wall_ms, int64_t *ret)
{
    int64_t record_ms = add(wall_ms, -offset_after(walltime, begun));

    if (begun > 0 && record_ms < walltime->epochs.items[begun - 1].from_ms)
        return false;
    if (begun < walltime->epochs.n && record_ms >= walltime->epochs.items[begun].from_ms)
        return false;
    *ret = record_ms;
    return true;
}

/* The instant at which the clock was set from before a wall time to behind it; false: it was not.
 */
static bool jump_over(const struct walltime *walltime, int64_t wall_ms, int64_t *ret)
{
    for (size_t i = 0; i < walltime->epochs.n; i++) {
        const struct epoch *epoch = &walltime->epochs.items[i];

        if (add(epoch->from_ms, offset_after(walltime, i)) <= wall_ms &&
            add(epoch->from_ms, epoch->offset_ms) > wall_ms) {
            *ret = epoch->from_ms;
            return true;
        }
    }
    return false;
}

void walltime_to_record(const struct walltime *walltime, int64_t wall_ms, int64_t *ret_first,
                        int64_t *ret_last)
{
    int64_t first = 0, last = 0, record_ms;
    bool found = false;

    for (size_t begun = 0; begun <= walltime->epochs.n; begun++) {
        if (!in_stretch(walltime, begun, wall_ms, &record_ms))
            continue;
        if (!found)
            first = record_ms;
        last = record_ms;
        found = true;
    }
    if (!found && jump_over(walltime, wall_ms, &first))
        last = first - 1;
    else if (!found)
        first = last = wall_ms;
    *ret_first = first;
    *ret_last = last;
}
