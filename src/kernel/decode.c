/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "attr.h"
#include "connhist/model/offload.h"
#include "decode_ulp.h"

/* States of the kernel's enum that its user header does not have. */
#define KERNEL_NEW_SYN_RECV   12
#define KERNEL_BOUND_INACTIVE 13

static int decode_state(uint8_t state, uint8_t *ret)
{
    if (state == KERNEL_NEW_SYN_RECV)
        state = STATE_SYN_RECV;
    else if (state == KERNEL_BOUND_INACTIVE)
        state = STATE_CLOSE;
    else if (state < STATE_ESTABLISHED || state >= STATE_COUNT)
        return -EPROTO;
    *ret = state;
    return 0;
}

static int decode_endpoints(const struct inet_diag_msg *message, struct sample *sample)
{
    const struct inet_diag_sockid *id = &message->id;

    if (message->idiag_family != AF_INET && message->idiag_family != AF_INET6)
        return -EPROTO;
    sample->family = message->idiag_family;
    memcpy(sample->local.bytes, id->idiag_src, address_bytes(sample->family));
    memcpy(sample->remote.bytes, id->idiag_dst, address_bytes(sample->family));
    sample->local_port = ntohs(id->idiag_sport);
    sample->remote_port = ntohs(id->idiag_dport);
    sample->scope_ifindex = id->idiag_if;
    sample->cookie = (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
    return 0;
}

static void decode_numbers(const struct inet_diag_msg *message, struct sample *sample)
{
    sample->timer = message->idiag_timer;
    sample->expires_ms = message->idiag_expires;
    sample->recv_queue = message->idiag_rqueue;
    sample->send_queue = message->idiag_wqueue;
    sample->inode = message->idiag_inode;
    sample->uid = message->idiag_uid;
    /* Mini-sockets (TIME_WAIT, SYN_RECV, FIN_WAIT2 after close) and orphans come with uid 0 and
     * inode 0, as would a connection that root has not accepted yet: what root is not known from
     * them. */
    sample->has_uid = sample->inode || sample->uid;
}

static void decode_facts(const struct tcp_info *info, struct sample *sample)
{
    /* The kernel reads the counters after the message's state: tcp_info has the later state. */
    enum sock_state state = (enum sock_state)info->tcpi_state;

    if (!sample_carries(state) || !sample_carries((enum sock_state)sample->state))
        return;
    sample->facts = (struct life_facts){
        .known = true,
        .sent_bytes = sample_payload_sent(info->tcpi_bytes_sent, info->tcpi_bytes_retrans),
        .received_bytes = sample_payload_received(state, info->tcpi_bytes_received),
        .segs_out = info->tcpi_segs_out,
        .segs_in = info->tcpi_segs_in,
        .retrans = info->tcpi_total_retrans,
        .rtt_us = info->tcpi_rtt,
    };
    sample->sent_ago_ms = info->tcpi_last_data_sent;
    sample->received_ago_ms = info->tcpi_last_data_recv;
}

static void decode_info(const struct nlattr *attr, struct sample *sample)
{
    struct tcp_info info = {0};
    size_t n = mnl_attr_get_payload_len(attr);

    /* Before Linux 4.19 the struct ended above the counters. */
    if (n < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans))
        return;
    /* Linux 5.4, which gave it this member, tells of a ULP, too: behind tcp_info, if there is one. */
    if (n >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof(info.tcpi_snd_wnd) &&
        sample->offload == OFFLOAD_UNKNOWN)
        sample->offload = OFFLOAD_IN_HOST;
    memcpy(&info, mnl_attr_get_payload(attr), n < sizeof(info) ? n : sizeof(info));
    sample->opener =
        (uint8_t)sample_opener((enum sock_state)sample->state, info.tcpi_bytes_acked,
                               info.tcpi_bytes_sent, info.tcpi_bytes_retrans, info.tcpi_unacked);
    decode_facts(&info, sample);
}

static int decode_attribute(const struct nlattr *attr, struct sample *sample)
{
    size_t n = mnl_attr_get_payload_len(attr);

    switch (mnl_attr_get_type(attr)) {
    case INET_DIAG_INFO:
        if (sample->protocol == PROTOCOL_TCP)
            decode_info(attr, sample);
        return 0;
    case INET_DIAG_ULP_INFO:
        return decode_ulp(mnl_attr_get_payload(attr), n, &sample->offload);
    case INET_DIAG_SKV6ONLY:
        if (n < sizeof(uint8_t))
            return -EPROTO;
        sample->v6only = mnl_attr_get_u8(attr) != 0;
        sample->v6only_told = true;
        return 0;
    case INET_DIAG_CGROUP_ID:
        if (n < sizeof(sample->cgroup))
            return -EPROTO;
        memcpy(&sample->cgroup, mnl_attr_get_payload(attr), sizeof(sample->cgroup));
        return 0;
    default:
        return 0;
    }
}

static int decode_attributes(const uint8_t *bytes, size_t n, struct sample *sample)
{
    struct attr_walk walk = {.at = bytes, .left = n};
    const struct nlattr *attr;
    int r;

    while ((r = attr_next(&walk, &attr)) > 0) {
        r = decode_attribute(attr, sample);
        if (r < 0)
            return r;
    }
    return r;
}

int decode_sample(const void *payload, size_t n, enum protocol protocol, int64_t sampled_ns,
                  struct sample *ret)
{
    struct inet_diag_msg message;
    struct sample sample = {.protocol = (uint8_t)protocol, .sampled_ns = sampled_ns};
    int r;

    if (n < sizeof(message))
        return -EPROTO;
    memcpy(&message, payload, sizeof(message));
    r = decode_state(message.idiag_state, &sample.state);
    if (r < 0)
        return r;
    r = decode_endpoints(&message, &sample);
    if (r < 0)
        return r;
    decode_numbers(&message, &sample);
    r = decode_attributes((const uint8_t *)payload + sizeof(message), n - sizeof(message), &sample);
    if (r < 0)
        return r;
    *ret = sample;
    return 0;
}
