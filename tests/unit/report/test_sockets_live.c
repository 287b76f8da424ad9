/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "connhist/base/vec.h"
#include "connhist/report/sockets.h"

struct rows {
    VEC_FIELDS(struct socket_row);
};

static int keep(void *arg, const struct socket_row *row)
{
    struct rows *rows = arg;

    return vec_push(rows, *row);
}

/* A socket of this test on 127.0.0.1 and its port. */
static int bound_socket(int type, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static int connected_socket(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static struct rows ask(const struct filter *filter)
{
    struct rows rows = {0};
    struct err err = {0};
    int r = sockets_live(filter, 0, keep, &rows, &err);

    if (r == -ENOENT || r == -EPROTONOSUPPORT)
        skip(); /* this kernel can't tell */
    if (r < 0)
        fail_msg("%d: %s", r, err.text);
    return rows;
}

static void both_ends_of_a_connection_show_behind_their_listener(void **state)
{
    struct filter filter = {.n_ports = 1};
    uint16_t port;
    int listener = bound_socket(SOCK_STREAM, &port), client;
    struct rows rows;

    (void)state;
    assert_int_equal(listen(listener, 5), 0);
    client = connected_socket(port);
    filter.ports[0] = (struct port_choice){port, port};
    rows = ask(&filter);
    assert_int_equal(rows.n, 3);
    assert_int_equal(rows.items[0].state, STATE_LISTEN);
    assert_int_equal(rows.items[0].recv_queue, 1); /* nobody accepts */
    assert_int_equal(rows.items[0].send_queue, 5);
    assert_int_equal(rows.items[0].uid, getuid());
    assert_int_equal(rows.items[0].protocol, PROTOCOL_TCP);
    assert_int_equal(rows.items[1].state, STATE_ESTABLISHED);
    assert_int_equal(rows.items[2].state, STATE_ESTABLISHED);
    assert_true(rows.items[1].local_port <= rows.items[2].local_port);
    vec_finish(&rows);

    filter.no_listeners = true;
    rows = ask(&filter);
    assert_int_equal(rows.n, 2);
    vec_finish(&rows);
    filter.family = AF_INET6;
    rows = ask(&filter);
    assert_int_equal(rows.n, 0);
    vec_finish(&rows);
    close(client);
    close(listener);
}

static void udp_shows_beside_tcp(void **state)
{
    struct filter filter = {.n_ports = 2};
    uint16_t tcp_port, udp_port;
    int tcp = bound_socket(SOCK_STREAM, &tcp_port), udp = bound_socket(SOCK_DGRAM, &udp_port);
    struct rows rows;

    (void)state;
    filter.ports[0] = (struct port_choice){tcp_port, tcp_port};
    filter.ports[1] = (struct port_choice){udp_port, udp_port};
    rows = ask(&filter);
    assert_true(rows.n >= 2);
    assert_int_equal(rows.items[0].protocol,
                     PROTOCOL_TCP); /* bound, neither listening nor connected */
    assert_int_equal(rows.items[0].state, STATE_CLOSE);
    assert_int_equal(rows.items[rows.n - 1].protocol, PROTOCOL_UDP);
    assert_int_equal(rows.items[rows.n - 1].state, STATE_CLOSE);
    vec_finish(&rows);
    filter.protocol = PROTOCOL_UDP;
    rows = ask(&filter);
    assert_int_equal(rows.items[0].protocol, PROTOCOL_UDP);
    vec_finish(&rows);
    close(tcp);
    close(udp);
}

static void roles_and_other_namespaces_are_not_the_kernels_to_tell(void **state)
{
    struct filter filter = {.role = ROLE_SERVER};
    struct rows rows = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), -EOPNOTSUPP);
    filter = (struct filter){.netns = "no such namespace"};
    assert_int_equal(sockets_live(&filter, 0, keep, &rows, &err), -ENOENT);
    assert_int_equal(rows.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_connection_show_behind_their_listener),
        cmocka_unit_test(udp_shows_beside_tcp),
        cmocka_unit_test(roles_and_other_namespaces_are_not_the_kernels_to_tell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
