/* SPDX-License-Identifier: MIT */
/* Dumps of the real kernel, held against /proc/net and against what the sockets say of themselves.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connhist/kernel/sock_diag.h"
#include "kernel/link.h"
#include "real_sockets.h"

static const struct sock_diag_dump tcp = {.protocol = PROTOCOL_TCP};
static const struct sock_diag_dump tcp_with_info = {.protocol = PROTOCOL_TCP, .want_info = true};
static const struct sock_diag_dump udp = {.protocol = PROTOCOL_UDP};

struct stage {
    struct clock clock;
    struct sock_diag *diag; /* owned */
    struct table table;     /* owned */
};

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct err err = {0};

    assert_non_null(stage);
    stage->clock = clock_system();
    if (sock_diag_open(&stage->clock, &stage->diag, &err) < 0)
        fail_msg("%s", err.text);
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;

    sock_diag_close(stage->diag);
    table_finish(&stage->table);
    free(stage);
    return 0;
}

/* The socket with these ports, which must be there, in this state, and in /proc/net. */
static const struct sample *expect(struct stage *stage, uint16_t local, uint16_t remote,
                                   enum sock_state state)
{
    const struct sample *sample = table_find(&stage->table, local, remote);

    if (!sample)
        fail_msg("no socket has the ports %u and %u", local, remote);
    assert_string_equal(state_name(sample->state), state_name(state));
    assert_true(proc_has(sample));
    return sample;
}

/* The same for a socket that the test holds: it knows its own cookie, inode and owner. */
static const struct sample *expect_own(struct stage *stage, int fd, uint16_t remote,
                                       enum sock_state state)
{
    const struct sample *sample = expect(stage, local_port(fd), remote, state);

    assert_true(sample->cookie == cookie_of(fd));
    assert_true(sample->inode == inode_of(fd));
    assert_true(sample->has_uid);
    assert_int_equal(sample->uid, getuid());
    return sample;
}

/* Dumps until the socket is in the state: the other end may acknowledge a FIN late (40 ms). */
static void read_until(struct stage *stage, uint16_t local, uint16_t remote, enum sock_state state)
{
    for (int i = 0; i < 1000; i++) {
        const struct sample *sample;

        table_read(&stage->table, stage->diag, &tcp_with_info);
        sample = table_find(&stage->table, local, remote);
        if (sample && sample->state == state)
            return;
        usleep(5000);
    }
    fail_msg("the socket does not come to %s", state_name(state));
}

static void each_tongue(struct stage *stage, void (*test)(struct stage *, enum tongue))
{
    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++)
        test(stage, (enum tongue)tongue);
}

static void check_established(struct stage *stage, enum tongue tongue)
{
    struct pair pair = connected_pair(tongue);
    const struct sample *client, *server, *listener;

    table_read(&stage->table, stage->diag, &tcp_with_info);
    client = expect_own(stage, pair.client, pair.port, STATE_ESTABLISHED);
    server = expect_own(stage, pair.server, pair.client_port, STATE_ESTABLISHED);
    listener = expect_own(stage, pair.listener, 0, STATE_LISTEN);
    assert_int_equal(client->opener, OPENER_LOCAL);
    assert_int_equal(server->opener, OPENER_REMOTE);
    assert_int_equal(listener->opener, OPENER_UNKNOWN);
    assert_int_equal(listener->v6only, tongue == TONGUE_IPV6);
    assert_int_equal(client->family, tongue == TONGUE_IPV6 ? AF_INET6 : AF_INET);
    assert_int_equal(server->family, tongue == TONGUE_IPV4 ? AF_INET : AF_INET6);
    assert_int_equal(address_is_mapped(server->family, &server->remote), tongue == TONGUE_MAPPED);
    assert_true(server->sampled_ns > 0);
    assert_true(server->sampled_ns <= clock_boottime_ns(&stage->clock));
    pair_close(&pair);
}

static void both_ends_of_a_connection_and_its_listener_are_seen(void **state)
{
    each_tongue(*state, check_established);
}

static void without_want_info_no_opener_is_known(void **state)
{
    struct stage *stage = *state;
    struct pair pair = connected_pair(TONGUE_IPV4);

    table_read(&stage->table, stage->diag, &tcp);
    assert_int_equal(expect_own(stage, pair.client, pair.port, STATE_ESTABLISHED)->opener,
                     OPENER_UNKNOWN);
    pair_close(&pair);
}

static void a_listeners_queue_and_its_limit_are_seen(void **state)
{
    struct stage *stage = *state;
    int listener = bound_socket(TONGUE_IPV6, SOCK_STREAM), client;
    const struct sample *sample;
    uint16_t port;

    assert_int_equal(listen(listener, 17), 0);
    port = local_port(listener);
    client = client_of(TONGUE_IPV6, port);
    table_read(&stage->table, stage->diag, &tcp);
    sample = expect_own(stage, listener, 0, STATE_LISTEN);
    assert_int_equal(sample->recv_queue, 1);
    assert_int_equal(sample->send_queue, 17);
    assert_true(sample->v6only);
    sample = expect(stage, port, local_port(client), STATE_ESTABLISHED);
    assert_int_equal(sample->inode, 0); /* not accepted */
    close(client);
    close(listener);
}

static void check_half_closed(struct stage *stage, enum tongue tongue)
{
    struct pair pair = connected_pair(tongue);

    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    read_until(stage, pair.client_port, pair.port, STATE_FIN_WAIT2);
    assert_int_equal(expect_own(stage, pair.client, pair.port, STATE_FIN_WAIT2)->opener,
                     OPENER_LOCAL);
    assert_int_equal(expect_own(stage, pair.server, pair.client_port, STATE_CLOSE_WAIT)->opener,
                     OPENER_REMOTE);
    pair_close(&pair);
}

static void a_half_closed_connection_is_seen_from_both_ends(void **state)
{
    each_tongue(*state, check_half_closed);
}

static void check_mini_sockets(struct stage *stage, enum tongue tongue)
{
    struct pair pair = connected_pair(tongue);
    uint64_t cookie = cookie_of(pair.client);
    const struct sample *sample;

    close(pair.client);
    pair.client = -1;
    read_until(stage, pair.client_port, pair.port, STATE_FIN_WAIT2);
    sample = expect(stage, pair.client_port, pair.port, STATE_FIN_WAIT2);
    assert_false(sample->has_uid);
    assert_true(sample->cookie == cookie);
    close(pair.server);
    pair.server = -1;
    read_until(stage, pair.client_port, pair.port, STATE_TIME_WAIT);
    sample = expect(stage, pair.client_port, pair.port, STATE_TIME_WAIT);
    assert_false(sample->has_uid);
    assert_int_equal(sample->timer, SAMPLE_TIMER_TIME_WAIT);
    assert_in_range(sample->expires_ms, 1, 60000);
    assert_true(sample->cookie == cookie);
    assert_null(table_find(&stage->table, pair.port, pair.client_port));
    pair_close(&pair);
}

static void after_close_fin_wait2_and_time_wait_keep_the_cookie_but_no_owner(void **state)
{
    each_tongue(*state, check_mini_sockets);
}

static void a_bound_socket_is_seen_as_close_where_the_kernel_tells_it(void **state)
{
    struct stage *stage = *state;

    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        int fd = bound_socket((enum tongue)tongue, SOCK_STREAM);
        const struct sample *sample;

        table_read(&stage->table, stage->diag, &tcp);
        sample = table_find(&stage->table, local_port(fd), 0);
        close(fd);
        if (!sample) /* Linux 6.7 and older */
            skip();
        assert_int_equal(sample->state, STATE_CLOSE);
        assert_int_equal(sample->uid, getuid());
    }
}

static void a_connection_under_way_is_seen_as_syn_recv_by_the_listener(void **state)
{
    struct stage *stage = *state;
    int listener = bound_socket(TONGUE_IPV4, SOCK_STREAM), client, seconds = 30;
    const struct sample *sample;

    /* With this option the connection waits in SYN_RECV for its first byte. */
    assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)),
                     0);
    assert_int_equal(listen(listener, 8), 0);
    client = client_of(TONGUE_IPV4, local_port(listener));
    table_read(&stage->table, stage->diag, &tcp_with_info);
    sample = expect(stage, local_port(listener), local_port(client), STATE_SYN_RECV);
    assert_false(sample->has_uid);
    assert_int_equal(sample->opener, OPENER_UNKNOWN);
    close(client);
    close(listener);
}

static void a_connection_to_a_full_listener_is_seen_as_syn_sent(void **state)
{
    struct stage *stage = *state;
    int listener = bound_socket(TONGUE_IPV4, SOCK_STREAM), first, second;

    assert_int_equal(listen(listener, 0), 0);
    first = client_of(TONGUE_IPV4, local_port(listener));
    second = bound_socket(TONGUE_IPV4, SOCK_STREAM);
    assert_int_equal(fcntl(second, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(connect_to(TONGUE_IPV4, second, local_port(listener)), -EINPROGRESS);
    table_read(&stage->table, stage->diag, &tcp_with_info);
    expect_own(stage, second, local_port(listener), STATE_SYN_SENT);
    close(first);
    close(second);
    close(listener);
}

static void an_end_with_data_nobody_reads_stays_in_fin_wait1(void **state)
{
    static const char zeros[65536];
    struct stage *stage = *state;
    struct pair pair = connected_pair(TONGUE_IPV4);
    const struct sample *sample;

    assert_int_equal(fcntl(pair.client, F_SETFL, O_NONBLOCK), 0);
    while (write(pair.client, zeros, sizeof(zeros)) > 0)
        ;
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    table_read(&stage->table, stage->diag, &tcp);
    sample = expect_own(stage, pair.client, pair.port, STATE_FIN_WAIT1);
    assert_true(sample->send_queue > 0);
    sample = expect_own(stage, pair.server, pair.client_port, STATE_ESTABLISHED);
    assert_true(sample->recv_queue > 0);
    pair_close(&pair);
}

static void udp_sockets_are_seen_connected_and_not(void **state)
{
    struct stage *stage = *state;

    for (int tongue = 0; tongue < TONGUE_COUNT; tongue++) {
        int server = bound_socket((enum tongue)tongue, SOCK_DGRAM), client;

        client =
            bound_socket(tongue == TONGUE_MAPPED ? TONGUE_IPV4 : (enum tongue)tongue, SOCK_DGRAM);
        assert_int_equal(connect_to((enum tongue)tongue, client, local_port(server)), 0);
        table_read(&stage->table, stage->diag, &udp);
        expect_own(stage, server, 0, STATE_CLOSE);
        expect_own(stage, client, local_port(server), STATE_ESTABLISHED);
        close(client);
        close(server);
    }
}

static void two_dumps_by_family_find_what_one_legacy_dump_finds(void **state)
{
    struct stage *stage = *state;

    stage->diag->legacy_refused = true;
    each_tongue(stage, check_established);
    each_tongue(stage, check_half_closed);
}

static int refuse(void *arg, const struct sample *sample)
{
    (void)sample;
    return *(int *)arg;
}

static void after_an_aborted_dump_of_many_sockets_the_next_is_clean(void **state)
{
    enum { MANY = 600 }; /* more than two buffers of samples */
    struct stage *stage = *state;
    int fds[MANY], error = -ECANCELED;
    struct err err = {0};

    for (int i = 0; i < MANY; i++)
        fds[i] = bound_socket(TONGUE_IPV4, SOCK_DGRAM);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sock_diag_dump(stage->diag, &udp, refuse, &error, &err), -ECANCELED);
    table_read(&stage->table, stage->diag, &udp);
    for (int i = 0; i < MANY; i++) {
        assert_non_null(table_find(&stage->table, local_port(fds[i]), 0));
        close(fds[i]);
    }
}

static void closing_nothing_is_allowed(void **state)
{
    (void)state;
    sock_diag_close(NULL);
}

#define staged(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        staged(both_ends_of_a_connection_and_its_listener_are_seen),
        staged(without_want_info_no_opener_is_known),
        staged(a_listeners_queue_and_its_limit_are_seen),
        staged(a_half_closed_connection_is_seen_from_both_ends),
        staged(after_close_fin_wait2_and_time_wait_keep_the_cookie_but_no_owner),
        staged(a_bound_socket_is_seen_as_close_where_the_kernel_tells_it),
        staged(a_connection_under_way_is_seen_as_syn_recv_by_the_listener),
        staged(a_connection_to_a_full_listener_is_seen_as_syn_sent),
        staged(an_end_with_data_nobody_reads_stays_in_fin_wait1),
        staged(udp_sockets_are_seen_connected_and_not),
        staged(two_dumps_by_family_find_what_one_legacy_dump_finds),
        staged(after_an_aborted_dump_of_many_sockets_the_next_is_clean),
        cmocka_unit_test(closing_nothing_is_allowed),
    };

    return cmocka_run_group_tests(tests, enter_own_network, NULL);
}
