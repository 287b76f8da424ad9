/* SPDX-License-Identifier: MIT */
/* Reading the events of all namespaces. */
#include <sys/epoll.h>

#include "spaces.h"

#define READY_MAX 64 /* namespaces read in one go */

struct forward {
    source_closing_fn fn;
    void *arg;
    struct space *space;
};

static void forward_closing(void *arg, const struct closing *closing)
{
    const struct forward *forward = arg;

    forward->space->n_heard++;
    forward->fn(forward->arg, forward->space->ref.id, closing);
}

/* Reads what waits of one namespace and adds it to *drained. Returns whether all was read. */
static bool drain_one(struct spaces *spaces, struct space *space, struct forward *forward,
                      size_t max, struct source_drained *drained, struct err *err, int *ret)
{
    struct sock_events_drained one = {0};
    int r;

    forward->space = space;
    r = sock_events_drain(space->events, spaces->reader, forward_closing, forward, max, &one,
                          *ret == 0 ? err : NULL);
    drained->lost |= one.lost || one.n_bad > 0;
    drained->more |= one.more;
    if (r < 0 && *ret == 0)
        *ret = r;
    return r < 0 || !one.more;
}

int spaces_drain(struct spaces *spaces, source_closing_fn fn, void *arg, size_t max,
                 struct source_drained *ret, struct err *err)
{
    struct epoll_event ready[READY_MAX];
    struct forward forward = {.fn = fn, .arg = arg};
    struct source_drained drained = {0};
    int n, r = 0;

    pthread_mutex_lock(&spaces->lock);
    n = epoll_wait(spaces->epoll_fd, ready, READY_MAX, 0);
    for (int i = 0; i < n; i++)
        drain_one(spaces, ready[i].data.ptr, &forward, max, &drained, err, &r);
    drained.more |= n == READY_MAX;
    for (size_t i = 1; i < spaces->items.n; i++) {
        struct space *space = spaces->items.items[i];

        if (space->leaving && space->events &&
            drain_one(spaces, space, &forward, max, &drained, err, &r)) {
            sock_events_close(space->events);
            space->events = NULL;
        }
    }
    pthread_mutex_unlock(&spaces->lock);
    *ret = drained;
    return r;
}
