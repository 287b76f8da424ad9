/* SPDX-License-Identifier: MIT */
#include "connhist/model/counter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void add(struct counter_table *table, const char *group, const char *name, int64_t value)
{
    assert_int_equal(counter_table_add(table, group, strlen(group), name, strlen(name), value), 0);
}

static void a_counter_is_found_in_any_spelling(void **state)
{
    static const char *const spellings[] = {"TcpExt.ListenOverflows", "tcpext.listenoverflows",
                                            "TcpExtListenOverflows", "TCPEXT.LISTENOVERFLOWS"};
    struct counter_table table = {0};

    (void)state;
    add(&table, "Tcp", "MaxConn", -1);
    add(&table, "TcpExt", "ListenOverflows", 7);
    add(&table, "Ip6", "InReceives", INT64_MAX);
    add(&table, "Ip", "InReceives", 3);
    counter_table_sort(&table);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        const struct counter *found = counter_table_find(&table, spellings[i]);

        assert_non_null(found);
        assert_int_equal(found->value, 7);
        assert_int_equal(found->place, 1);
    }
    assert_int_equal(counter_table_find(&table, "Tcp.MaxConn")->value, -1);
    assert_int_equal(counter_table_find(&table, "Ip.InReceives")->value, 3);
    assert_true(counter_table_find(&table, "Ip6InReceives")->value == INT64_MAX);
    assert_null(counter_table_find(&table, "ListenOverflows"));
    assert_null(counter_table_find(&table, "TcpExt.ListenOverflow"));
    assert_null(counter_table_find(&table, ""));
    counter_table_finish(&table);
    assert_null(counter_table_find(&table, "Tcp.MaxConn"));
}

static void the_table_is_sorted_and_the_first_of_doubles_stays(void **state)
{
    struct counter_table table = {0};

    (void)state;
    counter_table_sort(&table);
    for (int i = 0; i < 200; i++) {
        char name[16];

        snprintf(name, sizeof(name), "C%d", (i * 37) % 100);
        add(&table, "Group", name, i);
    }
    counter_table_sort(&table);
    assert_int_equal(table.n, 100);
    for (size_t i = 1; i < table.n; i++)
        assert_true(counter_compare_names(table.items[i - 1].name, table.items[i].name) < 0);
    for (size_t i = 0; i < table.n; i++)
        assert_in_range(table.items[i].value, 0, 99);
    counter_table_finish(&table);
}

static void what_cannot_be_kept_is_counted(void **state)
{
    struct counter_table table = {0};
    char name[COUNTER_NAME_MAX];

    (void)state;
    memset(name, 'a', sizeof(name));
    /* "G." and 61 letters fit, 62 don't */
    assert_int_equal(counter_table_add(&table, "G", 1, name, COUNTER_NAME_MAX - 3, 1), 0);
    assert_int_equal(table.n, 1);
    assert_int_equal(strlen(table.items[0].name), COUNTER_NAME_MAX - 1);
    assert_int_equal(counter_table_add(&table, "G", 1, name, COUNTER_NAME_MAX - 2, 1), 0);
    assert_int_equal(counter_table_add(&table, "G", 1, name, SIZE_MAX, 1), 0);
    add(&table, "", "x", 1);
    add(&table, "G", "", 1);
    add(&table, "G", "a\033[31m", 1);
    add(&table, "G", "a b", 1);
    assert_int_equal(table.n, 1);
    assert_int_equal(table.n_left_out, 6);
    while (table.n < COUNTERS_MAX) {
        snprintf(name, sizeof(name), "n%zu", table.n);
        add(&table, "G", name, 1);
    }
    add(&table, "G", "one_more", 1);
    assert_int_equal(table.n, COUNTERS_MAX);
    assert_int_equal(table.n_left_out, 7);
    counter_table_finish(&table);
}

static void counters_belong_to_the_protocol_that_netstat_shows_them_under(void **state)
{
    static const struct {
        const char *name;
        enum counter_protocol protocol;
    } known[] = {
        {"Ip.InReceives", COUNTER_IP},
        {"IpExt.InOctets", COUNTER_IP},
        {"Ip6.InReceives", COUNTER_IPV6},
        {"Icmp.InMsgs", COUNTER_ICMP},
        {"IcmpMsg.InType3", COUNTER_ICMP},
        {"Icmp6.OutType135", COUNTER_ICMPV6},
        {"Tcp.CurrEstab", COUNTER_TCP},
        {"TcpExt.ListenDrops", COUNTER_TCP},
        {"MPTcpExt.MPTCPRetrans", COUNTER_TCP},
        {"Udp.NoPorts", COUNTER_UDP},
        {"UdpLite.NoPorts", COUNTER_UDP},
        {"Udp6.NoPorts", COUNTER_UDPV6},
        {"UdpLite6.NoPorts", COUNTER_UDPV6},
        {"sockstat.TCP.inuse", COUNTER_TCP},
        {"sockstat.TCP6.inuse", COUNTER_TCPV6},
        {"sockstat.UDP6.inuse", COUNTER_UDPV6},
        {"sockstat.FRAG6.memory", COUNTER_IPV6},
        {"sockstat.sockets.used", COUNTER_OTHER},
        {"Sctp.CurrEstab", COUNTER_OTHER},
        {"Tcp", COUNTER_OTHER},
        {"", COUNTER_OTHER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_int_equal(counter_protocol_of(known[i].name), known[i].protocol);
}

static void protocols_have_names_that_can_be_read_back(void **state)
{
    enum counter_protocol protocol = 0;

    (void)state;
    for (unsigned i = COUNTER_IP; i < COUNTER_OTHER; i++) {
        assert_int_equal(counter_protocol_parse(counter_protocol_name(i), &protocol), 0);
        assert_int_equal(protocol, i);
    }
    assert_int_equal(counter_protocol_parse("TCPv6", &protocol), 0);
    assert_int_equal(protocol, COUNTER_TCPV6);
    assert_int_equal(counter_protocol_parse("other", &protocol), -EINVAL);
    assert_int_equal(counter_protocol_parse("sctp", &protocol), -EINVAL);
    assert_int_equal(protocol, COUNTER_TCPV6);
    assert_string_equal(counter_protocol_name(0), "?");
    assert_string_equal(counter_protocol_name(COUNTER_PROTOCOLS), "?");
}

static void what_goes_up_and_down_is_a_gauge(void **state)
{
    struct counter_table table = {0};

    (void)state;
    add(&table, "Tcp", "CurrEstab", 1);
    add(&table, "sockstat.TCP", "inuse", 1);
    add(&table, "Tcp", "InSegs", 1);
    assert_int_equal(table.items[0].kind, COUNTER_GAUGE);
    assert_int_equal(table.items[1].kind, COUNTER_GAUGE);
    assert_int_equal(table.items[2].kind, COUNTER_TOTAL);
    assert_string_equal(counter_kind_name(COUNTER_GAUGE), "gauge");
    assert_string_equal(counter_kind_name(COUNTER_TOTAL), "counter");
    assert_string_equal(counter_kind_name(9), "?");
    counter_table_finish(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_is_found_in_any_spelling),
        cmocka_unit_test(the_table_is_sorted_and_the_first_of_doubles_stays),
        cmocka_unit_test(what_cannot_be_kept_is_counted),
        cmocka_unit_test(counters_belong_to_the_protocol_that_netstat_shows_them_under),
        cmocka_unit_test(protocols_have_names_that_can_be_read_back),
        cmocka_unit_test(what_goes_up_and_down_is_a_gauge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
