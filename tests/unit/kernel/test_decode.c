/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>

#include "kernel/decode.h"
#include "messages.h"

static struct bytes bytes_of(const struct inet_diag_msg *message)
{
    struct bytes bytes = {.n = 0};

    put(&bytes, message, sizeof(*message));
    return bytes;
}

static struct sample decoded(const struct bytes *bytes, enum protocol protocol)
{
    struct sample sample;

    assert_int_equal(decode_sample(bytes->at, bytes->n, protocol, 77, &sample), 0);
    return sample;
}

static struct sample decoded_message(const struct inet_diag_msg *message)
{
    struct bytes bytes = bytes_of(message);

    return decoded(&bytes, PROTOCOL_TCP);
}

static void every_field_of_an_ipv4_connection_is_taken(void **state)
{
    struct inet_diag_msg message = made_socket(40000);
    struct sample sample;
    static const struct address local = {{127, 0, 0, 1}}, remote = {{127, 0, 0, 2}};

    (void)state;
    message.id.idiag_if = 3;
    message.idiag_rqueue = 5;
    message.idiag_wqueue = 6;
    message.idiag_timer = 2;
    message.idiag_expires = 900;
    sample = decoded_message(&message);
    assert_int_equal(sample.family, AF_INET);
    assert_int_equal(sample.protocol, PROTOCOL_TCP);
    assert_int_equal(sample.state, STATE_ESTABLISHED);
    assert_memory_equal(&sample.local, &local, sizeof(local));
    assert_memory_equal(&sample.remote, &remote, sizeof(remote));
    assert_int_equal(sample.local_port, 8080);
    assert_int_equal(sample.remote_port, 40000);
    assert_true(sample.cookie == UINT64_C(0x0123456789abcdef));
    assert_int_equal(sample.sampled_ns, 77);
    assert_int_equal(sample.scope_ifindex, 3);
    assert_int_equal(sample.inode, 4242);
    assert_int_equal(sample.uid, 1000);
    assert_true(sample.has_uid);
    assert_int_equal(sample.recv_queue, 5);
    assert_int_equal(sample.send_queue, 6);
    assert_int_equal(sample.timer, 2);
    assert_int_equal(sample.expires_ms, 900);
    assert_int_equal(sample.opener, OPENER_UNKNOWN);
    assert_int_equal(sample.cgroup, 0);
    assert_false(sample.v6only);
    assert_false(sample.v6only_told);
}

static void bytes_behind_an_ipv4_address_are_zero_whatever_the_kernel_left_there(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    static const struct address local = {{127, 0, 0, 1}};
    struct sample sample;

    (void)state;
    message.id.idiag_src[1] = message.id.idiag_src[3] = 0xffffffff;
    sample = decoded_message(&message);
    assert_memory_equal(&sample.local, &local, sizeof(local));
}

static void a_mapped_address_stays_ipv6(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    static const struct address local = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
    struct sample sample;

    (void)state;
    message.idiag_family = AF_INET6;
    memcpy(message.id.idiag_src, local.bytes, 16);
    sample = decoded_message(&message);
    assert_int_equal(sample.family, AF_INET6);
    assert_memory_equal(&sample.local, &local, sizeof(local));
}

static void time_wait_has_its_timer_and_no_owner(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    struct sample sample;

    (void)state;
    message.idiag_state = STATE_TIME_WAIT;
    message.idiag_timer = 3;
    message.idiag_expires = 59123;
    message.idiag_uid = message.idiag_inode = 0;
    sample = decoded_message(&message);
    assert_int_equal(sample.timer, SAMPLE_TIMER_TIME_WAIT);
    assert_int_equal(sample.expires_ms, 59123);
    assert_false(sample.has_uid);
}

static void a_connection_not_accepted_yet_has_a_uid_without_inode(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    struct sample sample;

    (void)state;
    message.idiag_inode = 0;
    sample = decoded_message(&message);
    assert_true(sample.has_uid);
    assert_int_equal(sample.uid, 1000);
}

static void root_is_an_owner_where_there_is_an_inode(void **state)
{
    struct inet_diag_msg message = made_socket(1);

    (void)state;
    message.idiag_uid = 0;
    assert_true(decoded_message(&message).has_uid);
}

static void a_listener_keeps_its_queues_and_its_v6only(void **state)
{
    struct inet_diag_msg message = made_socket(0);
    struct bytes bytes;
    struct sample sample;
    uint8_t yes = 1;

    (void)state;
    message.idiag_family = AF_INET6;
    message.idiag_state = STATE_LISTEN;
    message.idiag_rqueue = 7;
    message.idiag_wqueue = 4096;
    bytes = bytes_of(&message);
    put_attr(&bytes, INET_DIAG_SKV6ONLY, &yes, sizeof(yes));
    sample = decoded(&bytes, PROTOCOL_TCP);
    assert_int_equal(sample.recv_queue, 7);
    assert_int_equal(sample.send_queue, 4096);
    assert_true(sample.v6only);
    assert_true(sample.v6only_told);

    bytes = bytes_of(&message);
    yes = 0;
    put_attr(&bytes, INET_DIAG_SKV6ONLY, &yes, sizeof(yes));
    sample = decoded(&bytes, PROTOCOL_TCP);
    assert_false(sample.v6only);
    assert_true(sample.v6only_told);
}

static void the_cgroup_is_taken_from_among_unknown_attributes(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes = bytes_of(&message);
    uint64_t cgroup = UINT64_C(0x100000002a);

    (void)state;
    put_attr(&bytes, 999, "abc", 3);
    put_attr(&bytes, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
    put_attr(&bytes, 1000, "", 0);
    assert_true(decoded(&bytes, PROTOCOL_TCP).cgroup == cgroup);
}

static struct tcp_info active_opener(void)
{
    return (struct tcp_info){
        .tcpi_bytes_acked = 1001, .tcpi_bytes_sent = 1100, .tcpi_bytes_retrans = 100};
}

static enum opener opener_of(const void *info, size_t n, enum protocol protocol)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes = bytes_of(&message);

    put_attr(&bytes, INET_DIAG_INFO, info, n);
    return (enum opener)decoded(&bytes, protocol).opener;
}

static void tcp_info_tells_the_opener(void **state)
{
    struct tcp_info info = active_opener();

    (void)state;
    assert_int_equal(opener_of(&info, sizeof(info), PROTOCOL_TCP), OPENER_LOCAL);
    info.tcpi_bytes_acked--;
    assert_int_equal(opener_of(&info, sizeof(info), PROTOCOL_TCP), OPENER_REMOTE);
    info.tcpi_unacked = 1;
    assert_int_equal(opener_of(&info, sizeof(info), PROTOCOL_TCP), OPENER_UNKNOWN);
}

static void tcp_info_of_an_old_kernel_tells_no_opener(void **state)
{
    struct tcp_info info = active_opener();
    size_t enough = offsetof(struct tcp_info, tcpi_bytes_retrans) + 8;

    (void)state;
    assert_int_equal(opener_of(&info, enough, PROTOCOL_TCP), OPENER_LOCAL);
    assert_int_equal(opener_of(&info, enough - 1, PROTOCOL_TCP), OPENER_UNKNOWN);
    assert_int_equal(opener_of(&info, 104, PROTOCOL_TCP), OPENER_UNKNOWN); /* Linux 3.x */
    assert_int_equal(opener_of(&info, 0, PROTOCOL_TCP), OPENER_UNKNOWN);
}

static void tcp_info_of_a_newer_kernel_is_longer_and_read_as_far_as_known(void **state)
{
    struct {
        struct tcp_info info;
        uint8_t future[200];
    } longer = {.info = active_opener()};

    (void)state;
    memset(longer.future, 0xee, sizeof(longer.future));
    assert_int_equal(opener_of(&longer, sizeof(longer), PROTOCOL_TCP), OPENER_LOCAL);
}

static struct tcp_info busy(unsigned state)
{
    return (struct tcp_info){.tcpi_state = (uint8_t)state,
                             .tcpi_rtt = 60,
                             .tcpi_last_data_sent = 5,
                             .tcpi_last_data_recv = 7000,
                             .tcpi_total_retrans = 3,
                             .tcpi_bytes_received = 501,
                             .tcpi_segs_out = 20,
                             .tcpi_segs_in = 21,
                             .tcpi_bytes_sent = 1100,
                             .tcpi_bytes_retrans = 100};
}

static struct sample sampled(unsigned state, const struct tcp_info *info, size_t n)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes;

    message.idiag_state = (uint8_t)state;
    bytes = bytes_of(&message);
    put_attr(&bytes, INET_DIAG_INFO, info, n);
    return decoded(&bytes, PROTOCOL_TCP);
}

static void tcp_info_tells_what_a_connection_carried(void **state)
{
    struct tcp_info info = busy(STATE_ESTABLISHED);
    struct sample sample = sampled(STATE_ESTABLISHED, &info, sizeof(info));

    (void)state;
    assert_true(sample.facts.known && !sample.facts.received_uncertain);
    assert_int_equal(sample.facts.sent_bytes, 1000);
    assert_int_equal(sample.facts.received_bytes, 501);
    assert_int_equal(sample.facts.segs_out, 20);
    assert_int_equal(sample.facts.segs_in, 21);
    assert_int_equal(sample.facts.retrans, 3);
    assert_int_equal(sample.facts.rtt_us, 60);
    assert_int_equal(sample.sent_ago_ms, 5);
    assert_int_equal(sample.received_ago_ms, 7000);
    assert_false(sampled(STATE_ESTABLISHED, &info, 104).facts.known);
}

/* The peer's FIN may come between the message's state and the counters. */
static void the_peers_fin_is_no_payload(void **state)
{
    struct tcp_info info = busy(STATE_CLOSE_WAIT);

    (void)state;
    assert_int_equal(sampled(STATE_CLOSE_WAIT, &info, sizeof(info)).facts.received_bytes, 500);
    assert_int_equal(sampled(STATE_ESTABLISHED, &info, sizeof(info)).facts.received_bytes, 500);
    info.tcpi_state = STATE_FIN_WAIT2;
    assert_int_equal(sampled(STATE_FIN_WAIT2, &info, sizeof(info)).facts.received_bytes, 501);
}

static void what_is_no_connection_carries_nothing(void **state)
{
    static const uint8_t states[] = {STATE_LISTEN, STATE_SYN_SENT, STATE_CLOSE};

    (void)state;
    for (size_t i = 0; i < sizeof(states); i++) {
        struct tcp_info info = busy(states[i]);

        assert_false(sampled(states[i], &info, sizeof(info)).facts.known);
        assert_false(sampled(STATE_ESTABLISHED, &info, sizeof(info)).facts.known);
    }
}

static void udp_has_no_opener(void **state)
{
    struct tcp_info info = active_opener();

    (void)state;
    assert_int_equal(opener_of(&info, sizeof(info), PROTOCOL_UDP), OPENER_UNKNOWN);
}

static void the_kernels_inner_states_become_those_that_people_know(void **state)
{
    struct inet_diag_msg message = made_socket(1);

    (void)state;
    message.idiag_state = 12; /* TCP_NEW_SYN_RECV */
    assert_int_equal(decoded_message(&message).state, STATE_SYN_RECV);
    message.idiag_state = 13; /* TCP_BOUND_INACTIVE */
    assert_int_equal(decoded_message(&message).state, STATE_CLOSE);
}

static void assert_refused(const struct bytes *bytes)
{
    struct sample sample, before;

    memset(&before, 0x5a, sizeof(before));
    sample = before;
    assert_int_equal(decode_sample(bytes->at, bytes->n, PROTOCOL_TCP, 0, &sample), -EPROTO);
    assert_memory_equal(&sample, &before, sizeof(sample));
}

static void unknown_states_and_families_are_refused(void **state)
{
    static const uint8_t states[] = {0, 14, 255};
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(states); i++) {
        message.idiag_state = states[i];
        bytes = bytes_of(&message);
        assert_refused(&bytes);
    }
    message = made_socket(1);
    message.idiag_family = AF_UNIX;
    bytes = bytes_of(&message);
    assert_refused(&bytes);
}

static void a_message_cut_anywhere_is_refused_or_has_whole_attributes(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes = bytes_of(&message);
    uint64_t cgroup = 1;

    (void)state;
    put_attr(&bytes, INET_DIAG_CGROUP_ID, &cgroup, sizeof(cgroup));
    for (size_t n = bytes.n; n-- > 0;) {
        bytes.n = n;
        if (n == sizeof(message))
            assert_int_equal(decoded(&bytes, PROTOCOL_TCP).cgroup, 0);
        else
            assert_refused(&bytes);
    }
}

static void attributes_that_are_too_short_are_refused(void **state)
{
    static const uint16_t types[] = {INET_DIAG_CGROUP_ID, INET_DIAG_SKV6ONLY};
    struct inet_diag_msg message = made_socket(1);

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct bytes bytes = bytes_of(&message);

        put_attr(&bytes, types[i], "", 0);
        assert_refused(&bytes);
    }
}

static void attributes_whose_length_cannot_be_are_refused(void **state)
{
    static const uint16_t lengths[] = {0, 3, 9, 0xffff};
    struct inet_diag_msg message = made_socket(1);

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct bytes bytes = bytes_of(&message);
        struct nlattr attr = {.nla_len = lengths[i], .nla_type = 999};

        put(&bytes, &attr, sizeof(attr));
        put(&bytes, "abcd", 4);
        assert_refused(&bytes);
    }
}

static void the_last_attributes_padding_may_be_missing(void **state)
{
    struct inet_diag_msg message = made_socket(1);
    struct bytes bytes = bytes_of(&message);
    uint8_t yes = 1;

    (void)state;
    put_attr(&bytes, INET_DIAG_SKV6ONLY, &yes, sizeof(yes));
    bytes.n -= 3;
    assert_true(decoded(&bytes, PROTOCOL_TCP).v6only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_an_ipv4_connection_is_taken),
        cmocka_unit_test(bytes_behind_an_ipv4_address_are_zero_whatever_the_kernel_left_there),
        cmocka_unit_test(a_mapped_address_stays_ipv6),
        cmocka_unit_test(time_wait_has_its_timer_and_no_owner),
        cmocka_unit_test(a_connection_not_accepted_yet_has_a_uid_without_inode),
        cmocka_unit_test(root_is_an_owner_where_there_is_an_inode),
        cmocka_unit_test(a_listener_keeps_its_queues_and_its_v6only),
        cmocka_unit_test(the_cgroup_is_taken_from_among_unknown_attributes),
        cmocka_unit_test(tcp_info_tells_the_opener),
        cmocka_unit_test(tcp_info_tells_what_a_connection_carried),
        cmocka_unit_test(the_peers_fin_is_no_payload),
        cmocka_unit_test(what_is_no_connection_carries_nothing),
        cmocka_unit_test(tcp_info_of_an_old_kernel_tells_no_opener),
        cmocka_unit_test(tcp_info_of_a_newer_kernel_is_longer_and_read_as_far_as_known),
        cmocka_unit_test(udp_has_no_opener),
        cmocka_unit_test(the_kernels_inner_states_become_those_that_people_know),
        cmocka_unit_test(unknown_states_and_families_are_refused),
        cmocka_unit_test(a_message_cut_anywhere_is_refused_or_has_whole_attributes),
        cmocka_unit_test(attributes_that_are_too_short_are_refused),
        cmocka_unit_test(attributes_whose_length_cannot_be_are_refused),
        cmocka_unit_test(the_last_attributes_padding_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
