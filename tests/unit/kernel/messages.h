/* SPDX-License-Identifier: MIT */
/* Netlink messages made by hand, after linux/netlink.h and linux/inet_diag.h, without libmnl. */
#pragma once

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct bytes {
    alignas(8) uint8_t at[4096];
    size_t n;
};

static inline void put(struct bytes *bytes, const void *data, size_t n)
{
    memcpy(bytes->at + bytes->n, data, n);
    bytes->n += n;
    while (bytes->n % 4)
        bytes->at[bytes->n++] = 0;
}

static inline void put_attr(struct bytes *bytes, uint16_t type, const void *data, size_t n)
{
    struct nlattr attr = {.nla_len = (uint16_t)(sizeof(attr) + n), .nla_type = type};

    put(bytes, &attr, sizeof(attr));
    put(bytes, data, n);
}

/* Begins a message; returns where its header is, for put_end(). */
static inline size_t put_header(struct bytes *bytes, uint16_t type, uint16_t flags, uint32_t seq,
                                uint32_t portid)
{
    struct nlmsghdr header = {
        .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq, .nlmsg_pid = portid};
    size_t start = bytes->n;

    put(bytes, &header, sizeof(header));
    return start;
}

static inline void put_end(struct bytes *bytes, size_t start)
{
    uint32_t n = (uint32_t)(bytes->n - start);

    memcpy(bytes->at + start + offsetof(struct nlmsghdr, nlmsg_len), &n, sizeof(n));
}

static inline void put_done(struct bytes *bytes, uint16_t flags, uint32_t seq, uint32_t portid,
                            int error)
{
    size_t start = put_header(bytes, NLMSG_DONE, flags | NLM_F_MULTI, seq, portid);

    put(bytes, &error, sizeof(error));
    put_end(bytes, start);
}

static inline void put_error(struct bytes *bytes, uint32_t seq, uint32_t portid, int error)
{
    struct nlmsgerr payload = {.error = error};
    size_t start = put_header(bytes, NLMSG_ERROR, 0, seq, portid);

    put(bytes, &payload, sizeof(payload));
    put_end(bytes, start);
}

/* An established IPv4 connection 127.0.0.1:8080 to 127.0.0.2:port. */
static inline struct inet_diag_msg made_socket(uint16_t port)
{
    return (struct inet_diag_msg){
        .idiag_family = AF_INET,
        .idiag_state = 1,
        .id.idiag_sport = htons(8080),
        .id.idiag_dport = htons(port),
        .id.idiag_src[0] = htonl(0x7f000001),
        .id.idiag_dst[0] = htonl(0x7f000002),
        .id.idiag_cookie = {0x89abcdef, 0x01234567},
        .idiag_inode = 4242,
        .idiag_uid = 1000,
    };
}

static inline void put_socket(struct bytes *bytes, uint16_t type, uint16_t flags, uint32_t seq,
                              uint32_t portid, uint16_t port)
{
    struct inet_diag_msg message = made_socket(port);
    size_t start = put_header(bytes, type, flags | NLM_F_MULTI, seq, portid);

    put(bytes, &message, sizeof(message));
    put_end(bytes, start);
}
