/* SPDX-License-Identifier: MIT */
#include "connhist/model/interface.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void interfaces_are_found_by_their_index(void **state)
{
    static const uint32_t told[] = {9, 2, 1, 2, 4000000000U};
    struct interface_list list = {0};

    (void)state;
    interface_list_sort(&list);
    assert_null(interface_list_find(&list, 1));
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        assert_int_equal(vec_push(&list, ((struct interface){.ifindex = told[i]})), 0);
    interface_list_sort(&list);
    assert_int_equal(list.n, 4);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        assert_int_equal(interface_list_find(&list, told[i])->ifindex, told[i]);
    assert_null(interface_list_find(&list, 0));
    assert_null(interface_list_find(&list, 3));
    interface_list_finish(&list);
}

static void the_total_is_a_sum_that_stops_at_the_highest_number(void **state)
{
    struct interface_list list = {0};
    struct interface_stats sum;
    size_t n;

    (void)state;
    sum = interface_list_total(&list, &n);
    assert_int_equal(n, 0);
    assert_int_equal(sum.rx_bytes, 0);
    for (int i = 1; i <= 3; i++) {
        const struct interface interface = {
            .has_stats = i < 3,
            .stats = {.rx_bytes = INT64_MAX - 1, .tx_packets = i, .rx_multicast = 10},
        };

        assert_int_equal(vec_push(&list, interface), 0);
    }
    sum = interface_list_total(&list, &n);
    assert_int_equal(n, 2);
    assert_true(sum.rx_bytes == INT64_MAX);
    assert_int_equal(sum.tx_packets, 6);
    assert_int_equal(sum.rx_multicast, 30);
    interface_list_finish(&list);
}

static void states_and_flags_are_written_as_ip_does(void **state)
{
    char buf[INTERFACE_FLAGS_TEXT_MAX];

    (void)state;
    assert_string_equal(interface_operstate_name(0), "UNKNOWN");
    assert_string_equal(interface_operstate_name(3), "LOWERLAYERDOWN");
    assert_string_equal(interface_operstate_name(6), "UP");
    assert_string_equal(interface_operstate_name(7), "?");
    assert_string_equal(interface_flags_format(0, buf), "");
    assert_string_equal(interface_flags_format(0x10049, buf), "LOOPBACK,UP,LOWER_UP");
    assert_string_equal(interface_flags_format(0x1003, buf), "NO-CARRIER,BROADCAST,MULTICAST,UP");
    assert_string_equal(interface_flags_format(0x80000002, buf), "BROADCAST,0x80000000");
    /* all at once fit */
    assert_string_equal(
        interface_flags_format(~0x40U, buf),
        "NO-CARRIER,LOOPBACK,BROADCAST,POINTOPOINT,MULTICAST,NOARP,ALLMULTI,PROMISC,MASTER,SLAVE,"
        "DEBUG,DYNAMIC,AUTOMEDIA,PORTSEL,NOTRAILERS,UP,LOWER_UP,DORMANT,ECHO,0xfff80000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces_are_found_by_their_index),
        cmocka_unit_test(the_total_is_a_sum_that_stops_at_the_highest_number),
        cmocka_unit_test(states_and_flags_are_written_as_ip_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
