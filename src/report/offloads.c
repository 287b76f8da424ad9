/* SPDX-License-Identifier: MIT */
#include "offloads.h"

#include <errno.h>
#include <stdio.h>

#include "connhist/model/history.h"
#include "connhist/model/offload.h"
#include "connhist/store/db.h"
#include "coverage_netns.h"
#include "edition.h"

static const char changes_sql[] =
    "SELECT at_ms, offload FROM offloads WHERE life = ?1 ORDER BY at_ms";

/* The first snapshot of a time that looked at all sockets of a namespace. */
static const char look_sql[] =
    "SELECT s.start_ms, s.status FROM snapshots AS s WHERE s.sampled = 1 AND s.start_ms >= ?1 "
    "AND s.start_ms < ?3 AND (SELECT r.offload_told FROM recordings AS r WHERE r.id = s.recording) "
    "AND " SNAPSHOT_COMPLETE_IN " ORDER BY s.start_ms LIMIT 1";

static const char told_sql[] = "SELECT 1 FROM recordings WHERE offload_told = 1 LIMIT 1";

/* A time, record time. */
struct stretch {
    int64_t from_ms;
    int64_t until_ms; /* not included */
};

int offload_reader_init(struct offload_reader *reader, struct db *db, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *told = NULL;
    int r;

    *reader = (struct offload_reader){.looked_ms = INT64_MIN};
    if (!edition_has_events(db))
        return 0;
    r = db_prepare(db, told_sql, &told, err);
    if (r == 0)
        r = db_prepare(db, changes_sql, &reader->changes, err);
    if (r == 0)
        r = stmt_step(told, err);
    if (r > 0)
        r = db_prepare(db, look_sql, &reader->look, err);
    return r;
}

void offload_reader_finish(struct offload_reader *reader)
{
    stmt_free(reader->changes);
    stmt_free(reader->look);
}

/* Whether the kernel tells of a socket in this state what holds it: FIN_WAIT2 may be a mini-socket,
 * as others left out are, and of one that is only bound (CLOSE) there is nothing to tell. */
static bool is_told_in(unsigned state)
{
    return state != STATE_SYN_RECV && state != STATE_FIN_WAIT2 && state != STATE_TIME_WAIT &&
           state != STATE_CLOSE;
}

/* From the first state of which the kernel tells to the first one after it of which it does not. None at
 * an instant at which it was only bound until then: a look that came later tells nothing of that. */
static struct stretch told_stretch(const struct stored_life *life, int64_t at_ms)
{
    struct stretch ret = {.from_ms = INT64_MAX, .until_ms = life->ended_ms};
    struct history_change change = {.at_ms = life->since_ms};
    size_t offset = 0;
    bool bound = false;

    while (history_next(life->states, life->n_states, &offset, &change) > 0) {
        if (ret.from_ms == INT64_MAX && is_told_in(change.state)) {
            ret.from_ms = change.at_ms;
            if (bound && at_ms < change.at_ms) {
                ret.until_ms = change.at_ms;
                break;
            }
        } else if (ret.from_ms == INT64_MAX) {
            bound = change.state == STATE_CLOSE;
        } else if (!is_told_in(change.state)) {
            ret.until_ms = change.at_ms;
            break;
        }
    }
    return ret;
}

/* 1: a snapshot looked at it in this time; 0: none did. Lives of one time were mostly looked at by
 * the same. */
static int was_looked_at(struct offload_reader *reader, const struct stored_life *life,
                         const struct stretch *stretch, struct err *err)
{
    char netns[24];
    int r;

    if (!reader->look || stretch->from_ms >= stretch->until_ms)
        return 0;
    if (reader->looked_ms >= stretch->from_ms && reader->looked_ms < stretch->until_ms)
        return 1;
    snprintf(netns, sizeof(netns), ",%u,", (unsigned)life->service->key.netns);
    stmt_bind_i64(reader->look, 1, stretch->from_ms);
    stmt_bind_text(reader->look, 2, netns);
    stmt_bind_i64(reader->look, 3, stretch->until_ms);
    r = stmt_step(reader->look, err);
    if (r > 0 && stmt_i64(reader->look, 1) == 0)
        reader->looked_ms = stmt_i64(reader->look, 0);
    stmt_reset(reader->look);
    return r;
}

/* The last row until an instant; *until_ms: the first row, if all are later. */
static int read_changes(struct offload_reader *reader, int64_t life, int64_t at_ms, uint8_t *ret,
                        int64_t *until_ms, struct err *err)
{
    uint8_t offload = OFFLOAD_UNKNOWN;
    int r;

    stmt_bind_i64(reader->changes, 1, life);
    while ((r = stmt_step(reader->changes, err)) > 0) {
        if (stmt_i64(reader->changes, 0) > at_ms)
            break;
        offload = (uint8_t)stmt_i64(reader->changes, 1);
    }
    if (r > 0 && offload == OFFLOAD_UNKNOWN && stmt_i64(reader->changes, 0) < *until_ms)
        *until_ms = stmt_i64(reader->changes, 0);
    stmt_reset(reader->changes);
    *ret = offload;
    return r < 0 ? r : 0;
}

int offload_reader_at(struct offload_reader *reader, const struct stored_life *life, int64_t at_ms,
                      uint8_t *ret, struct err *err)
{
    struct stretch stretch;
    uint8_t offload = OFFLOAD_UNKNOWN;
    int r = 0;

    *ret = OFFLOAD_UNKNOWN;
    if (!reader->changes || life->service->key.protocol != PROTOCOL_TCP)
        return 0;
    stretch = told_stretch(life, at_ms);
    if (file_traits_offloaded(life->traits))
        r = read_changes(reader, life->number, at_ms, &offload, &stretch.until_ms, err);
    if (r == 0 && offload == OFFLOAD_UNKNOWN) {
        r = was_looked_at(reader, life, &stretch, err);
        offload = r > 0 ? OFFLOAD_IN_HOST : OFFLOAD_UNKNOWN;
    }
    if (r < 0)
        return r;
    *ret = offload;
    return 0;
}
