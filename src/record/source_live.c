/* SPDX-License-Identifier: MIT */
/* Samples from the kernel this process runs on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "connhist/kernel/counters.h"
#include "connhist/kernel/host.h"
#include "connhist/kernel/interfaces.h"
#include "connhist/kernel/routes.h"
#include "connhist/kernel/rtnl_changes.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/kernel/tunnels.h"
#include "connhist/record/source.h"
#include "owners_live.h"
#include "spaces.h"

/* Between looks whether namespaces have gone; half of the second that they may be held. */
#define WATCH_MS 500

struct live {
    struct spaces *spaces;
    struct owners_live *owners;
    struct sock_diag *own;     /* of the own namespace */
    struct sock_diag *foreign; /* of the one that is entered, if it is another; else NULL */
    struct space *entered;     /* NULL: none */
    size_t n_samples;          /* of the one that is entered */
};

static int live_namespaces(void *ctx, const struct netns_ref **ret, size_t *ret_n, struct err *err)
{
    struct live *live = ctx;
    int r = spaces_search(live->spaces, true, err);

    /* a search that failed tells nothing of those that are held: they are dumped as before */
    if (r == -ENOMEM || live->spaces->away)
        return r;
    *ret = live->spaces->refs.items;
    *ret_n = live->spaces->refs.n;
    return 0;
}

/* Nothing of ours may be in a foreign namespace but between enter and leave. */
static int go_home(struct live *live, struct err *err)
{
    sock_diag_close(live->foreign);
    live->foreign = NULL;
    live->entered = NULL;
    return spaces_return(live->spaces, err);
}

static int enter_foreign(struct live *live, struct space *space, const struct netns_ref *netns,
                         struct err *err)
{
    uint64_t cookie;
    int r = spaces_enter(live->spaces, space, err);

    if (r < 0)
        return r;
    cookie = netns_cookie();
    if (cookie && cookie != netns->cookie)
        r = err_set(err, -ENOENT, "network namespace %" PRIu64 " is another one now", netns->inode);
    if (r == 0)
        r = sock_diag_open(live->spaces->options.clock, &live->foreign, err);
    if (r < 0) {
        struct err back = {0};

        if (go_home(live, &back) < 0)
            return err_set(err, back.code, "%s", back.text);
    }
    return r;
}

static int live_enter(void *ctx, const struct netns_ref *netns, struct err *err)
{
    struct live *live = ctx;
    struct space *space = spaces_get(live->spaces, netns->id);
    int r = go_home(live, err);

    if (r < 0)
        return r;
    if (!space)
        return err_set(err, -ENOENT, "network namespace %" PRIu64 " is gone", netns->inode);
    if (netns->id)
        r = enter_foreign(live, space, netns, err);
    if (r < 0)
        return r;
    live->entered = space;
    live->n_samples = 0;
    return 0;
}

static int live_leave(void *ctx, struct netns_facts *ret, struct err *err)
{
    struct live *live = ctx;
    struct space *space = live->entered;
    uint64_t n_heard;

    pthread_mutex_lock(&live->spaces->lock);
    n_heard = space->n_heard;
    pthread_mutex_unlock(&live->spaces->lock);
    *ret = (struct netns_facts){.known = !space->ref.id || live->n_samples > 0 ||
                                         n_heard != space->n_heard_before};
    space->n_heard_before = n_heard;
    if (ret->known) {
        host_ephemeral_range(&ret->ephemeral, NULL);
        ret->fin_timeout_ms = host_fin_timeout_ms();
        ret->time_wait_dropped = host_time_wait_dropped();
    }
    return go_home(live, err);
}

struct tallier {
    source_sample_fn fn;
    void *arg;
    size_t n;
};

static int count_sample(void *arg, const struct sample *sample)
{
    struct tallier *tallier = arg;

    tallier->n++;
    return tallier->fn(tallier->arg, sample);
}

static int live_dump(void *ctx, const struct netns_ref *netns, enum protocol protocol,
                     bool want_info, source_sample_fn fn, void *arg, struct err *err)
{
    struct live *live = ctx;
    struct sock_diag_dump dump = {.protocol = protocol, .want_info = want_info};
    struct tallier tallier = {.fn = fn, .arg = arg};
    int r;

    if (!netns->id)
        return sock_diag_dump(live->own, &dump, fn, arg, err);
    r = sock_diag_dump(live->foreign, &dump, count_sample, &tallier, err);
    live->n_samples += tallier.n;
    return r;
}

static int live_ask_info(void *ctx, const struct netns_ref *netns, struct sample *samples, size_t n,
                         struct err *err)
{
    struct live *live = ctx;

    return sock_diag_ask_info(netns->id ? live->foreign : live->own, samples, n, err);
}

static enum netns_standing live_absence(void *ctx, const struct netns_ref *netns)
{
    return spaces_absence(((struct live *)ctx)->spaces, netns);
}

static int live_watch(void *ctx, bool *ret_gone)
{
    struct live *live = ctx;

    *ret_gone = false;
    spaces_reap(live->spaces);
    if (live->spaces->items.n < 2)
        return -1;
    /* Without a search that worked nothing is known to have gone. New ones are opened at ticks
     * alone, so that nobody hears of one that no tick knew. */
    if (!spaces_all_show(live->spaces) && spaces_search(live->spaces, false, NULL) == 0)
        for (size_t i = 1; i < live->spaces->items.n; i++)
            *ret_gone |= live->spaces->items.items[i]->leaving;
    return WATCH_MS;
}

/* Counts namespaces and the sizes of their buffers. */
static void measure(struct spaces *spaces, struct source_state *ret)
{
    pthread_mutex_lock(&spaces->lock);
    for (size_t i = 0; i < spaces->items.n; i++) {
        const struct space *space = spaces->items.items[i];
        size_t bytes = space->events ? sock_events_buffer_bytes(space->events) : 0;

        if (space->leaving)
            continue;
        ret->n_netns++;
        if (i == 0)
            ret->event_buffer = bytes;
        else if (!ret->event_buffer_others || bytes < ret->event_buffer_others)
            ret->event_buffer_others = bytes;
    }
    pthread_mutex_unlock(&spaces->lock);
}

static void live_state(void *ctx, struct source_state *ret)
{
    struct live *live = ctx;

    *ret = (struct source_state){.lacks = live->spaces->lacks};
    snprintf(ret->lack, sizeof(ret->lack), "%s", live->spaces->lack);
    measure(live->spaces, ret);
}

static int live_events_fd(void *ctx)
{
    const struct live *live = ctx;

    return live->spaces->options.event_buffer_bytes ? live->spaces->epoll_fd : -1;
}

static size_t live_event_buffer(void *ctx, size_t *ret_others)
{
    struct live *live = ctx;
    struct source_state state = {0};

    measure(live->spaces, &state);
    *ret_others = state.event_buffer_others;
    return state.event_buffer;
}

static int live_drain(void *ctx, source_closing_fn fn, void *arg, size_t max,
                      struct source_drained *ret, struct err *err)
{
    struct live *live = ctx;

    return spaces_drain(live->spaces, fn, arg, max, ret, err);
}

static void live_owners(void *ctx, struct owner_want *wants, size_t n, bool recheck)
{
    owners_live_look(((struct live *)ctx)->owners, wants, n, recheck);
}

static int live_kernel_ports(void *ctx, struct tunnel_port *ret, size_t max)
{
    (void)ctx;
    return tunnels_read_ports(ret, max, NULL);
}

/* A walk that went on while things changed may show a route or an interface twice or not at all:
 * nothing is concluded from that. */
static void live_counters(void *ctx, unsigned what, struct counted_tables *ret)
{
    (void)ctx;
    ret->routes.limit = COUNTING_ROUTES_MAX;
    if (what & COUNTED_COUNTERS && counters_read(&ret->counters, NULL) < 0)
        ret->lacks |= COUNTED_COUNTERS;
    /* An interface that goes down is told of before its routes have gone. Its change and the walk over
     * interfaces hold the same lock (RTNL), so after that walk they have. */
    if (what & COUNTED_INTERFACES && interfaces_read(&ret->interfaces, NULL) < 0)
        ret->lacks |= COUNTED_INTERFACES;
    if (what & COUNTED_ROUTES && routes_read(&ret->routes, NULL) < 0)
        ret->lacks |= COUNTED_ROUTES;
}

static bool live_tables_changed(void *ctx)
{
    const struct live *live = ctx;
    bool changed = true; /* unless it is told otherwise */

    if (live->entered->changes_fd < 0)
        return false;
    rtnl_changes_take(live->entered->changes_fd, &changed, NULL);
    return changed;
}

static void live_gone(void *ctx, const uint32_t *inodes, size_t n)
{
    owners_live_gone(((struct live *)ctx)->owners, inodes, n);
}

static int live_check_owner(void *ctx, const struct owner *owner)
{
    return owners_live_check(((struct live *)ctx)->owners, owner);
}

static void live_free(void *ctx)
{
    struct live *live = ctx;

    owners_live_free(live->owners);
    sock_diag_close(live->own);
    sock_diag_close(live->foreign);
    spaces_free(live->spaces);
    free(live);
}

static const struct source_ops live_ops = {
    .namespaces = live_namespaces,
    .enter = live_enter,
    .leave = live_leave,
    .dump = live_dump,
    .ask_info = live_ask_info,
    .absence = live_absence,
    .watch = live_watch,
    .state = live_state,
    .events_fd = live_events_fd,
    .event_buffer = live_event_buffer,
    .drain = live_drain,
    .owners = live_owners,
    .kernel_ports = live_kernel_ports,
    .counters = live_counters,
    .tables_changed = live_tables_changed,
    .gone = live_gone,
    .check_owner = live_check_owner,
    .free = live_free,
};

int source_live(const struct source_live_options *options, struct source *ret, struct err *err)
{
    struct live *live = calloc(1, sizeof(*live));
    int r;

    if (!live)
        return err_set(err, -ENOMEM, "out of memory");
    r = spaces_new(options, &live->spaces, err);
    if (r == 0)
        r = sock_diag_open(options->clock, &live->own, err);
    if (r == 0)
        r = owners_live_new(options->clock, &live->owners, err);
    if (r < 0) {
        live_free(live);
        return r;
    }
    *ret = (struct source){.ops = &live_ops, .ctx = live};
    return 0;
}

void source_finish(struct source *source)
{
    if (source->ops)
        source->ops->free(source->ctx);
    *source = (struct source){0};
}
