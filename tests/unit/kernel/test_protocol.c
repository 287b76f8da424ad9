/* SPDX-License-Identifier: MIT */
/* Whole dumps against a kernel that is played by the other end of a socket pair. */
#include "unit.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "connhist/kernel/sock_diag.h"
#include "kernel/link.h"
#include "messages.h"

#define PORTID 9001
#define SEQ    101 /* the first that sock_diag uses here */

static const struct sock_diag_dump tcp = {.protocol = PROTOCOL_TCP};
static const struct sock_diag_dump udp = {.protocol = PROTOCOL_UDP};

struct stage {
    struct sock_diag *diag; /* owned */
    struct clock clock;
    int kernel;  /* the end that plays the kernel */
    int64_t now; /* what the clock says; 1 more at each look */
    size_t n;    /* samples received */
    int64_t last_ns;
    int fail_with;
    struct err err;
};

static int64_t tick(void *ctx)
{
    struct stage *stage = ctx;

    return ++stage->now;
}

static int count(void *arg, const struct sample *sample)
{
    struct stage *stage = arg;

    stage->n++;
    stage->last_ns = sample->sampled_ns;
    return stage->fail_with;
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct timeval soon = {.tv_usec = 20000};
    int pair[2];

    assert_non_null(stage);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    stage->diag = calloc(1, sizeof(*stage->diag));
    assert_non_null(stage->diag);
    stage->clock = (struct clock){.boottime_ns = tick, .realtime_ns = tick, .ctx = stage};
    stage->diag->clock = &stage->clock;
    stage->diag->fd = pair[0];
    stage->diag->portid = PORTID;
    stage->diag->seq = SEQ - 1;
    stage->kernel = pair[1];
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    sock_diag_close(stage->diag);
    close(stage->kernel);
    free(stage);
    return 0;
}

static void answer(struct stage *stage, const struct bytes *bytes)
{
    assert_int_equal(send(stage->kernel, bytes->at, bytes->n, 0), bytes->n);
}

static void answer_socket(struct stage *stage, uint16_t type, uint32_t seq)
{
    struct bytes bytes = {.n = 0};

    put_socket(&bytes, type, 0, seq, PORTID, 1);
    answer(stage, &bytes);
}

static void answer_done(struct stage *stage, uint16_t flags, uint32_t seq, int error)
{
    struct bytes bytes = {.n = 0};

    put_done(&bytes, flags, seq, PORTID, error);
    answer(stage, &bytes);
}

static void answer_error(struct stage *stage, uint32_t seq, int error)
{
    struct bytes bytes = {.n = 0};

    put_error(&bytes, seq, PORTID, error);
    answer(stage, &bytes);
}

static int dump(struct stage *stage, const struct sock_diag_dump *question)
{
    stage->err = (struct err){0};
    return sock_diag_dump(stage->diag, question, count, stage, &stage->err);
}

/* Takes the next request that the kernel got; returns its type, 0 when there is none. */
static unsigned take_request(struct stage *stage, struct bytes *ret)
{
    struct nlmsghdr header;
    ssize_t n = recv(stage->kernel, ret->at, sizeof(ret->at), MSG_DONTWAIT);

    if (n < 0)
        return 0;
    assert_true((size_t)n >= sizeof(header));
    memcpy(&header, ret->at, sizeof(header));
    assert_int_equal(header.nlmsg_len, n);
    return header.nlmsg_type;
}

static void tcp_of_both_families_is_one_request_for_all_states(void **state)
{
    struct stage *stage = *state;
    struct inet_diag_req req;
    struct bytes bytes;

    answer_done(stage, 0, SEQ, 0);
    assert_int_equal(dump(stage, &tcp), 0);
    assert_int_equal(take_request(stage, &bytes), TCPDIAG_GETSOCK);
    memcpy(&req, bytes.at + sizeof(struct nlmsghdr), sizeof(req));
    assert_int_equal(req.idiag_family, AF_UNSPEC);
    assert_int_equal(req.idiag_states, 0x2ffe);
    assert_int_equal(req.idiag_ext, 0);
    assert_int_equal(take_request(stage, &bytes), 0);
}

static void udp_is_a_request_for_each_family(void **state)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    struct stage *stage = *state;
    struct bytes bytes;

    answer_socket(stage, SOCK_DIAG_BY_FAMILY, SEQ);
    answer_done(stage, 0, SEQ, 0);
    answer_socket(stage, SOCK_DIAG_BY_FAMILY, SEQ + 1);
    answer_done(stage, 0, SEQ + 1, 0);
    assert_int_equal(dump(stage, &udp), 0);
    assert_int_equal(stage->n, 2);
    for (size_t i = 0; i < 2; i++) {
        struct inet_diag_req_v2 req;

        assert_int_equal(take_request(stage, &bytes), SOCK_DIAG_BY_FAMILY);
        memcpy(&req, bytes.at + sizeof(struct nlmsghdr), sizeof(req));
        assert_int_equal(req.sdiag_family, families[i]);
        assert_int_equal(req.sdiag_protocol, IPPROTO_UDP);
    }
}

static void the_clock_is_read_once_for_each_buffer(void **state)
{
    struct stage *stage = *state;
    struct bytes bytes = {.n = 0};

    put_socket(&bytes, TCPDIAG_GETSOCK, 0, SEQ, PORTID, 1);
    put_socket(&bytes, TCPDIAG_GETSOCK, 0, SEQ, PORTID, 2);
    answer(stage, &bytes);
    answer_socket(stage, TCPDIAG_GETSOCK, SEQ);
    answer_done(stage, 0, SEQ, 0);
    assert_int_equal(dump(stage, &tcp), 0);
    assert_int_equal(stage->last_ns, 2);
    assert_int_equal(stage->now, 3);
}

static void a_kernel_that_refuses_the_legacy_request_is_asked_by_family_from_then_on(void **state)
{
    struct stage *stage = *state;
    struct bytes bytes;

    answer_error(stage, SEQ, -EOPNOTSUPP);
    answer_done(stage, 0, SEQ + 1, 0);
    answer_done(stage, 0, SEQ + 2, 0);
    assert_int_equal(dump(stage, &tcp), 0);
    assert_int_equal(take_request(stage, &bytes), TCPDIAG_GETSOCK);
    assert_int_equal(take_request(stage, &bytes), SOCK_DIAG_BY_FAMILY);
    assert_int_equal(take_request(stage, &bytes), SOCK_DIAG_BY_FAMILY);
    answer_done(stage, 0, SEQ + 3, 0);
    answer_done(stage, 0, SEQ + 4, 0);
    assert_int_equal(dump(stage, &tcp), 0);
    assert_int_equal(take_request(stage, &bytes), SOCK_DIAG_BY_FAMILY);
}

static void a_missing_module_is_named(void **state)
{
    struct stage *stage = *state;

    answer_error(stage, SEQ, -ENOENT);
    assert_int_equal(dump(stage, &tcp), -ENOENT);
    assert_non_null(strstr(stage->err.text, "tcp_diag"));
    answer_done(stage, 0, SEQ + 1, -ENOENT);
    assert_int_equal(dump(stage, &udp), -ENOENT);
    assert_non_null(strstr(stage->err.text, "udp_diag"));
}

static void an_error_within_done_is_not_an_empty_table(void **state)
{
    struct stage *stage = *state;

    answer_socket(stage, TCPDIAG_GETSOCK, SEQ);
    answer_done(stage, 0, SEQ, -EINVAL);
    assert_int_equal(dump(stage, &tcp), -EINVAL);
    assert_int_equal(stage->err.code, -EINVAL);
    assert_false(stage->diag->legacy_refused);
}

static void an_interrupted_walk_is_told_after_all_samples_of_both_families(void **state)
{
    struct stage *stage = *state;

    answer_done(stage, NLM_F_DUMP_INTR, SEQ, 0);
    answer_socket(stage, SOCK_DIAG_BY_FAMILY, SEQ + 1);
    answer_done(stage, 0, SEQ + 1, 0);
    assert_int_equal(dump(stage, &udp), -EINTR);
    assert_int_equal(stage->n, 1);
}

static void a_message_larger_than_the_buffer_is_an_error(void **state)
{
    struct stage *stage = *state;
    uint8_t *large = calloc(1, LINK_READ_BYTES + 4);

    assert_non_null(large);
    assert_int_equal(send(stage->kernel, large, LINK_READ_BYTES + 4, 0), LINK_READ_BYTES + 4);
    free(large);
    assert_int_equal(dump(stage, &tcp), -EMSGSIZE);
    assert_int_equal(stage->err.code, -EMSGSIZE);
}

static void a_silent_kernel_is_given_up(void **state)
{
    struct stage *stage = *state;

    assert_int_equal(dump(stage, &tcp), -ETIMEDOUT);
    assert_int_equal(stage->err.code, -ETIMEDOUT);
}

static void what_an_aborted_dump_left_does_not_reach_the_next(void **state)
{
    struct stage *stage = *state;
    struct bytes bytes;

    stage->fail_with = -ECANCELED;
    answer_socket(stage, TCPDIAG_GETSOCK, SEQ);
    answer_socket(stage, TCPDIAG_GETSOCK, SEQ);
    answer_done(stage, 0, SEQ, 0);
    assert_int_equal(dump(stage, &tcp), -ECANCELED);
    assert_int_equal(stage->err.code, 0); /* the receiver's own error: nothing is said over it */
    stage->fail_with = 0;
    assert_int_equal(stage->n, 1);
    assert_int_equal(dump(stage, &tcp), -ETIMEDOUT);
    assert_int_equal(stage->n, 1);
    assert_int_equal(take_request(stage, &bytes), TCPDIAG_GETSOCK);
    assert_int_equal(take_request(stage, &bytes), NLMSG_NOOP);
    assert_int_equal(take_request(stage, &bytes), TCPDIAG_GETSOCK);
}

static void late_answers_to_an_earlier_dump_are_skipped(void **state)
{
    struct stage *stage = *state;

    answer_socket(stage, TCPDIAG_GETSOCK, SEQ - 1);
    answer_done(stage, 0, SEQ - 1, -EIO);
    answer_socket(stage, TCPDIAG_GETSOCK, SEQ);
    answer_done(stage, 0, SEQ, 0);
    assert_int_equal(dump(stage, &tcp), 0);
    assert_int_equal(stage->n, 1);
}

static void nonsense_is_not_understood(void **state)
{
    struct stage *stage = *state;

    assert_int_equal(send(stage->kernel, "nonsense", 8, 0), 8);
    assert_int_equal(dump(stage, &tcp), -EPROTO);
    assert_int_equal(stage->err.code, -EPROTO);
}

static struct sample established(uint64_t cookie)
{
    return (struct sample){
        .cookie = cookie,
        .family = AF_INET,
        .protocol = PROTOCOL_TCP,
        .state = STATE_ESTABLISHED,
    };
}

static void an_error_about_tcp_info_stops_and_keeps_what_is_done(void **state)
{
    struct stage *stage = *state;
    struct sample samples[] = {established(1), established(2)};

    answer_error(stage, SEQ, -ENOENT);
    answer_error(stage, SEQ + 1, -ENOBUFS);
    assert_int_equal(sock_diag_ask_info(stage->diag, samples, 2, &stage->err), -ENOBUFS);
    assert_int_equal(stage->err.code, -ENOBUFS);
    assert_int_equal(samples[0].opener, OPENER_UNKNOWN);
}

static void tcp_info_answers_may_come_twice_and_in_any_order(void **state)
{
    struct stage *stage = *state;
    struct sample samples[] = {established(1), established(2)};

    answer_error(stage, SEQ + 1, -ENOENT);
    answer_error(stage, SEQ + 1, -ENOENT);
    answer_error(stage, SEQ, -ESTALE);
    assert_int_equal(sock_diag_ask_info(stage->diag, samples, 2, &stage->err), 0);
}

static void nobody_is_asked_about_sockets_without_tcp_info(void **state)
{
    struct stage *stage = *state;
    struct sample samples[] = {established(1), established(2), established(3)};
    struct bytes bytes;

    samples[0].state = STATE_TIME_WAIT;
    samples[1].state = STATE_LISTEN;
    samples[2].protocol = PROTOCOL_UDP;
    assert_int_equal(sock_diag_ask_info(stage->diag, samples, 3, &stage->err), 0);
    assert_int_equal(sock_diag_ask_info(stage->diag, NULL, 0, &stage->err), 0);
    assert_int_equal(take_request(stage, &bytes), 0);
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        staged(tcp_of_both_families_is_one_request_for_all_states),
        staged(udp_is_a_request_for_each_family),
        staged(the_clock_is_read_once_for_each_buffer),
        staged(a_kernel_that_refuses_the_legacy_request_is_asked_by_family_from_then_on),
        staged(a_missing_module_is_named),
        staged(an_error_within_done_is_not_an_empty_table),
        staged(an_interrupted_walk_is_told_after_all_samples_of_both_families),
        staged(a_message_larger_than_the_buffer_is_an_error),
        staged(a_silent_kernel_is_given_up),
        staged(what_an_aborted_dump_left_does_not_reach_the_next),
        staged(late_answers_to_an_earlier_dump_are_skipped),
        staged(nonsense_is_not_understood),
        staged(an_error_about_tcp_info_stops_and_keeps_what_is_done),
        staged(tcp_info_answers_may_come_twice_and_in_any_order),
        staged(nobody_is_asked_about_sockets_without_tcp_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
