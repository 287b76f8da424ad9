/* SPDX-License-Identifier: MIT */
/* Samples from the kernel this process runs on. */
#include <errno.h>
#include <stdlib.h>

#include "connhist/kernel/host.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/kernel/sock_events.h"
#include "connhist/record/source.h"

struct live {
    struct sock_diag *diag;
    struct sock_events *events; /* NULL: not listened to */
    struct sock_events_reader *reader;
    struct netns_ref netns;     /* the namespace that diag belongs to */
};

static int live_namespaces(void *ctx, const struct netns_ref **ret, size_t *ret_n, struct err *err)
{
    struct live *live = ctx;

    (void)err;
    *ret = &live->netns;
    *ret_n = 1;
    return 0;
}

static int live_dump(void *ctx, const struct netns_ref *netns, enum protocol protocol,
                     bool want_info, source_sample_fn fn, void *arg, struct err *err)
{
    struct live *live = ctx;
    struct sock_diag_dump dump = {.protocol = protocol, .want_info = want_info};

    (void)netns;
    return sock_diag_dump(live->diag, &dump, fn, arg, err);
}

static int live_ask_info(void *ctx, const struct netns_ref *netns, struct sample *samples, size_t n,
                         struct err *err)
{
    struct live *live = ctx;

    (void)netns;
    return sock_diag_ask_info(live->diag, samples, n, err);
}

static void live_ephemeral(void *ctx, struct port_range *ret)
{
    (void)ctx;
    host_ephemeral_range(ret, NULL);
}

static int live_events_fd(void *ctx)
{
    const struct live *live = ctx;

    return live->events ? sock_events_fd(live->events) : -1;
}

static size_t live_event_buffer(void *ctx)
{
    const struct live *live = ctx;

    return sock_events_buffer_bytes(live->events);
}

struct forward {
    source_closing_fn fn;
    void *arg;
    uint32_t netns;
};

static void forward_closing(void *arg, const struct closing *closing)
{
    const struct forward *forward = arg;

    forward->fn(forward->arg, forward->netns, closing);
}

static int live_drain(void *ctx, source_closing_fn fn, void *arg, size_t max,
                      struct source_drained *ret, struct err *err)
{
    struct live *live = ctx;
    struct forward forward = {.fn = fn, .arg = arg, .netns = live->netns.id};
    struct sock_events_drained drained = {0};
    int r = sock_events_drain(live->events, live->reader, forward_closing, &forward, max, &drained,
                              err);

    *ret = (struct source_drained){.lost = drained.lost || drained.n_bad > 0, .more = drained.more};
    return r;
}

static uint64_t live_time_wait_dropped(void *ctx)
{
    (void)ctx;
    return host_time_wait_dropped();
}

static int64_t live_fin_timeout_ms(void *ctx)
{
    (void)ctx;
    return host_fin_timeout_ms();
}

static void live_free(void *ctx)
{
    struct live *live = ctx;

    sock_events_close(live->events);
    sock_events_reader_free(live->reader);
    sock_diag_close(live->diag);
    free(live);
}

static const struct source_ops live_ops = {
    .namespaces = live_namespaces,
    .dump = live_dump,
    .ask_info = live_ask_info,
    .ephemeral = live_ephemeral,
    .events_fd = live_events_fd,
    .event_buffer = live_event_buffer,
    .drain = live_drain,
    .time_wait_dropped = live_time_wait_dropped,
    .fin_timeout_ms = live_fin_timeout_ms,
    .free = live_free,
};

int source_live(const struct clock *clock, size_t event_buffer_bytes, struct source *ret,
                struct err *err)
{
    struct live *live = calloc(1, sizeof(*live));
    int r;

    if (!live)
        return err_set(err, -ENOMEM, "out of memory");
    r = host_netns_inode(&live->netns.inode, err);
    if (r == 0)
        r = sock_diag_open(clock, &live->diag, err);
    if (r == 0 && event_buffer_bytes)
        r = sock_events_open(clock, event_buffer_bytes, &live->events, err);
    if (r == 0 && sock_events_reader_new(&live->reader) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
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
