/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/base/err.h"
#include "connhist/model/owner.h"
#include "connhist/report/filter.h"
#include "connhist/report/names.h"

static void ports_are_numbers_ranges_and_names(void **state)
{
    struct names *names = NULL;
    struct filter filter = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(names_new(&names), 0);
    assert_int_equal(names_add(names, PROTOCOL_TCP, 8000, "qq"), 0);
    assert_true(filter_port(&filter, 1));
    assert_int_equal(filter_add_ports(&filter, "80,443,9000-9010,QQ", names, &err), 0);
    assert_int_equal(filter.n_ports, 4);
    assert_int_equal(filter.protocol, 0);
    assert_true(filter_port(&filter, 80) && filter_port(&filter, 9000) &&
                filter_port(&filter, 9010));
    assert_true(filter_port(&filter, 8000));
    assert_false(filter_port(&filter, 81) || filter_port(&filter, 9011));
    assert_false(filter_port(&filter, SERVICE_PORT_OTHER));
    names_free(names);
}

static void a_protocol_behind_a_port_holds_for_all(void **state)
{
    struct filter filter = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(filter_add_ports(&filter, "53,123/udp", NULL, &err), 0);
    assert_int_equal(filter.protocol, PROTOCOL_UDP);
    assert_int_equal(filter_add_ports(&filter, "80/tcp", NULL, &err), -EINVAL);
    assert_non_null(strstr(err.text, "80/tcp"));
    assert_int_equal(filter.n_ports, 2);
}

static void what_is_no_port_is_refused_by_name(void **state)
{
    static const char *const wrong[] = {
        "", "80,", "65536", "90-80", "80/sctp", "-1", "no such service", "80,,81", "1-70000"};
    struct filter filter = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err err = {0};

        assert_int_equal(filter_add_ports(&filter, wrong[i], NULL, &err), -EINVAL);
        assert_int_not_equal(err.text[0], '\0');
        assert_int_equal(filter.n_ports, 0);
    }
}

static void states_take_any_usual_spelling(void **state)
{
    struct filter filter = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(filter_add_states(&filter, "TIME_WAIT,close-wait", &err), 0);
    assert_int_equal(filter.states, 1 << STATE_TIME_WAIT | 1 << STATE_CLOSE_WAIT);
    assert_true(filter_state(&filter, STATE_TIME_WAIT));
    assert_false(filter_state(&filter, STATE_LISTEN));
    assert_int_equal(filter_add_states(&filter, "LISTEN,WAITING", &err), -EINVAL);
    assert_non_null(strstr(err.text, "WAITING"));
    assert_false(filter_state(&filter, STATE_LISTEN));
}

static void an_ipv4_prefix_matches_mapped_addresses(void **state)
{
    struct filter filter = {.has_peer = true};
    struct address local = {0}, remote;
    uint8_t family;

    (void)state;
    assert_int_equal(prefix_parse("10.1.0.0/16", &filter.peer), 0);
    assert_int_equal(address_parse("::ffff:10.1.2.3", &family, &remote), 0);
    assert_true(filter_endpoints(&filter, family, &local, &remote));
    assert_int_equal(address_parse("10.2.2.3", &family, &remote), 0);
    assert_false(filter_endpoints(&filter, family, &local, &remote));
    filter = (struct filter){.family = AF_INET6};
    assert_false(filter_endpoints(&filter, family, &local, &remote));
}

static void a_namespace_is_asked_for_by_name_or_inode(void **state)
{
    struct filter filter = {.netns = "inode:4026531840"};

    (void)state;
    assert_true(filter_netns(&filter, "", 4026531840));
    assert_false(filter_netns(&filter, "", 1));
    filter.netns = "net:[4026532598]";
    assert_true(filter_netns(&filter, "blue", 4026532598));
    assert_true(filter_netns(&filter, "net:[4026532598]", 4026532598));
    assert_false(filter_netns(&filter, "", 402653259));
    filter.netns = "blue";
    assert_true(filter_netns(&filter, "blue", 1));
    assert_false(filter_netns(&filter, "", 1));
    filter.netns = NULL;
    assert_true(filter_netns(&filter, "x", 1));
}

static bool owned(struct filter filter, const char *comm, const char *exe, const char *unit,
                  const char *container)
{
    struct owner owner = {
        .pid = 7, .comm = comm, .exe = exe, .unit = unit, .container = container, .cgroup = ""};

    return filter_owner(&filter, &owner);
}

static void what_is_no_number_of_a_namespace_is_told_from_a_name(void **state)
{
    static const char *const wrong[] = {"inode:",   "inode:x",   "inode:-1",
                                        "inode:1 ", "net:[",     "net:[]",
                                        "net:[1",   "net:[1]x",  "net:[0x1]",
                                        "net:[1]]", "net:[[1]]", "inode:123456789012345678901234"};
    static const char *const names[] = {"", "net", "net:1", "inode", "Inode:1", "own", "[1]"};
    uint64_t inode = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(filter_netns_number(wrong[i], &inode), -EINVAL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(filter_netns_number(names[i], &inode), 0);
    assert_int_equal(filter_netns_number("net:[18446744073709551615]", &inode), 1);
    assert_true(inode == UINT64_MAX);
    assert_int_equal(filter_netns_number("inode:7", &inode), 1);
    assert_int_equal(inode, 7);
}

static void a_program_is_asked_for_by_name_or_path(void **state)
{
    struct filter filter = {.process = "php-fpm*"};

    (void)state;
    assert_true(owned(filter, "php-fpm8.2", "", "", ""));
    assert_true(owned(filter, "worker", "/usr/sbin/php-fpm8.2", "", ""));
    assert_false(owned(filter, "nginx", "/usr/sbin/nginx", "", ""));
    assert_false(owned(filter, "x", "/php-fpm/x", "", ""));
    filter.process = "/usr/*/nginx";
    assert_true(owned(filter, "worker", "/usr/sbin/nginx", "", ""));
    assert_false(owned(filter, "/usr/x/nginx", "/bin/nginx", "", ""));
    filter.process = "[kworker"; /* no pattern, but a name may hold it */
    assert_true(owned(filter, "[kworker", "", "", ""));
    filter.process = "*";
    assert_false(owned(filter, "", "", "", ""));
    assert_false(filter_owner(&filter, NULL));
}

static void units_and_containers_have_short_forms(void **state)
{
    struct filter filter = {.unit = "nginx"};

    (void)state;
    assert_true(owned(filter, "", "", "nginx.service", ""));
    assert_false(owned(filter, "", "", "nginx.socket", ""));
    assert_false(owned(filter, "", "", "xnginx.service", ""));
    filter.unit = "user@*.service";
    assert_true(owned(filter, "", "", "user@1000.service", ""));
    filter = (struct filter){.container = "3f2a"};
    assert_true(owned(filter, "", "", "", "docker:3f2a99"));
    assert_false(owned(filter, "", "", "", "docker:03f2a99"));
    assert_false(owned(filter, "", "", "", ""));
    filter.container = "d";
    assert_false(owned(filter, "", "", "", "docker:3f2a99"));
    assert_true(owned(filter, "", "", "", "docker:d3f2a9"));
    filter.container = "docker";
    assert_false(owned(filter, "", "", "", "docker:3f2a99"));
    assert_true(owned(filter, "", "", "", "lxc:docker1"));
    filter.container = "dock:3f";
    assert_false(owned(filter, "", "", "", "docker:3f2a99"));
    filter.container = "docker:3f";
    assert_true(owned(filter, "", "", "", "docker:3f2a99"));
    filter.container = "lxc:web";
    assert_true(owned(filter, "", "", "", "lxc:web"));
    assert_false(owned(filter, "", "", "", "docker:web"));
    filter = (struct filter){.pid = 7};
    assert_true(owned(filter, "", "", "", ""));
    filter.pid = 8;
    assert_false(owned(filter, "", "", "", ""));
    filter = (struct filter){0};
    assert_true(filter_owner(&filter, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_numbers_ranges_and_names),
        cmocka_unit_test(a_protocol_behind_a_port_holds_for_all),
        cmocka_unit_test(what_is_no_port_is_refused_by_name),
        cmocka_unit_test(states_take_any_usual_spelling),
        cmocka_unit_test(an_ipv4_prefix_matches_mapped_addresses),
        cmocka_unit_test(a_namespace_is_asked_for_by_name_or_inode),
        cmocka_unit_test(what_is_no_number_of_a_namespace_is_told_from_a_name),
        cmocka_unit_test(a_program_is_asked_for_by_name_or_path),
        cmocka_unit_test(units_and_containers_have_short_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
