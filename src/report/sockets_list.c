/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "connhist/model/history.h"
#include "connhist/report/sockets.h"
#include "connhist/store/db.h"
#include "hours.h"
#include "sampled.h"
#include "socket_row.h"

/* Rows read in one transaction. */
#define CHUNK_ROWS 1024

/* A life that belongs to the answer. Rows are made when their turn comes: a day of a busy host
 * holds millions. */
struct found_life {
    int64_t since_ms; /* record time */
    int64_t row;      /* stored_life.row; later, if it moves: its index in list.moving */
    bool open;        /* which table it stands in */
    bool moves;       /* the next snapshot may give it another row */
};

struct list {
    struct row_maker maker;
    struct sampled_reader sampled;        /* owned */
    const struct list_question *question; /* not owned */
    int64_t from_ms;                      /* record time */
    int64_t until_ms;                     /* record time: the span's last instant */
    int64_t settled_ms;                   /* record time: ends up to here stay as they are */
    struct {
        VEC_FIELDS(struct found_life);
    } found;                      /* owned */
    struct visits skips;          /* times in which nothing closed that belongs to it; owned */
    struct socket_row_vec moving; /* rows of those that move; owned */
    struct socket_row_vec chunk;  /* rows about to be given; owned */
};

static void list_finish(struct list *list)
{
    row_maker_finish(&list->maker);
    sampled_reader_finish(&list->sampled);
    vec_finish(&list->found);
    vec_finish(&list->skips);
    vec_finish(&list->moving);
    vec_finish(&list->chunk);
}

/* Whether a life was in one of the states asked for at some instant of the span. */
static int was_in_state(const struct list *list, const struct stored_life *life, struct err *err)
{
    const struct filter *filter = &list->question->filter;
    struct history_change change = {.at_ms = life->since_ms};
    size_t offset = 0;
    unsigned state = 0;
    int r;

    while ((r = history_next(life->states, life->n_states, &offset, &change)) > 0 &&
           change.at_ms <= list->until_ms) {
        /* the state before holds up to this instant */
        if (state && change.at_ms > list->from_ms && filter_state(filter, state))
            return 1;
        state = change.state;
    }
    if (r < 0)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's states can't be read");
    return state && filter_state(filter, state);
}

/* Whether it ended as asked for, or did not end. */
static bool wants_end(const struct list *list, const struct stored_life *life)
{
    if (list->question->open_only)
        return row_maker_is_open(&list->maker, life);
    return !list->question->closed_by ||
           (row_maker_is_over(&list->maker, life) &&
            list->question->closed_by >> stored_life_closed_by(life) & 1);
}

static int add_life(void *arg, const struct stored_life *life, struct err *err)
{
    struct list *list = arg;
    struct found_life found = {
        .since_ms = life->since_ms,
        .row = life->row,
        .open = life->ended_ms == LIFE_OPEN,
        .moves = life->ended_ms > list->settled_ms,
    };
    struct endpoints ends;
    int r;

    if (!wants_end(list, life))
        return 0;
    r = row_maker_wants(&list->maker, &list->question->filter, life, list->from_ms, list->until_ms,
                        &ends, err);
    if (r > 0)
        r = was_in_state(list, life, err);
    if (r > 0 && vec_push(&list->found, found) < 0)
        return err_errno(err, -ENOMEM, "reading the sockets");
    return r < 0 ? r : 0;
}

static int compare_found(const void *left, const void *right)
{
    const struct found_life *a = left, *b = right;

    if (a->since_ms != b->since_ms)
        return a->since_ms < b->since_ms ? -1 : 1;
    if (a->open != b->open)
        return a->open ? 1 : -1;
    return (a->row > b->row) - (a->row < b->row);
}

static int read_row(struct list *list, struct life_reader *reader, const struct found_life *found,
                    struct socket_row *ret, struct err *err)
{
    struct stored_life life;
    struct endpoints ends;
    int r;

    r = life_reader_get(reader, &list->maker.lookup, found->open, found->row, &life, err);
    if (r == 0)
        r = stored_life_endpoints(&life, &list->maker.lookup, &ends, err);
    if (r == 0)
        r = row_maker_make(&list->maker, &list->question->filter, &life, &ends, INT64_MAX, ret,
                           err);
    if (r < 0 || !found->open)
        return r;
    return sampled_reader_fill(&list->sampled, list->maker.walltime, &life, ret, err);
}

/* What is open changes, and moves when it closes; what has its end planned moves when that comes
 * otherwise. They are read at once. What is closed stays. */
static int read_moving(struct list *list, struct life_reader *reader, struct err *err)
{
    struct socket_row row;
    int r;

    for (size_t i = 0; i < list->found.n; i++) {
        struct found_life *found = &list->found.items[i];

        if (!found->moves)
            continue;
        r = read_row(list, reader, found, &row, err);
        if (r < 0)
            return r;
        if (vec_push(&list->moving, row) < 0)
            return err_errno(err, -ENOMEM, "reading the sockets");
        found->row = (int64_t)list->moving.n - 1;
    }
    return 0;
}

/* Makes the rows of found lives from one index to the next chunk's. */
static int read_chunk(struct list *list, struct life_reader *reader, size_t from, struct err *err)
{
    size_t until = list->found.n - from > CHUNK_ROWS ? from + CHUNK_ROWS : list->found.n;
    int r = 0;

    vec_clear(&list->chunk);
    if (vec_reserve(&list->chunk, until - from) < 0)
        return err_errno(err, -ENOMEM, "reading the sockets");
    for (size_t i = from; r >= 0 && i < until; i++) {
        const struct found_life *found = &list->found.items[i];
        struct socket_row *row = &list->chunk.items[list->chunk.n++];

        if (found->moves)
            *row = list->moving.items[found->row];
        else
            r = read_row(list, reader, found, row, err);
    }
    return r < 0 ? r : 0;
}

static int give_all(struct list *list, struct db *db, socket_row_fn fn, void *arg, struct err *err)
{
    _cleanup_(life_reader_finish) struct life_reader reader = {0};
    int r;

    r = life_reader_init(&reader, db, err);
    if (r == 0)
        r = read_moving(list, &reader, err);
    for (size_t from = 0; r >= 0 && from < list->found.n; from += CHUNK_ROWS) {
        if (from > 0)
            r = db_begin(db, err);
        if (r >= 0)
            r = read_chunk(list, &reader, from, err);
        db_end(db);
        if (r >= 0)
            r = socket_rows_give(&list->chunk, fn, arg);
    }
    db_end(db);
    return r < 0 ? r : 0;
}

/* Puts what was found in order, and leaves out what nobody wants to see. */
static void order(struct list *list, uint64_t limit)
{
    if (list->found.n > 1)
        qsort(list->found.items, list->found.n, sizeof(struct found_life), compare_found);
    if (limit && list->found.n > limit)
        list->found.n = (size_t)limit;
}

static int find_all(struct list *list, struct db *db, struct err *err)
{
    const struct lookup *lookup = &list->maker.lookup;
    struct life_choice choice = life_choice_sockets(&list->question->filter);
    int64_t closed_from_ms = list->from_ms;
    int r = 0;

    /* of the open ones those in TIME_WAIT were closed, by this end */
    if (!list->question->closed_by || list->question->closed_by >> CLOSED_BY_LOCAL & 1)
        r = stored_life_each(db, lookup, LIVES_OPEN, &choice, list->from_ms, list->until_ms,
                             add_life, list, err);
    /* of the closed ones those alone are open whose end lies behind the last snapshot */
    if (list->question->open_only && closed_from_ms < list->maker.last_ms)
        closed_from_ms = list->maker.last_ms;
    if (r < 0 || closed_from_ms == INT64_MAX)
        return r;
    r = hours_find(&list->skips, db, &list->question->filter, false, closed_from_ms, list->until_ms,
                   err);
    choice.skips = list->skips.items;
    choice.n_skips = list->skips.n;
    if (r == 0)
        r = stored_life_each(db, lookup, LIVES_CLOSED, &choice, closed_from_ms, list->until_ms,
                             add_life, list, err);
    return r;
}

/* Up to the last complete snapshot, of whatever run: the next one goes on from there. */
static int read_settled(struct list *list, struct db *db, struct err *err)
{
    static const char sql[] =
        "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms DESC LIMIT 1";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    if (r >= 0)
        list->settled_ms = r > 0 ? stmt_i64(stmt, 0) : INT64_MIN;
    return r < 0 ? r : 0;
}

int sockets_list(struct db *db, const struct walltime *walltime,
                 const struct list_question *question, socket_row_fn fn, void *arg, struct err *err)
{
    _cleanup_(list_finish) struct list list = {.question = question};
    int64_t unused;
    int r;

    walltime_to_record(walltime, question->since_ms, &list.from_ms, &unused);
    walltime_to_record(walltime, question->until_ms, &unused, &list.until_ms);
    if (question->until_ms < question->since_ms)
        return err_set(err, -EINVAL, "the end of the time asked for lies before its begin");
    if (question->open_only && question->closed_by)
        return err_set(err, -EINVAL, "what is open and what was closed exclude each other");
    list.until_ms--;
    if (list.until_ms < list.from_ms) /* the clock was set over all of it */
        list.until_ms = list.from_ms;
    r = row_maker_init(&list.maker, db, walltime, &question->filter, err);
    if (r == 0)
        r = sampled_reader_init(&list.sampled, db, list.until_ms, err);
    if (r == 0)
        r = read_settled(&list, db, err);
    if (r == 0)
        r = find_all(&list, db, err);
    if (r < 0)
        return r;
    order(&list, question->limit);
    return give_all(&list, db, fn, arg, err);
}
