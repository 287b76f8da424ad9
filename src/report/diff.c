/* SPDX-License-Identifier: MIT */
#include "connhist/report/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/model/history.h"
#include "connhist/model/life.h"
#include "connhist/model/offload.h"
#include "connhist/store/db.h"
#include "socket_row.h"

/* A socket of one of the tables. */
struct item {
    struct socket_row row;
    bool paired; /* its like in the other table is found */
};

struct item_vec {
    VEC_FIELDS(struct item);
};

/* A row of the answer. Which of both sockets are there follows from the changes. */
struct change {
    struct socket_row before;
    struct socket_row after;
    unsigned bits;
};

struct diff {
    struct row_maker maker;               /* owns what rows point to */
    struct filter all;                    /* what is read: who has changed matches once alone */
    const struct diff_question *question; /* not owned */
    struct db *db;                        /* while it is read; not owned */
    struct stmt *seen_neither;            /* likewise; owned */
    int64_t from_ms;                      /* the earlier snapshot, wall time */
    struct {
        VEC_FIELDS(struct change);
    } changes; /* owned */
    struct diff_sums sums;
    bool rebooted; /* between both snapshots */
};

void diff_free(struct diff *diff)
{
    if (!diff)
        return;
    row_maker_finish(&diff->maker);
    vec_finish(&diff->changes);
    free(diff);
}

struct reading {
    struct diff *diff;
    struct item_vec *items;
    int64_t at_ms; /* record time */
};

static int add_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct reading *reading = arg;
    struct row_maker *maker = &reading->diff->maker;
    struct item item = {0};
    struct endpoints ends;
    int r = row_maker_wants(maker, &reading->diff->all, life, reading->at_ms, reading->at_ms, &ends,
                            err);

    if (r > 0)
        r = row_maker_make(maker, &reading->diff->all, life, &ends, reading->at_ms, &item.row, err);
    else
        return r;
    if (r == 0 && vec_push(reading->items, item) < 0)
        return err_errno(err, -ENOMEM, "reading the sockets");
    return r;
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_ends(const void *left, const void *right)
{
    const struct socket_row *a = &((const struct item *)left)->row;
    const struct socket_row *b = &((const struct item *)right)->row;
    int r = compare_numbers(a->protocol, b->protocol);

    if (r == 0)
        r = compare_numbers(a->family, b->family);
    if (r == 0)
        r = compare_numbers(a->local_port, b->local_port);
    if (r == 0)
        r = compare_numbers(a->remote_port, b->remote_port);
    if (r == 0)
        r = memcmp(&a->local, &b->local, sizeof(a->local));
    if (r == 0)
        r = memcmp(&a->remote, &b->remote, sizeof(a->remote));
    if (r == 0)
        r = compare_numbers(a->scope_ifindex, b->scope_ifindex);
    return r ? r : strcmp(a->netns, b->netns);
}

static uint32_t pid_of(const struct socket_row *row)
{
    return row->owner ? row->owner->pid : 0;
}

static int compare_owners(const void *left, const void *right)
{
    const struct socket_row *a = &((const struct item *)left)->row;
    const struct socket_row *b = &((const struct item *)right)->row;
    int r = compare_numbers(pid_of(a), pid_of(b));

    return r ? r : compare_numbers(a->process_started_ms, b->process_started_ms);
}

/* Of one socket both are the same at any time, unless it changed hands. */
static int compare_lives(const void *left, const void *right)
{
    const struct socket_row *a = &((const struct item *)left)->row;
    const struct socket_row *b = &((const struct item *)right)->row;
    int r = compare_numbers(a->first_seen_ms, b->first_seen_ms);

    return r ? r : compare_owners(left, right);
}

static int compare_nothing(const void *left, const void *right)
{
    (void)left;
    (void)right;
    return 0;
}

static int read_table(struct diff *diff, struct db *db, int64_t at_ms, struct item_vec *items,
                      struct err *err)
{
    struct reading reading = {.diff = diff, .items = items, .at_ms = at_ms};
    const struct life_choice all = {0}; /* what the filter lets in now it may not have then */
    int r = stored_life_each(db, &diff->maker.lookup, LIVES_ALL, &all, at_ms, at_ms, add_life,
                             &reading, err);

    if (r == 0 && items->n > 1)
        qsort(items->items, items->n, sizeof(struct item), compare_ends);
    return r;
}

/* Whether it serves: a UDP socket without a peer may as well be a client's. */
static bool listens(const struct socket_row *row)
{
    if (row->protocol == PROTOCOL_UDP)
        return row->remote_port == 0 && row->role == ROLE_SERVER;
    return row->state == STATE_LISTEN;
}

static bool matches(const struct diff *diff, const struct socket_row *row)
{
    const struct filter *filter = &diff->question->filter;

    return row && (!diff->question->listen_only || listens(row)) &&
           filter_state(filter, row->state) && (!filter->role || filter->role == row->role) &&
           filter_owner(filter, row->owner);
}

static bool differ(const char *a, const char *b)
{
    return *a && *b && strcmp(a, b) != 0;
}

/* A process may change its name by itself: that is no other owner. */
static bool other_owner(const struct socket_row *a, const struct socket_row *b)
{
    const struct owner *before = a->owner, *after = b->owner;

    if (!before || !after)
        return false;
    if (before->pid && after->pid &&
        (before->pid != after->pid || a->process_started_ms != b->process_started_ms))
        return true;
    return differ(before->exe, after->exe) || differ(before->unit, after->unit) ||
           differ(before->container, after->container);
}

static bool other_offload(const struct socket_row *a, const struct socket_row *b)
{
    return a->offload != OFFLOAD_UNKNOWN && b->offload != OFFLOAD_UNKNOWN &&
           a->offload != b->offload;
}

/* How many complete snapshots saw neither of two lives with the same endpoints, at most 2. */
static int between_lives(struct diff *diff, const struct socket_row *a, const struct socket_row *b,
                         struct err *err)
{
    static const char sql[] = "SELECT count(*) FROM (SELECT 1 FROM snapshots WHERE start_ms >= ?1 "
                              "AND start_ms < ?2 AND status = 0 LIMIT 2)";
    int64_t from_ms, end_ms, unused_ms;
    int r = diff->seen_neither ? 0 : db_prepare(diff->db, sql, &diff->seen_neither, err);

    if (r < 0)
        return r;
    walltime_to_record(diff->maker.walltime, a->closed_ms, &from_ms, &unused_ms);
    walltime_to_record(diff->maker.walltime, b->first_seen_ms, &unused_ms, &end_ms);
    stmt_reset(diff->seen_neither);
    stmt_bind_i64(diff->seen_neither, 1, from_ms);
    stmt_bind_i64(diff->seen_neither, 2, end_ms);
    r = stmt_step(diff->seen_neither, err);
    return r < 0 ? r : (int)stmt_i64(diff->seen_neither, 0);
}

/* Another life need not be another socket: one that a walk missed begins a new one, without an opening
 * that is known. No walk misses one twice in a row, and none that was missed changes hands meanwhile.
 * No socket outlives its boot. 1: it is another. */
static int other_socket(struct diff *diff, const struct socket_row *a, const struct socket_row *b,
                        struct err *err)
{
    int r;

    if (diff->rebooted)
        return 1;
    if (a->first_seen_ms == b->first_seen_ms)
        return 0;
    if (b->opened_ms != TIME_UNKNOWN && b->opened_ms > diff->from_ms)
        return 1;
    if (a->closed_ms == TIME_UNKNOWN || a->closed_ms >= b->first_seen_ms)
        return 0;
    r = between_lives(diff, a, b, err);
    return r < 0 ? r : r >= (other_owner(a, b) ? 1 : 2);
}

/* Takes up two sockets with the same endpoints, or one without its like (the other is NULL). */
static int compare(struct diff *diff, const struct socket_row *before,
                   const struct socket_row *after, struct err *err)
{
    bool was = matches(diff, before), is = matches(diff, after);
    int other = before && after && (was || is) ? other_socket(diff, before, after, err) : 0;
    struct change change = {0};

    if (other < 0 || (!was && !is))
        return other;
    diff->sums.before += was;
    diff->sums.after += is;
    if (before)
        change.before = *before;
    if (after)
        change.after = *after;
    if (!before)
        change.bits = DIFF_OPENED;
    else if (!after)
        change.bits = DIFF_CLOSED;
    else
        change.bits = (other ? (unsigned)DIFF_REPLACED : 0U) |
                      (other_owner(before, after) ? (unsigned)DIFF_OWNER : 0U) |
                      (before->state != after->state ? (unsigned)DIFF_STATE : 0U) |
                      (other_offload(before, after) ? (unsigned)DIFF_OFFLOAD : 0U);
    diff->sums.opened += change.bits == DIFF_OPENED;
    diff->sums.closed += change.bits == DIFF_CLOSED;
    diff->sums.changed += change.bits > DIFF_CLOSED;
    if (change.bits && vec_push(&diff->changes, change) < 0)
        return err_errno(err, -ENOMEM, "comparing the sockets");
    return 0;
}

/* Some sockets with the same endpoints, of one table. */
struct group {
    struct item *items;
    size_t n;
};

/* Pairs those that are equal in one respect. */
static int pair_by(struct diff *diff, struct group *before, struct group *after,
                   int (*order)(const void *, const void *), struct err *err)
{
    size_t i = 0, j = 0;
    int r = 0;

    qsort(before->items, before->n, sizeof(struct item), order);
    qsort(after->items, after->n, sizeof(struct item), order);
    while (r == 0 && i < before->n && j < after->n) {
        struct item *a = &before->items[i], *b = &after->items[j];
        int which = a->paired ? -1 : b->paired ? 1 : order(a, b);

        i += which <= 0;
        j += which >= 0;
        if (which != 0)
            continue;
        a->paired = b->paired = true;
        r = compare(diff, &a->row, &b->row, err);
    }
    return r;
}

/* Sockets may share all of their ends (SO_REUSEPORT): first each finds itself, then its owner's other
 * one, then any. */
static int pair_groups(struct diff *diff, struct group *before, struct group *after,
                       struct err *err)
{
    int r = 0;

    if (before->n && after->n) {
        r = pair_by(diff, before, after, compare_lives, err);
        if (r == 0)
            r = pair_by(diff, before, after, compare_owners, err);
        if (r == 0)
            r = pair_by(diff, before, after, compare_nothing, err);
    }
    for (size_t i = 0; r == 0 && i < before->n; i++)
        if (!before->items[i].paired)
            r = compare(diff, &before->items[i].row, NULL, err);
    for (size_t i = 0; r == 0 && i < after->n; i++)
        if (!after->items[i].paired)
            r = compare(diff, NULL, &after->items[i].row, err);
    return r;
}

/* NULL: behind the last one. */
static const struct item *item_at(const struct item_vec *items, size_t i)
{
    return items->items && i < items->n ? items->items + i : NULL;
}

/* Those from `first` on with the ends of `like`. */
static struct group group_at(const struct item_vec *items, size_t first, const struct item *like)
{
    struct group group = {.items = items->items + first};

    for (const struct item *next = item_at(items, first); next && compare_ends(next, like) == 0;
         next = item_at(items, first + group.n))
        group.n++;
    return group;
}

static int merge(struct diff *diff, struct item_vec *before, struct item_vec *after,
                 struct err *err)
{
    const struct item *old = item_at(before, 0), *new = item_at(after, 0);
    size_t i = 0, j = 0;
    int r = 0;

    while (r == 0 && (old || new)) {
        const struct item like = !new || (old && compare_ends(old, new) <= 0) ? *old : *new;
        struct group a = group_at(before, i, &like), b = group_at(after, j, &like);

        i += a.n;
        j += b.n;
        r = pair_groups(diff, &a, &b, err);
        old = item_at(before, i);
        new = item_at(after, j);
    }
    return r;
}

static const struct socket_row *shown(const struct change *change)
{
    return change->bits == DIFF_CLOSED ? &change->before : &change->after;
}

static int compare_changes(const void *left, const void *right)
{
    return socket_rows_compare(shown(left), shown(right));
}

static void cleanup_items(struct item_vec *items)
{
    vec_finish(items);
}

/* Whether both snapshots were taken in different boots. */
static int read_boots(struct diff *diff, struct db *db, const struct snapshot_choice *from,
                      const struct snapshot_choice *to, struct err *err)
{
    static const char sql[] = "SELECT count(DISTINCT boot) > 1 FROM recordings WHERE id IN "
                              "(SELECT recording FROM snapshots WHERE start_ms IN (?, ?))";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from->record_ms);
    stmt_bind_i64(stmt, 2, to->record_ms);
    r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    diff->rebooted = r > 0 && stmt_i64(stmt, 0);
    return 0;
}

static int load(struct diff *diff, struct db *db, const struct snapshot_choice *from,
                const struct snapshot_choice *to, struct err *err)
{
    _cleanup_(cleanup_items) struct item_vec before = {0};
    _cleanup_(cleanup_items) struct item_vec after = {0};
    int r = row_maker_init(&diff->maker, db, diff->maker.walltime, &diff->all, err);

    if (r == 0)
        r = read_boots(diff, db, from, to, err);
    if (r == 0)
        r = read_table(diff, db, from->record_ms, &before, err);
    if (r == 0)
        r = read_table(diff, db, to->record_ms, &after, err);
    diff->db = db;
    if (r == 0)
        r = merge(diff, &before, &after, err);
    stmt_free(diff->seen_neither);
    diff->seen_neither = NULL;
    if (r < 0)
        return r;
    db_end(db);
    if (diff->changes.n > 1)
        qsort(diff->changes.items, diff->changes.n, sizeof(struct change), compare_changes);
    return 0;
}

int diff_load(struct db *db, const struct walltime *walltime, const struct diff_question *question,
              const struct snapshot_choice *from, const struct snapshot_choice *to,
              struct diff **ret, struct err *err)
{
    struct diff *diff = calloc(1, sizeof(*diff));
    int r;

    if (!diff)
        return err_errno(err, -ENOMEM, "comparing the sockets");
    diff->question = question;
    diff->maker.walltime = walltime;
    diff->from_ms = from->snapshot_ms;
    diff->all = question->filter;
    diff->all.states = 0;
    diff->all.role = 0;
    diff->all.no_listeners = false;
    diff->all.pid = 0;
    diff->all.process = diff->all.unit = diff->all.container = NULL;
    r = load(diff, db, from, to, err);
    if (r < 0) {
        diff_free(diff);
        return r;
    }
    *ret = diff;
    return 0;
}

bool diff_rebooted(const struct diff *diff)
{
    return diff->rebooted;
}

struct diff_sums diff_sums(const struct diff *diff)
{
    return diff->sums;
}

size_t diff_count(const struct diff *diff)
{
    return diff->changes.n;
}

struct diff_row diff_get(const struct diff *diff, size_t i)
{
    const struct change *change = &diff->changes.items[i];

    return (struct diff_row){
        .before = change->bits == DIFF_OPENED ? NULL : &change->before,
        .after = change->bits == DIFF_CLOSED ? NULL : &change->after,
        .changes = change->bits,
    };
}
