/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/kernel/sock_diag.h"
#include "connhist/model/offload.h"
#include "decode.h"
#include "link.h"
#include "reply.h"

/* The replies to one group wait in the receive buffer together, each with some 1.3 KiB of its
 * memory; 212,992 bytes is the usual size. */
#define GROUP_MAX 32

#define REQUEST_BYTES \
    (MNL_ALIGN(sizeof(struct nlmsghdr)) + MNL_ALIGN(sizeof(struct inet_diag_req_v2)))

/* Some samples that are asked about with one send(). */
struct group {
    struct sample *asked[GROUP_MAX]; /* the caller's; NULL once answered */
    uint32_t n;
};

/* Whether the kernel has counters to tell the opener from. */
static bool worth_asking(const struct sample *sample)
{
    return sample->protocol == PROTOCOL_TCP && sample->state != STATE_TIME_WAIT &&
           sample->state != STATE_LISTEN && sample->state != STATE_CLOSE;
}

/* Fills the group from *at on, and moves *at behind what it took or passed over. */
static void gather(struct group *group, struct sample *samples, size_t n, size_t *at)
{
    group->n = 0;
    for (; *at < n && group->n < GROUP_MAX; (*at)++)
        if (worth_asking(&samples[*at]))
            group->asked[group->n++] = &samples[*at];
}

static void put_request(uint8_t *bytes, uint32_t seq, const struct sample *sample)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
    struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(header, sizeof(*req));

    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST;
    header->nlmsg_seq = seq;
    req->sdiag_family = sample->family;
    req->sdiag_protocol = sample->protocol;
    req->idiag_ext = 1U << (INET_DIAG_INFO - 1);
    req->id.idiag_sport = htons(sample->local_port);
    req->id.idiag_dport = htons(sample->remote_port);
    memcpy(req->id.idiag_src, sample->local.bytes, sizeof(req->id.idiag_src));
    memcpy(req->id.idiag_dst, sample->remote.bytes, sizeof(req->id.idiag_dst));
    req->id.idiag_if = sample->scope_ifindex;
    req->id.idiag_cookie[0] = (uint32_t)sample->cookie;
    req->id.idiag_cookie[1] = (uint32_t)(sample->cookie >> 32);
}

static int send_group(struct sock_diag *diag, const struct group *group, struct request *ret,
                      struct err *err)
{
    alignas(8) uint8_t bytes[GROUP_MAX * REQUEST_BYTES];
    struct request request = {
        .portid = diag->portid,
        .seq = link_take_seq(diag, group->n),
        .n = group->n,
        .type = SOCK_DIAG_BY_FAMILY,
    };
    int r;

    for (uint32_t i = 0; i < group->n; i++)
        put_request(bytes + i * REQUEST_BYTES, request.seq + i, group->asked[i]);
    r = link_send(diag, bytes, group->n * REQUEST_BYTES, err);
    if (r < 0)
        return r;
    *ret = request;
    return 0;
}

/* ENOENT: no socket with these endpoints; ESTALE: another one, by its cookie. Both mean gone. */
static int take_reply(const struct reply *reply, struct sample *sample, struct err *err)
{
    struct sample now;
    int r;

    if (reply->kind == REPLY_ERROR && (reply->error == -ENOENT || reply->error == -ESTALE))
        return 0;
    if (reply->kind == REPLY_ERROR)
        return err_errno(err, reply->error, "asking the kernel for tcp_info");
    if (reply->kind != REPLY_SOCKET)
        return err_set(err, -EPROTO, "the kernel answered a request for tcp_info as if for a dump");
    r = decode_sample(reply->payload, reply->payload_bytes, PROTOCOL_TCP, 0, &now);
    if (r < 0)
        return err_errno(err, r, "reading a socket's tcp_info");
    if (now.cookie != sample->cookie)
        return 0;
    if (now.opener != OPENER_UNKNOWN)
        sample->opener = now.opener;
    if (now.offload != OFFLOAD_UNKNOWN)
        sample->offload = now.offload;
    return 0;
}

/* Takes the replies of one received buffer and takes those answered off *left. */
static int take_buffer(const struct request *request, struct reply_cursor cursor,
                       struct group *group, uint32_t *left, struct err *err)
{
    for (;;) {
        struct sample *sample;
        struct reply reply;
        int r = reply_next(&cursor, request, &reply);

        if (r < 0)
            return err_errno(err, r, "reading the kernel's answer about tcp_info");
        if (reply.kind == REPLY_NONE)
            return 0;
        sample = group->asked[reply.index];
        if (!sample) /* answered twice */
            continue;
        r = take_reply(&reply, sample, err);
        if (r < 0)
            return r;
        group->asked[reply.index] = NULL;
        (*left)--;
    }
}

static int ask_group(struct sock_diag *diag, struct group *group, struct err *err)
{
    struct request request;
    uint32_t left = group->n;
    int r = send_group(diag, group, &request, err);

    while (r == 0 && left > 0) {
        size_t n;

        r = link_receive(diag, &n, err);
        if (r == 0)
            r = take_buffer(&request, (struct reply_cursor){.at = diag->buffer, .left = n}, group,
                            &left, err);
    }
    if (r < 0)
        return r;
    diag->dirty = false;
    return 0;
}

int sock_diag_ask_info(struct sock_diag *diag, struct sample *samples, size_t n, struct err *err)
{
    size_t at = 0;
    int r = link_drain(diag, err);

    while (r == 0 && at < n) {
        struct group group;

        gather(&group, samples, n, &at);
        if (group.n > 0)
            r = ask_group(diag, &group, err);
    }
    return r;
}
