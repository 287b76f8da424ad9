/* SPDX-License-Identifier: MIT */
#include "connhist/model/sample.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "connhist/base/cleanup.h"

static void counters_tell_who_sent_the_first_syn(void **state)
{
    (void)state;
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 1, 0, 0, 0), OPENER_LOCAL);
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 0, 0, 0, 0), OPENER_REMOTE);
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 101, 100, 0, 0), OPENER_LOCAL);
    assert_int_equal(sample_opener(STATE_CLOSE_WAIT, 100, 100, 0, 0), OPENER_REMOTE);
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 101, 150, 50, 0), OPENER_LOCAL);
    assert_int_equal(sample_opener(STATE_FIN_WAIT2, 102, 100, 0, 0), OPENER_LOCAL);
    assert_int_equal(sample_opener(STATE_FIN_WAIT2, 101, 100, 0, 0), OPENER_REMOTE);
}

static void counters_that_do_not_tell_are_not_trusted(void **state)
{
    (void)state;
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 1, 0, 0, 1), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 2, 0, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_ESTABLISHED, 50, 100, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_FIN_WAIT2, 100, 100, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_SYN_SENT, 1, 0, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_SYN_RECV, 1, 0, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_LISTEN, 1, 0, 0, 0), OPENER_UNKNOWN);
    assert_int_equal(sample_opener(STATE_CLOSE, 1, 0, 0, 0), OPENER_UNKNOWN);
}

/* A connection over the loopback: ends[0] called connect(), ends[1] was accepted. */
static void open_connection(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    _cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof(address);

    assert_int_equal(bind(listener, (struct sockaddr *)&address, n), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[0], (struct sockaddr *)&address, n), 0);
    ends[1] = accept(listener, NULL, NULL);
    assert_true(ends[1] >= 0);
}

/* What the kernel's counters say, once it is in this state and all is acknowledged. */
static enum opener opener_of(int fd, enum sock_state wanted)
{
    struct tcp_info info = {0};
    socklen_t n;

    do {
        sched_yield();
        n = sizeof(info);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
    } while (info.tcpi_state != wanted || info.tcpi_unacked > 0);
    return sample_opener(info.tcpi_state, info.tcpi_bytes_acked, info.tcpi_bytes_sent,
                         info.tcpi_bytes_retrans, info.tcpi_unacked);
}

static void the_kernel_counts_as_we_think(void **state)
{
    char bytes[1000] = "";
    int ends[2];

    (void)state;
    open_connection(ends);
    assert_int_equal(opener_of(ends[0], STATE_ESTABLISHED), OPENER_LOCAL);
    assert_int_equal(opener_of(ends[1], STATE_ESTABLISHED), OPENER_REMOTE);
    assert_int_equal(send(ends[0], bytes, 700, 0), 700);
    assert_int_equal(send(ends[1], bytes, 300, 0), 300);
    assert_int_equal(opener_of(ends[0], STATE_ESTABLISHED), OPENER_LOCAL);
    assert_int_equal(opener_of(ends[1], STATE_ESTABLISHED), OPENER_REMOTE);
    assert_int_equal(shutdown(ends[0], SHUT_WR), 0);
    assert_int_equal(opener_of(ends[0], STATE_FIN_WAIT2), OPENER_LOCAL);
    assert_int_equal(opener_of(ends[1], STATE_CLOSE_WAIT), OPENER_REMOTE);
    close(ends[0]);
    close(ends[1]);
}

static void it_does_so_when_the_accepting_end_closes_first(void **state)
{
    int ends[2];

    (void)state;
    open_connection(ends);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    assert_int_equal(opener_of(ends[1], STATE_FIN_WAIT2), OPENER_REMOTE);
    assert_int_equal(opener_of(ends[0], STATE_CLOSE_WAIT), OPENER_LOCAL);
    close(ends[0]);
    close(ends[1]);
}

static void payload_is_counted_once_and_without_the_peers_fin(void **state)
{
    (void)state;
    assert_int_equal(sample_payload_sent(1500, 500), 1000);
    assert_int_equal(sample_payload_sent(0, 0), 0);
    assert_int_equal(sample_payload_sent(1, 2), 0);
    assert_int_equal(sample_payload_received(STATE_ESTABLISHED, 1000), 1000);
    assert_int_equal(sample_payload_received(STATE_FIN_WAIT1, 1000), 1000);
    assert_int_equal(sample_payload_received(STATE_FIN_WAIT2, 1000), 1000);
    assert_int_equal(sample_payload_received(STATE_CLOSE_WAIT, 1001), 1000);
    assert_int_equal(sample_payload_received(STATE_LAST_ACK, 1), 0);
    assert_int_equal(sample_payload_received(STATE_CLOSING, 0), 0);
}

static void only_connections_carry(void **state)
{
    (void)state;
    for (unsigned i = 1; i < STATE_COUNT; i++)
        assert_int_equal(sample_carries((enum sock_state)i),
                         i != STATE_SYN_SENT && i != STATE_SYN_RECV && i != STATE_TIME_WAIT &&
                             i != STATE_CLOSE && i != STATE_LISTEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_tell_who_sent_the_first_syn),
        cmocka_unit_test(counters_that_do_not_tell_are_not_trusted),
        cmocka_unit_test(the_kernel_counts_as_we_think),
        cmocka_unit_test(it_does_so_when_the_accepting_end_closes_first),
        cmocka_unit_test(payload_is_counted_once_and_without_the_peers_fin),
        cmocka_unit_test(only_connections_carry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
