/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>

#include "decode.h"

#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO */

static bool answers(const struct nlmsghdr *header, const struct request *request)
{
    return header->nlmsg_pid == request->portid &&
           header->nlmsg_seq - request->seq < request->n; /* wraps as the numbers do */
}

/* Reads the errno that a DONE or ERROR payload begins with; at_least: size of the whole struct. */
static int read_error(const struct nlmsghdr *header, size_t at_least, int *ret)
{
    int error;

    if (mnl_nlmsg_get_payload_len(header) < at_least)
        return -EPROTO;
    memcpy(&error, mnl_nlmsg_get_payload(header), sizeof(error));
    if (error > 0 || error < -ERRNO_MAX)
        return -EPROTO;
    *ret = error;
    return 0;
}

/* Makes a reply of one message; REPLY_NONE for one that says nothing. */
static int read_message(const struct nlmsghdr *header, const struct request *request,
                        struct reply *ret)
{
    struct reply reply = {
        .index = header->nlmsg_seq - request->seq,
        .interrupted = (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0,
    };
    int r = 0;

    if (header->nlmsg_type == request->type) {
        reply.kind = REPLY_SOCKET;
        reply.payload = mnl_nlmsg_get_payload(header);
        reply.payload_bytes = mnl_nlmsg_get_payload_len(header);
    } else if (header->nlmsg_type == NLMSG_DONE) {
        reply.kind = REPLY_DONE;
        r = read_error(header, sizeof(int), &reply.error);
    } else if (header->nlmsg_type == NLMSG_ERROR) {
        r = read_error(header, sizeof(struct nlmsgerr), &reply.error);
        reply.kind = reply.error ? REPLY_ERROR : REPLY_NONE; /* 0: an acknowledgement */
    } else if (header->nlmsg_type != NLMSG_NOOP) {
        return -EPROTO;
    }
    if (r < 0)
        return r;
    *ret = reply;
    return 0;
}

int reply_next(struct reply_cursor *cursor, const struct request *request, struct reply *ret)
{
    struct reply reply = {.kind = REPLY_NONE};

    while (cursor->left > 0 && reply.kind == REPLY_NONE) {
        const struct nlmsghdr *header = cursor->at;
        size_t step;

        if (cursor->left < sizeof(*header) || header->nlmsg_len < sizeof(*header) ||
            header->nlmsg_len > cursor->left)
            return -EPROTO;
        if (answers(header, request)) {
            int r = read_message(header, request, &reply);

            if (r < 0)
                return r;
        }
        step = MNL_ALIGN(header->nlmsg_len);
        if (step > cursor->left) /* the last one's padding may be left out */
            step = cursor->left;
        cursor->at = (const uint8_t *)cursor->at + step;
        cursor->left -= step;
    }
    *ret = reply;
    return 0;
}

static int deliver(struct dump_walk *walk, const struct reply *reply)
{
    struct sample sample;
    int r = decode_sample(reply->payload, reply->payload_bytes, walk->protocol, walk->sampled_ns,
                          &sample);

    if (r < 0)
        return r;
    walk->n_samples++;
    r = walk->fn(walk->arg, &sample);
    walk->fn_failed = r < 0;
    return r;
}

int dump_buffer(struct dump_walk *walk, const void *buffer, size_t n)
{
    struct reply_cursor cursor = {.at = buffer, .left = n};
    int failed = 0;

    while (!walk->ended) {
        struct reply reply;
        int r = reply_next(&cursor, &walk->request, &reply);

        if (r < 0)
            return failed ? failed : r;
        if (reply.kind == REPLY_NONE)
            break;
        walk->interrupted |= reply.interrupted;
        if (reply.kind == REPLY_SOCKET) {
            if (!failed)
                failed = deliver(walk, &reply);
        } else {
            walk->ended = true;
            walk->kernel_error = reply.error;
        }
    }
    return failed;
}
