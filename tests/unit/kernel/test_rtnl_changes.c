/* SPDX-License-Identifier: MIT */
/* Against the real kernel, in namespaces of the test's own that ip(8) changes. */
#include "connhist/kernel/rtnl_changes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

static int open_here(void)
{
    struct err err = {0};
    int fd = rtnl_changes_open(&err);

    if (fd < 0)
        fail_msg("%s", err.text);
    return fd;
}

static bool take(int fd)
{
    struct err err = {0};
    bool changed = false;

    if (rtnl_changes_take(fd, &changed, &err) < 0)
        fail_msg("%s", err.text);
    return changed;
}

/* The kernel tells of some things a little later. */
static void become_silent(int fd)
{
    const struct timespec moment = {.tv_nsec = 20 * 1000 * 1000};

    for (int i = 0; i < 1000 && take(fd); i++)
        nanosleep(&moment, NULL);
    assert_false(take(fd));
}

/* A new namespace with lo up and a socket that has been read empty; skips where there can be none. */
static int begin(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) < 0 || system("ip link >/dev/null 2>&1") != 0)
        skip();
    fd = open_here();
    assert_false(take(fd));
    run("ip link set lo up");
    assert_true(take(fd));
    become_silent(fd);
    return fd;
}

static void links_addresses_and_routes_are_told_once(void **state)
{
    static const char *const commands[] = {
        "ip link set lo mtu 1400",
        "ip address add 192.0.2.1/24 dev lo",
        "ip route add 10.0.0.0/8 via 192.0.2.7",
        "ip route replace 10.0.0.0/8 via 192.0.2.8",
        "ip route add blackhole 10.2.0.0/16 table 7",
        "ip route del 10.0.0.0/8",
        "ip address del 192.0.2.1/24 dev lo",
        "ip link set lo down",
    };
    int fd = begin();

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        run(commands[i]);
        if (!take(fd))
            fail_msg("%s was not told", commands[i]);
        become_silent(fd);
    }
    close(fd);
}

static void ipv6_and_next_hops_are_told(void **state)
{
    int fd = begin();

    (void)state;
    if (access("/proc/sys/net/ipv6", F_OK) == 0) {
        run("ip address add 2001:db8::1/64 dev lo nodad");
        assert_true(take(fd));
        become_silent(fd);
        run("ip -6 route add blackhole 2001:db8:1::/48");
        assert_true(take(fd));
        become_silent(fd);
    }
    if (system("ip nexthop add id 1 blackhole 2>/dev/null") == 0)
        assert_true(take(fd));
    close(fd);
}

static void what_has_no_room_is_a_change_and_later_ones_are_told_again(void **state)
{
    int fd = begin();

    (void)state;
    run("for i in $(seq 1500); do echo route add blackhole 10.$((i / 250)).$((i % 250)).0/24; done "
        "| ip -batch -");
    assert_true(take(fd));
    become_silent(fd);
    run("ip route del blackhole 10.0.1.0/24");
    assert_true(take(fd));
    become_silent(fd);
    close(fd);
}

static void another_namespace_is_none_of_its_business(void **state)
{
    int first = begin(), second;

    (void)state;
    second = begin();
    run("ip route add blackhole 10.0.0.0/8");
    assert_true(take(second));
    assert_false(take(first));
    close(first);
    close(second);
}

static void a_message_of_a_program_is_no_change(void **state)
{
    int fd = begin(), other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct nlmsghdr message = {.nlmsg_len = sizeof(message), .nlmsg_type = NLMSG_MIN_TYPE};
    struct sockaddr_nl to = {0};
    socklen_t n = sizeof(to);

    (void)state;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &n), 0);
    assert_int_equal(sendto(other, &message, sizeof(message), 0, (struct sockaddr *)&to, n),
                     sizeof(message));
    assert_int_equal(recv(fd, &message, sizeof(message), MSG_PEEK), sizeof(message));
    assert_false(take(fd));
    close(other);
    close(fd);
}

static void what_is_no_such_socket_fails(void **state)
{
    bool changed = false;
    struct err err = {0};

    (void)state;
    assert_int_equal(rtnl_changes_take(-1, &changed, &err), -EBADF);
    assert_false(changed);
    assert_non_null(strstr(err.text, "interfaces and routes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_addresses_and_routes_are_told_once),
        cmocka_unit_test(ipv6_and_next_hops_are_told),
        cmocka_unit_test(what_has_no_room_is_a_change_and_later_ones_are_told_again),
        cmocka_unit_test(another_namespace_is_none_of_its_business),
        cmocka_unit_test(a_message_of_a_program_is_no_change),
        cmocka_unit_test(what_is_no_such_socket_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
