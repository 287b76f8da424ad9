/* SPDX-License-Identifier: MIT */
#include "socket_row.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/model/history.h"
#include "connhist/model/life.h"
#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "scope_names.h"
#include "sharers.h"

/* A process starts at a tick of 10 ms, and its opening may be told as some moments before. */
#define START_SLACK_MS 1000

static const char queues_sql[] =
    "SELECT waiting, backlog FROM queues WHERE life = ?1 AND at_ms <= ?2 "
    "ORDER BY at_ms DESC LIMIT 1";

/* The last snapshot, if the run that took it is the newest. */
static const char last_sql[] = "SELECT start_ms FROM (SELECT start_ms, recording FROM snapshots "
                               "ORDER BY start_ms DESC LIMIT 1) "
                               "WHERE recording = (SELECT max(id) FROM recordings)";

static int read_last(struct db *db, int64_t *ret_ms, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, last_sql, &stmt, err);

    if (r == 0)
        r = stmt_step(stmt, err);
    if (r < 0)
        return r;
    *ret_ms = r > 0 ? stmt_i64(stmt, 0) : INT64_MAX;
    return 0;
}

int row_maker_init(struct row_maker *maker, struct db *db, const struct walltime *walltime,
                   const struct filter *filter, struct err *err)
{
    int r;

    maker->walltime = walltime;
    maker->sharers.db = maker->scope_names.db = db;
    r = lookup_load(&maker->lookup, db, filter, err);
    if (r == 0)
        r = openings_init(&maker->openings, db, err);
    if (r == 0)
        r = lasts_init(&maker->lasts, db, err);
    if (r == 0)
        r = offload_reader_init(&maker->offloads, db, err);
    if (r == 0)
        r = db_prepare(db, queues_sql, &maker->queues, err);
    if (r == 0)
        r = read_last(db, &maker->last_ms, err);
    return r;
}

void row_maker_finish(struct row_maker *maker)
{
    lookup_finish(&maker->lookup);
    openings_finish(&maker->openings);
    lasts_finish(&maker->lasts);
    offload_reader_finish(&maker->offloads);
    stmt_free(maker->sharers.stmt);
    stmt_free(maker->scope_names.stmt);
    stmt_free(maker->queues);
    for (size_t i = 0; i < maker->earlier.n; i++)
        free(maker->earlier.items[i]);
    vec_finish(&maker->earlier);
}

bool row_maker_is_open(const struct row_maker *maker, const struct stored_life *life)
{
    return life->ended_ms == LIFE_OPEN || life->ended_ms > maker->last_ms;
}

static bool is_time_wait(const struct stored_life *life)
{
    return file_traits_state(life->traits) == STATE_TIME_WAIT;
}

bool row_maker_is_over(const struct row_maker *maker, const struct stored_life *life)
{
    return is_time_wait(life) || !row_maker_is_open(maker, life);
}

uint8_t stored_life_closed_by(const struct stored_life *life)
{
    return is_time_wait(life) ? CLOSED_BY_LOCAL : life->closed_by;
}

bool known_owner_later(const struct known_owner *known, int64_t at_ms)
{
    return known && known->started_ms != TIME_UNKNOWN &&
           known->started_ms > at_ms + (at_ms < INT64_MAX - START_SLACK_MS ? START_SLACK_MS : 0);
}

bool socket_ports_match(const struct filter *filter, uint16_t local_port, uint16_t remote_port)
{
    return filter_port(filter, local_port) || filter_port(filter, remote_port);
}

/* 1, 0 or a negative errno. */
static int wants_owner(struct row_maker *maker, const struct filter *filter,
                       const struct stored_life *life, int64_t from_ms, int64_t until_ms,
                       struct err *err)
{
    struct lookup *lookup = &maker->lookup;
    const struct known_owner *sharer = NULL;
    int r = owner_spans_read(&lookup->spans, life, err);

    if (r < 0)
        return r;
    for (const struct owner_span *span = owner_spans_at(&lookup->spans, from_ms),
                                 *end = lookup->spans.items.items + lookup->spans.items.n;
         span < end && span->from_ms <= until_ms; span++) {
        const struct known_owner *known;

        r = owner_lookup_get(&lookup->owners, span->owner, &known, err);
        if (r < 0)
            return r;
        if (known && !known_owner_later(known, until_ms) && filter_owner(filter, &known->owner))
            return 1;
    }
    r = sharers_find(&maker->sharers, &lookup->owners, filter, life, until_ms, &sharer, err);
    return r < 0 ? r : sharer != NULL;
}

int row_maker_wants(struct row_maker *maker, const struct filter *filter,
                    const struct stored_life *life, int64_t from_ms, int64_t until_ms,
                    struct endpoints *ret, struct err *err)
{
    const struct service_key *key = &life->service->key;
    int r;

    if (!life->service->in_netns || (filter->protocol && filter->protocol != key->protocol) ||
        (filter->role && filter->role != key->role) ||
        !socket_ports_match(filter, life->local_port, life->remote_port))
        return 0;
    if (filter_by_owner(filter)) {
        r = wants_owner(maker, filter, life, from_ms, until_ms, err);
        if (r <= 0)
            return r;
    }
    r = stored_life_endpoints(life, &maker->lookup, ret, err);
    if (r < 0)
        return r;
    return filter_endpoints(filter, ret->family, &ret->local, &ret->remote);
}

/* The states up to an instant: the last one, and when those that tell something were entered. */
static int read_states(const struct walltime *walltime, const struct stored_life *life,
                       int64_t at_ms, struct socket_row *row, struct err *err)
{
    struct history_change change = {.at_ms = life->since_ms};
    size_t offset = 0;
    int r;

    row->state_since_ms = row->close_wait_ms = row->time_wait_ms = TIME_UNKNOWN;
    while ((r = history_next(life->states, life->n_states, &offset, &change)) > 0 &&
           change.at_ms <= at_ms) {
        row->state = change.state;
        row->state_since_ms = walltime_of_record(walltime, change.at_ms);
        if (change.state == STATE_CLOSE_WAIT)
            row->close_wait_ms = row->state_since_ms;
        if (change.state == STATE_TIME_WAIT)
            row->time_wait_ms = row->state_since_ms;
    }
    if (r < 0 || row->state == 0)
        return err_set(err, -EBADMSG, "the file is damaged: a socket's states can't be read");
    return 0;
}

/* Queues are recorded for listeners alone. */
static int read_queue(struct row_maker *maker, const struct stored_life *life, int64_t at_ms,
                      struct socket_row *row, struct err *err)
{
    int r;

    row->recv_queue = row->send_queue = -1;
    if (row->state != STATE_LISTEN || life->number == 0)
        return 0;
    stmt_bind_i64(maker->queues, 1, life->number);
    stmt_bind_i64(maker->queues, 2, at_ms);
    r = stmt_step(maker->queues, err);
    if (r > 0) {
        row->recv_queue = stmt_i64(maker->queues, 0);
        row->send_queue = stmt_i64(maker->queues, 1);
    }
    stmt_reset(maker->queues);
    return r < 0 ? r : 0;
}

static int read_opening(struct row_maker *maker, const struct stored_life *life,
                        struct socket_row *row, struct err *err)
{
    int64_t after_ms;
    int r;

    r = openings_after(&maker->openings, life->since_ms, &after_ms, err);
    if (r < 0)
        return r;
    row->first_seen_ms = walltime_of_record(maker->walltime, life->since_ms);
    row->opened_ms = file_traits_opened_known(life->traits) ? row->first_seen_ms : TIME_UNKNOWN;
    row->opened_after_ms = walltime_of_record(maker->walltime, after_ms);
    return 0;
}

/* Those who had it before its last owner. */
static int read_earlier(struct row_maker *maker, struct socket_row *row, struct err *err)
{
    struct lookup *lookup = &maker->lookup;
    const struct owner **earlier = calloc(lookup->spans.items.n, sizeof(*earlier));
    const struct known_owner *known;

    if (!earlier || vec_push(&maker->earlier, earlier) < 0) {
        free(earlier);
        return err_errno(err, -ENOMEM, "reading the owners");
    }
    for (size_t i = 0; i + 1 < lookup->spans.items.n; i++) {
        int r = owner_lookup_get(&lookup->owners, lookup->spans.items.items[i].owner, &known, err);

        if (r < 0)
            return r;
        if (known && known->owner.pid)
            earlier[row->n_earlier++] = &known->owner;
    }
    row->earlier = earlier;
    return 0;
}

/* The owner at an instant. It was another where its process started only later. */
static int read_owner(struct row_maker *maker, const struct filter *filter,
                      const struct stored_life *life, int64_t at_ms, struct socket_row *row,
                      struct err *err)
{
    struct lookup *lookup = &maker->lookup;
    const struct known_owner *known, *sharer = NULL;
    const struct owner_span *span;
    bool has_process;
    int r = owner_spans_read(&lookup->spans, life, err);

    if (r < 0)
        return r;
    span = owner_spans_at(&lookup->spans, at_ms);
    r = owner_lookup_get(&lookup->owners, span->owner, &known, err);
    if (r < 0)
        return r;
    has_process = known && known->owner.pid;
    if (at_ms == INT64_MAX && lookup->spans.items.n > 1)
        r = read_earlier(maker, row, err);
    if (r < 0)
        return r;
    row->uid = known ? known->uid : -1;
    row->process_started_ms = TIME_UNKNOWN;
    if (!filter_owner(filter, known && !known_owner_later(known, at_ms) ? &known->owner : NULL))
        r = sharers_find(&maker->sharers, &lookup->owners, filter, life, at_ms, &sharer, err);
    if (r < 0)
        return r;
    if (sharer) { /* who holds it now held it already, or has it since somewhen before */
        row->owner = &sharer->owner;
        row->process_started_ms = walltime_of_record(maker->walltime, sharer->started_ms);
        row->owner_source = OWNER_BY_INODE;
        return 0;
    }
    if (known_owner_later(known, at_ms))
        return 0;
    row->owner = known ? &known->owner : NULL;
    row->process_started_ms =
        known ? walltime_of_record(maker->walltime, known->started_ms) : TIME_UNKNOWN;
    row->owner_source = (uint8_t)file_traits_owner_source(span->traits, has_process);
    return 0;
}

/* When a life was there last for certain that ended at some time in a gap of the record; TIME_UNKNOWN:
 * its end is known better. A TIME_WAIT ends by its timer, unless a snapshot found it gone. */
static int read_end_after(struct row_maker *maker, const struct stored_life *life, int64_t *ret_ms,
                          struct err *err)
{
    const struct last *last;
    int r;

    *ret_ms = TIME_UNKNOWN;
    if (stored_life_end_is_exact(life) && !is_time_wait(life))
        return 0;
    r = lasts_before(&maker->lasts, life->ended_ms, &last, err);
    if (r < 0 || !last->gap || (is_time_wait(life) && !last->at_snapshot))
        return r;
    *ret_ms = last->before_ms != TIME_UNKNOWN && last->before_ms > life->since_ms ? last->before_ms
                                                                                  : life->since_ms;
    return 0;
}

/* With a TIME_WAIT the connection was over when that began, but the socket is not. */
static int read_end(struct row_maker *maker, const struct stored_life *life, struct socket_row *row,
                    struct err *err)
{
    int64_t over_ms = life->ended_ms, after_ms = TIME_UNKNOWN;
    int r = 0;

    row->closed_ms = row->closed_after_ms = TIME_UNKNOWN;
    row->duration_ms = -1;
    if (!row_maker_is_over(maker, life))
        return 0;
    if (!row_maker_is_open(maker, life)) {
        r = read_end_after(maker, life, &after_ms, err);
        row->closed_ms = walltime_of_record(maker->walltime, life->ended_ms);
        row->closed_after_ms = walltime_of_record(maker->walltime, after_ms);
    }
    if (r < 0)
        return r;
    if (is_time_wait(life)) {
        over_ms = history_entered(life->states, life->n_states, life->since_ms, STATE_TIME_WAIT);
        after_ms = TIME_UNKNOWN; /* when it began its timer told */
    }
    row->closed_by = stored_life_closed_by(life);
    /* on the record's clock: the wall clock may have been set in between */
    if (file_traits_opened_known(life->traits) && over_ms >= life->since_ms &&
        after_ms == TIME_UNKNOWN)
        row->duration_ms = over_ms - life->since_ms;
    return 0;
}

static void read_facts(const struct stored_life *life, struct socket_row *row)
{
    const struct life_facts *facts = &life->facts;

    row->has_facts = facts->known;
    row->rx_uncertain = facts->received_uncertain;
    row->tx_bytes = (int64_t)facts->sent_bytes;
    row->rx_bytes = (int64_t)facts->received_bytes;
    row->tx_segs = facts->segs_out;
    row->rx_segs = facts->segs_in;
    row->retrans = facts->retrans;
    row->rtt_us = facts->rtt_us;
}

/* IPv6 sockets that wait for anyone take IPv4, too, or not. */
static int8_t v6only(const struct stored_life *life, const struct socket_row *row)
{
    if (row->family != AF_INET6 || (row->state != STATE_LISTEN && row->state != STATE_CLOSE))
        return -1;
    return file_traits_v6only(life->traits);
}

/* What it is bound to, by the name that this has then; of one that is gone, the last. */
static int read_interface(struct row_maker *maker, const struct stored_life *life, int64_t at_ms,
                          struct socket_row *row, struct err *err)
{
    int64_t since_ms = at_ms == INT64_MAX ? life->since_ms : at_ms;

    if (at_ms > life->ended_ms)
        at_ms = life->ended_ms;
    return scope_names_past(&maker->scope_names, life->service->key.netns, life->scope_ifindex,
                            since_ms, at_ms, row->interface, err);
}

int row_maker_make(struct row_maker *maker, const struct filter *filter,
                   const struct stored_life *life, const struct endpoints *ends, int64_t at_ms,
                   struct socket_row *ret, struct err *err)
{
    struct socket_row row = {
        .protocol = life->service->key.protocol,
        .family = ends->family,
        .role = life->service->key.role,
        .role_source = (uint8_t)file_traits_role_source(life->traits),
        .local = ends->local,
        .remote = ends->remote,
        .local_port = life->local_port,
        .remote_port = life->remote_port,
        .scope_ifindex = life->scope_ifindex,
        .sampled_ms = walltime_of_record(maker->walltime, life->sampled_ms),
        .idle_ms = -1,
    };
    int r;

    snprintf(row.netns, sizeof(row.netns), "%s", life->service->netns);
    r = read_owner(maker, filter, life, at_ms, &row, err);
    if (r == 0)
        r = read_states(maker->walltime, life, at_ms, &row, err);
    if (r == 0)
        r = read_interface(maker, life, at_ms, &row, err);
    if (r == 0)
        r = read_queue(maker, life, at_ms, &row, err);
    if (r == 0)
        r = offload_reader_at(&maker->offloads, life, at_ms, &row.offload, err);
    if (r == 0)
        r = read_opening(maker, life, &row, err);
    if (r == 0)
        r = read_end(maker, life, &row, err);
    if (r < 0)
        return r;
    row.v6only = v6only(life, &row);
    read_facts(life, &row);
    *ret = row;
    return 0;
}

/* A UDP socket without a remote end waits for anyone, as a TCP listener does. */
static bool is_listener(const struct socket_row *row)
{
    return row->state == STATE_LISTEN ||
           (row->protocol == PROTOCOL_UDP && row->state == STATE_CLOSE);
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

int socket_rows_compare(const void *left, const void *right)
{
    const struct socket_row *a = left, *b = right;
    int r = compare_numbers(a->protocol, b->protocol);

    if (r == 0)
        r = compare_numbers(is_listener(b), is_listener(a));
    if (r == 0)
        r = compare_numbers(a->local_port, b->local_port);
    if (r == 0)
        r = compare_numbers(a->family, b->family);
    if (r == 0)
        r = memcmp(&a->local, &b->local, sizeof(a->local));
    if (r == 0)
        r = memcmp(&a->remote, &b->remote, sizeof(a->remote));
    if (r == 0)
        r = compare_numbers(a->remote_port, b->remote_port);
    if (r == 0)
        r = strcmp(a->netns, b->netns);
    if (r == 0)
        r = compare_numbers(a->scope_ifindex, b->scope_ifindex);
    return r ? r : compare_numbers(a->state, b->state);
}

void socket_rows_sort(struct socket_row *rows, size_t n)
{
    if (n > 1)
        qsort(rows, n, sizeof(*rows), socket_rows_compare);
}

int socket_rows_give(const struct socket_row_vec *rows, socket_row_fn fn, void *arg)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < rows->n; i++)
        r = fn(arg, &rows->items[i]);
    return r < 0 ? r : 0;
}
