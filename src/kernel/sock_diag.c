/* SPDX-License-Identifier: MIT */
#include "connhist/kernel/sock_diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "connhist/base/cleanup.h"
#include "link.h"
#include "reply.h"

/* Every state with a number, and bit 13: bound sockets, neither listening nor connected, which
 * come as CLOSE. Kernels before 6.8 don't know the bit and ignore it. */
#define ALL_STATES (((1U << STATE_COUNT) - 2) | 1U << 13)

#define EXT_INFO (1U << (INET_DIAG_INFO - 1))

/* One question to the kernel; sdiag_family is AF_UNSPEC for TCPDIAG_GETSOCK. */
struct question {
    uint16_t type; /* SOCK_DIAG_BY_FAMILY or TCPDIAG_GETSOCK */
    uint8_t family;
};

DEFINE_CLEANUP(struct sock_diag *, sock_diag_close)

int sock_diag_open(const struct clock *clock, struct sock_diag **ret, struct err *err)
{
    _cleanup_(cleanup_sock_diag_close) struct sock_diag *diag = calloc(1, sizeof(*diag));
    int r;

    if (!diag)
        return err_errno(err, -ENOMEM, "opening a netlink socket");
    diag->clock = clock;
    diag->fd = -1;
    r = link_open(diag, err);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(diag);
    return 0;
}

void sock_diag_close(struct sock_diag *diag)
{
    if (!diag)
        return;
    if (diag->fd >= 0)
        close(diag->fd);
    free(diag);
}

static void put_payload(struct nlmsghdr *header, const struct question *question,
                        const struct sock_diag_dump *dump)
{
    uint8_t ext = dump->protocol == PROTOCOL_TCP && dump->want_info ? EXT_INFO : 0;

    if (question->type == TCPDIAG_GETSOCK) {
        struct inet_diag_req *req = mnl_nlmsg_put_extra_header(header, sizeof(*req));

        req->idiag_family = question->family;
        req->idiag_ext = ext;
        req->idiag_states = ALL_STATES;
    } else {
        struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(header, sizeof(*req));

        req->sdiag_family = question->family;
        req->sdiag_protocol = (uint8_t)dump->protocol;
        req->idiag_ext = ext;
        req->idiag_states = ALL_STATES;
    }
}

static int send_question(struct sock_diag *diag, const struct question *question,
                         const struct sock_diag_dump *dump, struct request *ret, struct err *err)
{
    alignas(8) uint8_t bytes[128];
    struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
    struct request request = {
        .portid = diag->portid,
        .seq = link_take_seq(diag, 1),
        .n = 1,
        .type = question->type,
    };
    int r;

    header->nlmsg_type = request.type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header->nlmsg_seq = request.seq;
    put_payload(header, question, dump);
    r = link_send(diag, bytes, header->nlmsg_len, err);
    if (r < 0)
        return r;
    *ret = request;
    return 0;
}

static int receive_answer(struct sock_diag *diag, struct dump_walk *walk, struct err *err)
{
    while (!walk->ended) {
        size_t n;
        int r = link_receive(diag, &n, err);

        if (r < 0)
            return r;
        walk->sampled_ns = clock_boottime_ns(diag->clock);
        r = dump_buffer(walk, diag->buffer, n);
        if (r < 0)
            return walk->fn_failed ? r : err_errno(err, r, "reading the kernel's sockets");
    }
    diag->dirty = false;
    return 0;
}

static int kernel_refusal(const struct dump_walk *walk, struct err *err)
{
    const char *name = protocol_name(walk->protocol);

    if (walk->kernel_error == -ENOENT)
        return err_set(err, -ENOENT,
                       "the kernel has no %s_diag (or no inet_diag): is the module there, does "
                       "`modprobe %s_diag` load it?",
                       name, name);
    return err_errno(err, walk->kernel_error, "the kernel's dump of %s sockets", name);
}

/* Asks one question and hands on what comes. Returns as sock_diag_dump(); *ret_refused: the kernel
 * answered with an error and nothing else. */
static int ask(struct sock_diag *diag, const struct question *question,
               const struct sock_diag_dump *dump, sample_fn fn, void *arg, bool *ret_refused,
               struct err *err)
{
    struct dump_walk walk = {.protocol = dump->protocol, .fn = fn, .arg = arg};
    int r = link_drain(diag, err);

    *ret_refused = false;
    if (r < 0)
        return r;
    r = send_question(diag, question, dump, &walk.request, err);
    if (r < 0)
        return r;
    r = receive_answer(diag, &walk, err);
    if (r < 0)
        return r;
    if (walk.kernel_error) {
        *ret_refused = walk.n_samples == 0;
        return kernel_refusal(&walk, err);
    }
    if (walk.interrupted)
        return err_set(err, -EINTR, "the kernel's table of %s sockets changed under the walk",
                       protocol_name(dump->protocol));
    return 0;
}

/* IPv4, then IPv6; an interrupted first walk does not stop the second. */
static int dump_each_family(struct sock_diag *diag, const struct sock_diag_dump *dump, sample_fn fn,
                            void *arg, struct err *err)
{
    static const struct question questions[] = {
        {.type = SOCK_DIAG_BY_FAMILY, .family = AF_INET},
        {.type = SOCK_DIAG_BY_FAMILY, .family = AF_INET6},
    };
    int first = 0;

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        bool refused;
        int r = ask(diag, &questions[i], dump, fn, arg, &refused, err);

        if (r < 0 && r != -EINTR)
            return r;
        if (r < 0)
            first = r;
    }
    return first;
}

/* Errors that say the kernel does not take this request, whatever is asked with it. */
static bool is_refusal(int r)
{
    return r == -EOPNOTSUPP || r == -EPROTONOSUPPORT || r == -EINVAL || r == -EPERM || r == -EACCES;
}

int sock_diag_dump(struct sock_diag *diag, const struct sock_diag_dump *dump, sample_fn fn,
                   void *arg, struct err *err)
{
    static const struct question both = {.type = TCPDIAG_GETSOCK, .family = AF_UNSPEC};
    bool refused;
    int r;

    if (dump->protocol != PROTOCOL_TCP || diag->legacy_refused)
        return dump_each_family(diag, dump, fn, arg, err);
    r = ask(diag, &both, dump, fn, arg, &refused, err);
    if (!refused || !is_refusal(r))
        return r;
    r = dump_each_family(diag, dump, fn, arg, err);
    diag->legacy_refused = r == 0 || r == -EINTR;
    return r;
}
