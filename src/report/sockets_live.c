/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/clock.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/model/life.h"
#include "connhist/report/sockets.h"
#include "live_owners.h"
#include "live_queued.h"
#include "netns_live.h"
#include "scope_names.h"
#include "socket_row.h"

/* A walk that was inconsistent is walked again, this often in all. */
#define WALKS 3

struct seen {
    uint64_t cookie; /* the kernel's: tells doubles */
    size_t row;      /* index in rows */
};

struct live {
    const struct filter *filter; /* not owned */
    struct netns_live netns;
    struct socket_row_vec rows;      /* owned */
    struct socket_row_vec listeners; /* TCP's, whether they are asked for or not; owned */
    struct {
        VEC_FIELDS(struct seen);
    } seen;        /* of the protocol that is being walked; owned */
    bool offloads; /* tcp_info is asked for */
};

static void live_finish(struct live *live)
{
    vec_finish(&live->rows);
    vec_finish(&live->listeners);
    vec_finish(&live->seen);
}

static void cleanup_diag(struct sock_diag **diag)
{
    if (*diag)
        sock_diag_close(*diag);
}

static struct socket_row row_of_sample(const struct sample *sample)
{
    return (struct socket_row){
        .protocol = sample->protocol,
        .family = sample->family,
        .state = sample->state,
        .local = sample->local,
        .remote = sample->remote,
        .local_port = sample->local_port,
        .remote_port = sample->remote_port,
        .scope_ifindex = sample->scope_ifindex,
        .recv_queue = sample->recv_queue,
        .send_queue = sample->send_queue,
        .uid = sample->has_uid ? (int64_t)sample->uid : -1,
        .cgroup = sample->cgroup,
        .inode = sample->inode,
        .offload = sample->offload,
        .v6only = sample->v6only_told ? sample->v6only : -1,
        .process_started_ms = TIME_UNKNOWN,
        .opened_ms = TIME_UNKNOWN,
        .opened_after_ms = TIME_UNKNOWN,
        .first_seen_ms = TIME_UNKNOWN,
        .closed_ms = TIME_UNKNOWN,
        .closed_after_ms = TIME_UNKNOWN,
        .duration_ms = -1,
        .close_wait_ms = TIME_UNKNOWN,
        .time_wait_ms = TIME_UNKNOWN,
        .state_since_ms = TIME_UNKNOWN,
    };
}

/* Doubles must be known by what was seen first, so a sample is noted before the state is looked at:
 * a socket may have moved on while the kernel walked. */
static int add_sample(void *arg, const struct sample *sample)
{
    struct live *live = arg;
    struct socket_row row = row_of_sample(sample);
    struct seen seen = {.cookie = sample->cookie, .row = live->rows.n};

    memcpy(row.netns, live->netns.name, sizeof(row.netns));
    if (row.protocol == PROTOCOL_TCP && row.state == STATE_LISTEN &&
        vec_push(&live->listeners, row) < 0)
        return -ENOMEM;
    if (!socket_ports_match(live->filter, sample->local_port, sample->remote_port) ||
        !filter_endpoints(live->filter, sample->family, &sample->local, &sample->remote))
        return 0;
    if (vec_reserve(&live->rows, 1) < 0 || vec_push(&live->seen, seen) < 0)
        return -ENOMEM;
    live->rows.items[live->rows.n++] = row;
    return 0;
}

static int compare_seen(const void *left, const void *right)
{
    const struct seen *a = left, *b = right;

    if (a->cookie != b->cookie)
        return a->cookie < b->cookie ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

/* Whether two rows of one cookie are one socket that moved on while the kernel walked. Only a
 * TIME_WAIT shares its cookie with another socket: what its program shut down and still holds
 * (CLOSE), or connected elsewhere. */
static bool is_double(const struct socket_row *a, const struct socket_row *b)
{
    if (a->state != STATE_TIME_WAIT && b->state != STATE_TIME_WAIT)
        return true;
    return a->state != STATE_CLOSE && b->state != STATE_CLOSE && a->local_port == b->local_port &&
           a->remote_port == b->remote_port &&
           memcmp(&a->local, &b->local, sizeof(a->local)) == 0 &&
           memcmp(&a->remote, &b->remote, sizeof(a->remote)) == 0;
}

/* Drops the row of seen[i] if one before it is the same socket. */
static void drop_double(struct live *live, size_t i)
{
    struct socket_row *row = &live->rows.items[live->seen.items[i].row];

    for (size_t j = i; j-- > 0 && live->seen.items[j].cookie == live->seen.items[i].cookie;) {
        const struct socket_row *before = &live->rows.items[live->seen.items[j].row];

        if (before->state && is_double(before, row)) {
            row->state = 0;
            return;
        }
    }
}

/* Drops doubles, and rows whose state is not asked for. Rows before `first` stay. */
static void sift(struct live *live, size_t first)
{
    size_t kept = first;

    if (live->seen.n > 1)
        qsort(live->seen.items, live->seen.n, sizeof(struct seen), compare_seen);
    for (size_t i = 1; i < live->seen.n; i++)
        drop_double(live, i);
    for (size_t i = first; i < live->rows.n; i++) {
        struct socket_row *row = &live->rows.items[i];

        if (row->state && filter_state(live->filter, row->state))
            live->rows.items[kept++] = *row;
    }
    live->rows.n = kept;
}

static int walk(struct live *live, struct sock_diag *diag, enum protocol protocol, struct err *err)
{
    struct sock_diag_dump dump = {.protocol = protocol, .want_info = live->offloads};
    size_t first = live->rows.n;
    int r = -EINTR;

    for (int i = 0; r == -EINTR && i < WALKS; i++) {
        live->rows.n = first;
        vec_clear(&live->seen);
        if (protocol == PROTOCOL_TCP)
            vec_clear(&live->listeners);
        r = sock_diag_dump(diag, &dump, add_sample, live, err);
    }
    if (r == -ENOMEM) /* add_sample() has no words of its own */
        err_errno(err, r, "reading the sockets");
    if (r < 0 && r != -EINTR)
        live->rows.n = first;
    else
        sift(live, first);
    return r;
}

/* Walks both protocols. 1: *err says what lacks. */
static int walk_all(struct live *live, struct sock_diag *diag, struct err *err)
{
    static const enum protocol protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP};
    size_t asked = 0, failed = 0;
    struct err lack = {0};
    bool inconsistent = false;

    for (size_t i = 0; i < 2; i++) {
        struct err walk_err = {0};
        int r;

        if (live->filter->protocol && live->filter->protocol != protocols[i])
            continue;
        asked++;
        r = walk(live, diag, protocols[i], &walk_err);
        inconsistent |= r == -EINTR;
        if (r == -ENOENT) { /* the kernel lacks a module: the other protocol can still be shown */
            failed++;
            lack = walk_err;
        } else if (r < 0 && r != -EINTR) {
            return err_set(err, r, "%s", walk_err.text);
        }
    }
    if (failed == asked)
        return err_set(err, lack.code, "%s", lack.text);
    if (failed) {
        err_set(err, lack.code, "%s", lack.text);
        return 1;
    }
    if (inconsistent) {
        err_set(err, -EINTR, "the kernel's tables changed while they were read: sockets may lack");
        return 1;
    }
    return 0;
}

int sockets_live_check(const struct filter *filter, struct err *err)
{
    struct clock clock = clock_system();
    struct sock_diag *diag = NULL;
    struct netns_live netns;
    int r = netns_live_find(filter, &netns, err);

    if (r == 0)
        r = netns_live_open(&netns, &clock, &diag, err);
    sock_diag_close(diag);
    return r;
}

/* Leaves out rows whose owner does not belong to the answer. */
static void choose_by_owner(struct socket_row_vec *rows, const struct filter *filter)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (filter_owner(filter, rows->items[i].owner))
            rows->items[kept++] = rows->items[i];
    rows->n = kept;
}

int sockets_live(const struct filter *filter, unsigned which, socket_row_fn fn, void *arg,
                 struct err *err)
{
    _cleanup_(live_owners_finish) struct live_owners found = {0};
    _cleanup_(live_finish) struct live live = {.filter = filter,
                                               .offloads = (which & LIVE_OFFLOADS) != 0};
    _cleanup_(cleanup_diag) struct sock_diag *diag = NULL;
    struct clock clock = clock_system();
    int lacks, r;

    if (filter->role)
        return err_set(err, -EOPNOTSUPP,
                       "the kernel does not tell the roles of sockets: ask the record");
    r = netns_live_find(filter, &live.netns, err);
    if (r < 0)
        return r;
    r = netns_live_open(&live.netns, &clock, &diag, err);
    if (r < 0)
        return r;
    lacks = walk_all(&live, diag, err);
    if (lacks < 0)
        return lacks;
    socket_rows_sort(live.rows.items, live.rows.n);
    r = scope_names_live(&live.netns, &live.rows, err);
    if (r < 0)
        return r;
    live_queued_sort(&live.listeners);
    live_queued_uids(&live.rows, &live.listeners);
    if (which & LIVE_OWNERS || filter_by_owner(filter)) {
        r = live_owners_find(&found, &clock, filter, &live.rows, &live.listeners,
                             lacks ? NULL : err);
        if (r < 0)
            return r;
        lacks |= r;
        choose_by_owner(&live.rows, filter);
    }
    r = socket_rows_give(&live.rows, fn, arg);
    return r < 0 ? r : lacks;
}
