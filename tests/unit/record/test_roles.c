/* SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/record/ledger.h"

static const struct address any, own4 = {{192, 0, 2, 1}}, other4 = {{192, 0, 2, 9}},
                                 peer4 = {{198, 51, 100, 7}};
static const struct address mapped = {
    {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1}};

/* The service that the last of these samples counts for, and how its role was found. */
static struct life judge(const struct sample *samples, size_t n)
{
    struct ledger_options options = {.max_client_services = 64,
                                     .max_syn_recv = 100,
                                     .ephemeral = {32768, 60999},
                                     .next_life = 1};
    struct ledger *ledger;
    struct batch *batch = batch_new();
    struct life life;

    assert_int_equal(ledger_new(&options, &ledger), 0);
    ledger_begin(ledger, 1000, batch);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ledger_sample(ledger, 0, &samples[i]), 0);
    assert_int_equal(ledger_end(ledger, SNAPSHOT_COMPLETE, true, false), 0);
    assert_int_equal(batch->opened.n, n);
    life = batch->opened.items[n - 1];
    batch_free(batch);
    ledger_free(ledger);
    return life;
}

static void expect(const struct sample *samples, size_t n, enum role role, int port,
                   enum role_source source)
{
    struct life life = judge(samples, n);

    assert_int_equal(life.service.role, role);
    assert_int_equal(life.service.port, port);
    assert_int_equal(life.role_source, source);
}

static struct sample tcp(unsigned state, uint16_t local_port, uint16_t remote_port)
{
    static uint64_t cookie = 100;

    return (struct sample){.cookie = ++cookie,
                           .family = AF_INET,
                           .protocol = PROTOCOL_TCP,
                           .state = (uint8_t)state,
                           .local = own4,
                           .remote = peer4,
                           .local_port = local_port,
                           .remote_port = remote_port};
}

static struct sample listener(uint8_t family, struct address local, uint16_t port)
{
    struct sample sample = tcp(STATE_LISTEN, port, 0);

    sample.family = family;
    sample.local = local;
    sample.remote = any;
    return sample;
}

static void half_open_connections_tell_by_their_state(void **state)
{
    struct sample client = tcp(STATE_SYN_SENT, 50000, 8080),
                  server = tcp(STATE_SYN_RECV, 50000, 80);

    (void)state;
    expect(&client, 1, ROLE_CLIENT, 8080, ROLE_BY_STATE);
    expect(&server, 1, ROLE_SERVER, 50000, ROLE_BY_STATE);
}

static void the_opener_outweighs_ports_and_listeners(void **state)
{
    struct sample samples[] = {listener(AF_INET, any, 50000), tcp(STATE_ESTABLISHED, 50000, 80)};

    (void)state;
    samples[1].opener = OPENER_REMOTE;
    expect(&samples[1], 1, ROLE_SERVER, 50000, ROLE_BY_TCP_INFO);
    samples[1].opener = OPENER_LOCAL;
    expect(samples, 2, ROLE_CLIENT, 80, ROLE_BY_TCP_INFO);
}

static void a_listener_of_another_address_does_not_count(void **state)
{
    struct sample samples[] = {listener(AF_INET, own4, 50000), tcp(STATE_TIME_WAIT, 50000, 80)};

    (void)state;
    expect(samples, 2, ROLE_SERVER, 50000, ROLE_BY_LISTENER);
    samples[0].local = other4;
    expect(samples, 2, ROLE_CLIENT, 80, ROLE_BY_PORT_CLASS);
}

static void an_ipv6_listener_takes_ipv4_unless_v6only(void **state)
{
    struct sample samples[] = {listener(AF_INET6, any, 50000), tcp(STATE_TIME_WAIT, 50000, 80)};

    (void)state;
    samples[1].family = AF_INET6;
    samples[1].local = mapped;
    expect(samples, 2, ROLE_SERVER, 50000, ROLE_BY_LISTENER);
    samples[0].v6only = true;
    expect(samples, 2, ROLE_CLIENT, 80, ROLE_BY_PORT_CLASS);
}

static void a_listener_on_a_device_takes_its_device_alone(void **state)
{
    struct sample samples[] = {listener(AF_INET, any, 50000), tcp(STATE_TIME_WAIT, 50000, 80)};

    (void)state;
    samples[0].scope_ifindex = 3;
    expect(samples, 2, ROLE_CLIENT, 80, ROLE_BY_PORT_CLASS);
    samples[1].scope_ifindex = 3;
    expect(samples, 2, ROLE_SERVER, 50000, ROLE_BY_LISTENER);
}

static void udp_serves_below_the_ephemeral_range(void **state)
{
    struct sample sample = tcp(STATE_CLOSE, 53, 0);

    (void)state;
    sample.protocol = PROTOCOL_UDP;
    sample.remote = any;
    expect(&sample, 1, ROLE_SERVER, 53, ROLE_BY_STATE);
    sample.local_port = 40000;
    expect(&sample, 1, ROLE_CLIENT, 0, ROLE_BY_STATE);
    sample.state = STATE_ESTABLISHED;
    sample.remote_port = 53;
    expect(&sample, 1, ROLE_CLIENT, 53, ROLE_BY_STATE);
}

static void a_bound_socket_below_the_ephemeral_range_will_serve(void **state)
{
    struct sample sample = tcp(STATE_CLOSE, 8080, 0);

    (void)state;
    sample.remote = any;
    expect(&sample, 1, ROLE_SERVER, 8080, ROLE_BY_PORT_CLASS);
    sample.local_port = 45000;
    expect(&sample, 1, ROLE_CLIENT, 0, ROLE_BY_PORT_CLASS);
}

static void a_role_outlives_its_listener(void **state)
{
    struct sample samples[] = {listener(AF_INET, any, 50000), tcp(STATE_TIME_WAIT, 50000, 80)};
    struct ledger_options options = {.max_client_services = 64,
                                     .max_syn_recv = 100,
                                     .ephemeral = {32768, 60999},
                                     .next_life = 1};
    struct ledger *ledger;

    (void)state;
    assert_int_equal(ledger_new(&options, &ledger), 0);
    for (int64_t round = 0; round < 2; round++) {
        struct batch *batch = batch_new();

        /* the listener is gone in the very snapshot that first shows the connection */
        ledger_begin(ledger, 1000 + round, batch);
        assert_int_equal(ledger_sample(ledger, 0, &samples[round]), 0);
        assert_int_equal(ledger_end(ledger, SNAPSHOT_COMPLETE, false, false), 0);
        assert_int_equal(batch->opened.items[0].service.role, ROLE_SERVER);
        assert_int_equal(batch->opened.items[0].service.port, 50000);
        batch_free(batch);
    }
    ledger_free(ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_open_connections_tell_by_their_state),
        cmocka_unit_test(the_opener_outweighs_ports_and_listeners),
        cmocka_unit_test(a_listener_of_another_address_does_not_count),
        cmocka_unit_test(an_ipv6_listener_takes_ipv4_unless_v6only),
        cmocka_unit_test(a_listener_on_a_device_takes_its_device_alone),
        cmocka_unit_test(udp_serves_below_the_ephemeral_range),
        cmocka_unit_test(a_bound_socket_below_the_ephemeral_range_will_serve),
        cmocka_unit_test(a_role_outlives_its_listener),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
