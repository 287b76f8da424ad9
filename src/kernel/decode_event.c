/* SPDX-License-Identifier: MIT */
#include "decode_event.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "attr.h"

#define US_PER_MS 1000

/* The last member that is read; before Linux 4.19 the struct ended above it. */
#define INFO_BYTES_MIN                               \
    (offsetof(struct tcp_info, tcpi_bytes_retrans) + \
     sizeof(((struct tcp_info *)0)->tcpi_bytes_retrans))

static int decode_endpoints(const struct inet_diag_msg *message, struct closing *closing)
{
    const struct inet_diag_sockid *id = &message->id;

    if (message->idiag_family != AF_INET && message->idiag_family != AF_INET6)
        return -EPROTO;
    closing->family = message->idiag_family;
    memcpy(closing->local.bytes, id->idiag_src, address_bytes(closing->family));
    memcpy(closing->remote.bytes, id->idiag_dst, address_bytes(closing->family));
    closing->local_port = ntohs(id->idiag_sport);
    closing->remote_port = ntohs(id->idiag_dport);
    closing->scope_ifindex = id->idiag_if;
    closing->cookie = (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
    return 0;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* tcp_disconnect() zeroes the time of the last data received, and tcpi_last_data_recv is then the
 * time since boot; of a socket that was never connected all of them are. */
static uint32_t known_age_ms(const struct tcp_info *info, bool wiped)
{
    uint64_t busy_ms = info->tcpi_busy_time / US_PER_MS;
    uint32_t age = larger(info->tcpi_last_data_sent, info->tcpi_last_ack_recv);

    if (wiped)
        return age;
    age = larger(age, info->tcpi_last_data_recv);
    return busy_ms > UINT32_MAX ? age : larger(age, (uint32_t)busy_ms);
}

/* It goes on to grow after the end, as long as the program holds the socket. */
static uint32_t quiet_ms(const struct tcp_info *info)
{
    uint32_t sent = info->tcpi_last_data_sent, received = info->tcpi_last_data_recv;
    uint32_t least = sent < received ? sent : received;

    return least < info->tcpi_last_ack_recv ? least : info->tcpi_last_ack_recv;
}

static void count(const struct inet_diag_msg *message, const struct tcp_info *info,
                  struct closing *closing)
{
    const struct closing_counters counters = {
        .bytes_acked = info->tcpi_bytes_acked,
        .bytes_sent = info->tcpi_bytes_sent,
        .bytes_retrans = info->tcpi_bytes_retrans,
        .bytes_received = info->tcpi_bytes_received,
        .notsent_bytes = info->tcpi_notsent_bytes,
        .delivered = info->tcpi_delivered,
        .data_segs_out = info->tcpi_data_segs_out,
        .recv_queue = message->idiag_rqueue,
        .send_queue = message->idiag_wqueue,
        .retransmits = info->tcpi_retransmits,
        .probes = info->tcpi_probes,
    };

    closing_count(closing, &counters);
    closing->segs_out = info->tcpi_segs_out;
    closing->segs_in = info->tcpi_segs_in;
    closing->retrans = info->tcpi_total_retrans;
    closing->rtt_us = info->tcpi_rtt;
}

static void decode_info(const struct nlattr *attr, const struct inet_diag_msg *message,
                        struct closing *closing)
{
    struct tcp_info info;
    size_t n = mnl_attr_get_payload_len(attr);

    if (n < INFO_BYTES_MIN)
        return;
    if (n > sizeof(info))
        n = sizeof(info);
    memcpy(&info, mnl_attr_get_payload(attr), n);
    memset((uint8_t *)&info + n, 0, sizeof(info) - n);
    if (closing->unconnected)
        return;
    if (closing->wiped) {
        /* The peer's window outlives the wiping. It is 0 where no peer ever answered. */
        closing->established = info.tcpi_snd_wnd != 0;
    } else {
        closing->has_info = true;
        count(message, &info, closing);
    }
    if (closing->established)
        closing->known_age_ms = known_age_ms(&info, closing->wiped);
    if (closing->established && closing->has_info) {
        closing->quiet_ms = quiet_ms(&info);
        closing->sent_ago_ms = info.tcpi_last_data_sent;
        closing->received_ago_ms = info.tcpi_last_data_recv;
    }
}

static int decode_protocol(const struct nlattr *attr, struct closing *closing)
{
    if (!attr || mnl_attr_get_payload_len(attr) < sizeof(uint8_t))
        return -EPROTO;
    closing->protocol = mnl_attr_get_u8(attr);
    return closing->protocol == PROTOCOL_TCP || closing->protocol == PROTOCOL_UDP ? 0 : -EPROTO;
}

static int decode_attributes(struct attr_walk walk, const struct inet_diag_msg *message,
                             struct closing *closing)
{
    const struct nlattr *attr, *protocol = NULL, *info = NULL;
    int r;

    while ((r = attr_next(&walk, &attr)) > 0) {
        if (mnl_attr_get_type(attr) == INET_DIAG_PROTOCOL)
            protocol = attr;
        else if (mnl_attr_get_type(attr) == INET_DIAG_INFO)
            info = attr;
    }
    if (r < 0)
        return r;
    r = decode_protocol(protocol, closing);
    if (r < 0)
        return r;
    closing->unconnected =
        closing->remote_port == 0 && address_is_any(closing->family, &closing->remote);
    closing->wiped =
        closing->protocol == PROTOCOL_TCP && closing->remote_port == 0 && !closing->unconnected;
    if (info && closing->protocol == PROTOCOL_TCP)
        decode_info(info, message, closing);
    return 0;
}

int decode_event(const void *datagram, size_t n, int64_t received_ns, struct closing *ret)
{
    const struct nlmsghdr *header = datagram;
    struct closing closing = {.received_ns = received_ns};
    struct inet_diag_msg message;
    struct attr_walk walk;
    int r;

    if (n < MNL_NLMSG_HDRLEN + sizeof(message) || header->nlmsg_len > n ||
        header->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(message) ||
        header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return -EPROTO;
    walk.at = (const uint8_t *)datagram + MNL_NLMSG_HDRLEN + sizeof(message);
    walk.left = header->nlmsg_len - MNL_NLMSG_HDRLEN - sizeof(message);
    memcpy(&message, (const uint8_t *)datagram + MNL_NLMSG_HDRLEN, sizeof(message));
    r = decode_endpoints(&message, &closing);
    if (r < 0)
        return r;
    r = decode_attributes(walk, &message, &closing);
    if (r < 0)
        return r;
    *ret = closing;
    return 0;
}
