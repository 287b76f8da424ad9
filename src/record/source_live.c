/* SPDX-License-Identifier: MIT */
/* Samples from the kernel this process runs on. */
#include <errno.h>
#include <stdlib.h>

#include "connhist/kernel/host.h"
#include "connhist/kernel/sock_diag.h"
#include "connhist/record/source.h"

struct live {
    struct sock_diag *diag;
    struct netns_ref netns; /* the namespace that diag belongs to */
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

static void live_free(void *ctx)
{
    struct live *live = ctx;

    sock_diag_close(live->diag);
    free(live);
}

static const struct source_ops live_ops = {
    .namespaces = live_namespaces,
    .dump = live_dump,
    .ask_info = live_ask_info,
    .ephemeral = live_ephemeral,
    .free = live_free,
};

int source_live(const struct clock *clock, struct source *ret, struct err *err)
{
    struct live *live = calloc(1, sizeof(*live));
    int r;

    if (!live)
        return err_set(err, -ENOMEM, "out of memory");
    r = host_netns_inode(&live->netns.inode, err);
    if (r == 0)
        r = sock_diag_open(clock, &live->diag, err);
    if (r < 0) {
        free(live);
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
