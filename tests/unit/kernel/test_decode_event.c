/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <linux/sock_diag.h>

#include "kernel/decode_event.h"
#include "messages.h"

/* The active end of an orderly close. */
static struct tcp_info made_info(void)
{
    return (struct tcp_info){
        .tcpi_state = 7,
        .tcpi_bytes_acked = 1002,
        .tcpi_bytes_sent = 1500,
        .tcpi_bytes_retrans = 500,
        .tcpi_bytes_received = 101,
        .tcpi_data_segs_out = 3,
        .tcpi_delivered = 3,
        .tcpi_segs_out = 9,
        .tcpi_segs_in = 8,
        .tcpi_total_retrans = 1,
        .tcpi_rtt = 1234,
        .tcpi_last_data_sent = 20,
        .tcpi_last_data_recv = 30,
        .tcpi_last_ack_recv = 10,
        .tcpi_busy_time = 25000,
        .tcpi_snd_wnd = 65536,
    };
}

static struct inet_diag_msg made_body(void)
{
    struct inet_diag_msg message = made_socket(40000);

    message.idiag_state = 7;
    message.idiag_rqueue = 1;
    return message;
}

static struct bytes event(const struct inet_diag_msg *message, uint8_t protocol, const void *info,
                          size_t n)
{
    struct bytes bytes = {.n = 0};
    size_t start = put_header(&bytes, SOCK_DIAG_BY_FAMILY, 0, 0, 0);

    put(&bytes, message, sizeof(*message));
    put_attr(&bytes, INET_DIAG_PROTOCOL, &protocol, sizeof(protocol));
    if (info)
        put_attr(&bytes, INET_DIAG_INFO, info, n);
    put_end(&bytes, start);
    return bytes;
}

static struct closing decoded(const struct bytes *bytes)
{
    struct closing closing;

    assert_int_equal(decode_event(bytes->at, bytes->n, 77, &closing), 0);
    return closing;
}

static struct closing decoded_tcp(const struct inet_diag_msg *message, const struct tcp_info *info)
{
    struct bytes bytes = event(message, PROTOCOL_TCP, info, sizeof(*info));

    return decoded(&bytes);
}

static void every_field_of_a_tcp_event_is_taken(void **state)
{
    static const struct address local = {{127, 0, 0, 1}}, remote = {{127, 0, 0, 2}};
    struct inet_diag_msg message = made_body();
    struct tcp_info info = made_info();
    struct closing closing;

    (void)state;
    message.id.idiag_if = 3;
    closing = decoded_tcp(&message, &info);
    assert_true(closing.cookie == UINT64_C(0x0123456789abcdef));
    assert_int_equal(closing.received_ns, 77);
    assert_memory_equal(&closing.local, &local, sizeof(local));
    assert_memory_equal(&closing.remote, &remote, sizeof(remote));
    assert_int_equal(closing.local_port, 8080);
    assert_int_equal(closing.remote_port, 40000);
    assert_int_equal(closing.scope_ifindex, 3);
    assert_int_equal(closing.family, AF_INET);
    assert_int_equal(closing.protocol, PROTOCOL_TCP);
    assert_true(closing.has_info && closing.established && closing.fin_acked);
    assert_false(closing.wiped || closing.unconnected || closing.bytes_received_may_include_fin);
    assert_int_equal(closing.opener, OPENER_LOCAL);
    assert_int_equal(closing.bytes_sent, 1000);
    assert_int_equal(closing.bytes_received, 100);
    assert_int_equal(closing.segs_out, 9);
    assert_int_equal(closing.segs_in, 8);
    assert_int_equal(closing.retrans, 1);
    assert_int_equal(closing.rtt_us, 1234);
    assert_int_equal(closing.known_age_ms, 30);
}

static void busy_time_is_an_age_too(void **state)
{
    struct inet_diag_msg message = made_body();
    struct tcp_info info = made_info();

    (void)state;
    info.tcpi_busy_time = 45999;
    assert_int_equal(decoded_tcp(&message, &info).known_age_ms, 45);
    info.tcpi_busy_time = UINT64_MAX;
    assert_int_equal(decoded_tcp(&message, &info).known_age_ms, 30);
}

static void a_wiped_event_keeps_what_is_left(void **state)
{
    struct inet_diag_msg message = made_body();
    struct tcp_info info = {.tcpi_last_data_sent = 20,
                            .tcpi_last_data_recv = 4177292,
                            .tcpi_last_ack_recv = 24,
                            .tcpi_snd_wnd = 70656};
    struct closing closing;

    (void)state;
    message.id.idiag_dport = 0;
    memset(message.id.idiag_src, 0, sizeof(message.id.idiag_src));
    message.idiag_wqueue = 70658;
    closing = decoded_tcp(&message, &info);
    assert_true(closing.wiped && closing.established);
    assert_false(closing.has_info || closing.unconnected);
    assert_int_equal(closing.known_age_ms, 24);
    info.tcpi_snd_wnd = 0;
    closing = decoded_tcp(&message, &info);
    assert_true(closing.wiped && !closing.established);
    assert_int_equal(closing.known_age_ms, 0);
}

static void an_event_without_remote_end_is_unconnected(void **state)
{
    struct inet_diag_msg message = made_body();
    struct tcp_info info = {.tcpi_last_data_sent = 4177292};
    struct closing closing;

    (void)state;
    message.id.idiag_dport = 0;
    memset(message.id.idiag_dst, 0, sizeof(message.id.idiag_dst));
    closing = decoded_tcp(&message, &info);
    assert_true(closing.unconnected);
    assert_false(closing.wiped || closing.has_info || closing.established);
    assert_int_equal(closing.known_age_ms, 0);
}

static void a_udp_event_has_no_info_and_its_queues_are_ignored(void **state)
{
    struct inet_diag_msg message = made_body();
    struct bytes bytes;
    struct closing closing;

    (void)state;
    message.idiag_state = 1;
    message.idiag_wqueue = UINT32_MAX;
    bytes = event(&message, PROTOCOL_UDP, NULL, 0);
    closing = decoded(&bytes);
    assert_int_equal(closing.protocol, PROTOCOL_UDP);
    assert_false(closing.has_info || closing.wiped || closing.unconnected);
    assert_int_equal(closing.opener, OPENER_UNKNOWN);
}

static void an_old_kernels_shorter_info_is_left_out_and_a_longer_one_cut(void **state)
{
    struct inet_diag_msg message = made_body();
    struct tcp_info info = made_info();
    uint8_t longer[sizeof(info) + 64] = {0};
    struct bytes bytes = event(&message, PROTOCOL_TCP, &info, 104);

    (void)state;
    assert_false(decoded(&bytes).has_info);
    memcpy(longer, &info, sizeof(info));
    bytes = event(&message, PROTOCOL_TCP, longer, sizeof(longer));
    assert_int_equal(decoded(&bytes).bytes_sent, 1000);
}

static void an_event_cut_anywhere_is_refused_and_touches_nothing(void **state)
{
    struct inet_diag_msg message = made_body();
    struct tcp_info info = made_info();
    struct bytes bytes = event(&message, PROTOCOL_TCP, &info, sizeof(info));
    struct closing closing = {.cookie = 777};

    (void)state;
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_equal(decode_event(bytes.at, n, 0, &closing), -EPROTO);
    assert_int_equal(closing.cookie, 777);
}

static void refuse(struct bytes bytes, size_t at, uint16_t value)
{
    struct closing closing;

    memcpy(bytes.at + at, &value, sizeof(value));
    assert_int_equal(decode_event(bytes.at, bytes.n, 0, &closing), -EPROTO);
}

static void what_cannot_be_is_refused(void **state)
{
    enum { BODY = sizeof(struct nlmsghdr), ATTR = BODY + sizeof(struct inet_diag_msg) };
    struct inet_diag_msg message = made_body();
    struct bytes bytes = event(&message, PROTOCOL_TCP, NULL, 0);

    (void)state;
    refuse(bytes, offsetof(struct nlmsghdr, nlmsg_type), NLMSG_ERROR);
    refuse(bytes, offsetof(struct nlmsghdr, nlmsg_len), 20);
    refuse(bytes, BODY, AF_UNIX);
    refuse(bytes, ATTR, 3);                      /* an attribute shorter than its header */
    refuse(bytes, ATTR, 1000);                   /* longer than the message */
    refuse(bytes, ATTR, 4);                      /* a protocol of no bytes */
    refuse(bytes, ATTR + 2, INET_DIAG_SKV6ONLY); /* no protocol */
    refuse(bytes, ATTR + 4, 132);                /* SCTP */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_tcp_event_is_taken),
        cmocka_unit_test(busy_time_is_an_age_too),
        cmocka_unit_test(a_wiped_event_keeps_what_is_left),
        cmocka_unit_test(an_event_without_remote_end_is_unconnected),
        cmocka_unit_test(a_udp_event_has_no_info_and_its_queues_are_ignored),
        cmocka_unit_test(an_old_kernels_shorter_info_is_left_out_and_a_longer_one_cut),
        cmocka_unit_test(an_event_cut_anywhere_is_refused_and_touches_nothing),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
