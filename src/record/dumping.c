/* SPDX-License-Identifier: MIT */
/* The dumps of one snapshot: all namespaces, one after the other, from the source to the ledger. */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>

#include "recorder_private.h"

#define ASK_INFO_MAX 4096 /* sockets asked one by one for tcp_info in a tick */

/* Places in the list of namespaces. */
struct failed_vec {
    VEC_FIELDS(size_t);
};

struct taker {
    struct ledger *ledger;
    uint32_t netns;
};

static int take_sample(void *arg, const struct sample *sample)
{
    const struct taker *taker = arg;

    return ledger_sample(taker->ledger, taker->netns, sample);
}

static void ask_info(struct recorder *recorder, const struct netns_ref *netns)
{
    struct sample *samples;
    size_t n = ledger_unsure(recorder->ledger, ASK_INFO_MAX, &samples);

    /* what can't be told this way is told by listeners and ports, and role_source says so */
    if (n > 0)
        recorder->source.ops->ask_info(recorder->source.ctx, netns, samples, n, NULL);
    recorder->info_next = n == ASK_INFO_MAX;
}

/* A kernel without udp_diag is recorded without UDP, and the record says so at each anchor. Where a
 * protocol was there before, or it is TCP, its absence means that the snapshot is not whole. */
static int lacks_protocol(struct recorder *recorder, enum protocol protocol, int r,
                          const struct err *err)
{
    if (protocol == PROTOCOL_TCP || recorder->had_udp)
        return r;
    if (!recorder->lacks_udp)
        recorder_notice(recorder, LOG_WARNING, "udp is not recorded: %s", err->text);
    if (!recorder->lacks_udp || recorder->last_start_ms / HOUR_MS != recorder->anchor_hour) {
        struct loss loss = {.from_ms = recorder->first_start_ms,
                            .until_ms = recorder->last_start_ms,
                            .kind = LOSS_DUMP_FAILED};

        snprintf(loss.text, sizeof(loss.text), "udp: %.110s", err->text);
        tick_add_loss(recorder, &loss);
    }
    recorder->lacks_udp = true;
    return 0;
}

static int dump_protocol(struct recorder *recorder, const struct netns_ref *netns,
                         enum protocol protocol, struct err *err)
{
    struct taker taker = {.ledger = recorder->ledger, .netns = netns->id};
    bool want_info = protocol == PROTOCOL_TCP &&
                     (!recorder->first_done || recorder->info_next || recorder->sampling);
    int r = recorder->source.ops->dump(recorder->source.ctx, netns, protocol, want_info,
                                       take_sample, &taker, err);

    if (r == -ENOENT)
        return lacks_protocol(recorder, protocol, r, err);
    recorder->had_udp |= r == 0 && protocol == PROTOCOL_UDP;
    return r;
}

static int dump_inside(struct recorder *recorder, const struct netns_ref *netns, struct err *err)
{
    struct err udp_err = {0};
    int tcp = dump_protocol(recorder, netns, PROTOCOL_TCP, err), udp;

    ask_info(recorder, netns);
    udp = dump_protocol(recorder, netns, PROTOCOL_UDP, &udp_err);
    feed_kernel_ports(recorder);
    counting_read(&recorder->counting, &recorder->source, netns->id);
    if (tcp == 0 && udp < 0)
        *err = udp_err;
    return tcp < 0 ? tcp : udp;
}

/* One that went since it was looked for has no sockets any more. */
static int dump_namespace(struct recorder *recorder, const struct netns_ref *netns, struct err *err)
{
    const struct source *source = &recorder->source;
    struct netns_facts facts = {0};
    struct err leave_err = {0};
    int r = source->ops->enter(source->ctx, netns, err), left;

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = dump_inside(recorder, netns, err);
    left = source->ops->leave(source->ctx, &facts, &leave_err);
    if (left == 0 &&
        namespaces_facts(&recorder->namespaces, netns->id, &facts, recorder->ledger) < 0)
        left = err_set(&leave_err, -ENOMEM, "out of memory");
    if (r == 0 && left < 0)
        *err = leave_err;
    return r < 0 ? r : left;
}

static int note_namespaces(struct recorder *recorder, const struct netns_ref *netns, size_t n)
{
    struct namespaces *namespaces = &recorder->namespaces;
    int r = namespaces_note(namespaces, netns, n, recorder->last_start_ms);

    if (r == 0)
        r = namespaces_miss(namespaces, &recorder->source, recorder->last_start_ms,
                            recorder->before_ms, recorder->ledger);
    return r < 0 ? r : namespaces_warn(namespaces, recorder->ledger);
}

/* Where all dumps failed the snapshot is complete nowhere, and none is named. */
static int name_failed(struct recorder *recorder, const struct netns_ref *netns, size_t n,
                       const struct failed_vec *failed)
{
    int r = 0;

    for (size_t i = 0; i < failed->n && failed->n < n && r == 0; i++)
        r = ledger_netns_failed(recorder->ledger, netns[failed->items[i]].id);
    return r;
}

/* Returns the first failure, with the name of its namespace. */
static int dump_each(struct recorder *recorder, const struct netns_ref *netns, size_t n,
                     struct failed_vec *failed, struct err *err)
{
    int first = 0;

    for (size_t i = 0; i < n; i++) {
        struct err one = {0};
        int r = dump_namespace(recorder, &netns[i], &one);

        if (r < 0 && first == 0) {
            first = err_set(err, r, "%s%s%s", netns[i].name, *netns[i].name ? ": " : "", one.text);
        }
        if (r < 0 && vec_push(failed, i) < 0)
            return err_set(err, -ENOMEM, "out of memory");
    }
    return first;
}

int dump_all(struct recorder *recorder, struct batch *batch, struct err *err)
{
    struct failed_vec failed = {0};
    const struct netns_ref *netns;
    size_t n;
    int r = recorder->source.ops->namespaces(recorder->source.ctx, &netns, &n, err);

    if (r == 0 && note_namespaces(recorder, netns, n) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (namespaces_put(&recorder->namespaces, batch, recorder->full_next) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r < 0)
        return r;
    r = dump_each(recorder, netns, n, &failed, err);
    if (r != -ENOMEM && name_failed(recorder, netns, n, &failed) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    vec_finish(&failed);
    return r;
}
