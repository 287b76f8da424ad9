/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/kernel/counters.h"
#include "kernel/counters_parse.h"

static struct counter_table parsed(enum counters_format format, const char *text)
{
    struct counter_table table = {0};

    assert_int_equal(counters_parse(format, text, strlen(text), &table), 0);
    counter_table_sort(&table);
    return table;
}

static void assert_value(const struct counter_table *table, const char *name, int64_t value)
{
    const struct counter *found = counter_table_find(table, name);

    if (!found)
        fail_msg("no counter %s", name);
    assert_string_equal(found->name, name);
    assert_true(found->value == value);
}

static void pairs_of_lines_are_names_and_values(void **state)
{
    struct counter_table table =
        parsed(COUNTERS_PAIRS, "Tcp: RtoAlgorithm MaxConn InSegs\n"
                               "Tcp: 1 -1 18446744073709\n"
                               "IcmpMsg: InType3\nIcmpMsg: 3\n"
                               "TcpExt: ListenOverflows ListenDrops\nTcpExt: 5 6");

    (void)state;
    assert_int_equal(table.n, 6);
    assert_value(&table, "Tcp.RtoAlgorithm", 1);
    assert_value(&table, "Tcp.MaxConn", -1);
    assert_value(&table, "Tcp.InSegs", 18446744073709);
    assert_value(&table, "IcmpMsg.InType3", 3);
    assert_value(&table, "TcpExt.ListenOverflows", 5);
    assert_value(&table, "TcpExt.ListenDrops", 6);
    counter_table_finish(&table);
}

static void columns_without_partner_and_foreign_lines_are_passed_over(void **state)
{
    struct counter_table table = parsed(COUNTERS_PAIRS, "\n"
                                                        "nonsense\n"
                                                        ": a b\n: 1 2\n"
                                                        "A: x y z\nA: 1 2\n"
                                                        "B: x\nB: 1 2 3\n"
                                                        "C: x\nD: y\nD: 4\n"
                                                        "E: x y z\nE: 1 - 3x\n"
                                                        "F: x\n");

    (void)state;
    assert_int_equal(table.n, 5);
    assert_value(&table, "A.x", 1);
    assert_value(&table, "A.y", 2);
    assert_value(&table, "B.x", 1);
    assert_value(&table, "D.y", 4);
    assert_value(&table, "E.x", 1);
    assert_int_equal(table.n_left_out, 0);
    counter_table_finish(&table);
}

static void numbers_beyond_int64_are_left_out_and_counted(void **state)
{
    struct counter_table table =
        parsed(COUNTERS_PAIRS, "A: max min over under huge\n"
                               "A: 9223372036854775807 -9223372036854775808 9223372036854775808 "
                               "-9223372036854775809 99999999999999999999999999999999999999\n");

    (void)state;
    assert_int_equal(table.n, 2);
    assert_value(&table, "A.max", INT64_MAX);
    assert_value(&table, "A.min", INT64_MIN);
    assert_int_equal(table.n_left_out, 3);
    counter_table_finish(&table);
}

static void lines_of_snmp6_are_split_behind_the_6(void **state)
{
    struct counter_table table = parsed(COUNTERS_LINES, "Ip6InReceives                   \t2481\n"
                                                        "Icmp6OutType136                 \t6\r\n"
                                                        "UdpLite6InErrors                \t0\n"
                                                        "ifIndex                         \t4\n"
                                                        "Ip6                             \t1\n"
                                                        "Ip6NoValue\n"
                                                        "Ip6Word                         \tword\n");

    (void)state;
    assert_int_equal(table.n, 5);
    assert_value(&table, "Ip6.InReceives", 2481);
    assert_value(&table, "Icmp6.OutType136", 6);
    assert_value(&table, "UdpLite6.InErrors", 0);
    assert_value(&table, "snmp6.ifIndex", 4);
    assert_value(&table, "snmp6.Ip6", 1);
    counter_table_finish(&table);
}

static void sockstat_has_names_and_values_in_turn(void **state)
{
    struct counter_table table = parsed(COUNTERS_SOCKSTAT, "sockets: used 14\n"
                                                           "TCP: inuse 1 orphan 0 tw 7 alloc\n"
                                                           "TCP6: inuse 3\n"
                                                           "no colon 5\n");

    (void)state;
    assert_int_equal(table.n, 5);
    assert_value(&table, "sockstat.sockets.used", 14);
    assert_value(&table, "sockstat.TCP.inuse", 1);
    assert_value(&table, "sockstat.TCP.orphan", 0);
    assert_value(&table, "sockstat.TCP.tw", 7);
    assert_value(&table, "sockstat.TCP6.inuse", 3);
    counter_table_finish(&table);
}

static void a_group_that_is_too_long_harms_nothing(void **state)
{
    char text[400];
    struct counter_table table;

    (void)state;
    snprintf(text, sizeof(text), "%0200d: inuse 1\nTCP: inuse 2\n", 0);
    table = parsed(COUNTERS_SOCKSTAT, text);
    assert_int_equal(table.n, 1);
    assert_value(&table, "sockstat.TCP.inuse", 2);
    counter_table_finish(&table);
    snprintf(text, sizeof(text), "%0100d: a\n%0100d: 1\n", 0, 0);
    table = parsed(COUNTERS_PAIRS, text);
    assert_int_equal(table.n, 0);
    assert_int_equal(table.n_left_out, 1);
    counter_table_finish(&table);
}

static void any_cut_of_a_text_is_read_without_harm(void **state)
{
    static const char text[] = "Tcp: a b\nTcp: 1 2\nTCP: inuse 1\nIp6InReceives \t7\n";

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++)
        for (int format = COUNTERS_PAIRS; format <= COUNTERS_SOCKSTAT; format++) {
            struct counter_table table = {0};
            char *copy = malloc(n + 1); /* with nothing behind it that belongs to it */

            assert_non_null(copy);
            memcpy(copy, text, n);
            assert_int_equal(counters_parse((enum counters_format)format, copy, n, &table), 0);
            counter_table_finish(&table);
            free(copy);
        }
}

/* A number of the file itself, read here in another way. */
static int64_t default_ttl(void)
{
    FILE *file = fopen("/proc/thread-self/net/snmp", "r");
    long long forwarding, ttl;
    char names[4096];

    assert_non_null(file);
    assert_non_null(fgets(names, sizeof(names), file));
    assert_memory_equal(names, "Ip: Forwarding DefaultTTL ", 26);
    assert_int_equal(fscanf(file, "Ip: %lld %lld", &forwarding, &ttl), 2);
    fclose(file);
    return ttl;
}

static void the_kernels_own_files_are_read(void **state)
{
    struct counter_table table = {0};
    struct err err = {0};

    (void)state;
    for (int i = 0; i < 2; i++) { /* what it held is replaced */
        assert_int_equal(counters_read(&table, &err), 0);
        assert_int_equal(table.n_left_out, 0);
        assert_value(&table, "Ip.DefaultTTL", default_ttl());
        assert_value(&table, "Tcp.MaxConn", -1);
        assert_non_null(counter_table_find(&table, "TcpExt.ListenOverflows"));
        assert_non_null(counter_table_find(&table, "sockstat.TCP.inuse"));
    }
    counter_table_finish(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_lines_are_names_and_values),
        cmocka_unit_test(columns_without_partner_and_foreign_lines_are_passed_over),
        cmocka_unit_test(numbers_beyond_int64_are_left_out_and_counted),
        cmocka_unit_test(lines_of_snmp6_are_split_behind_the_6),
        cmocka_unit_test(sockstat_has_names_and_values_in_turn),
        cmocka_unit_test(a_group_that_is_too_long_harms_nothing),
        cmocka_unit_test(any_cut_of_a_text_is_read_without_harm),
        cmocka_unit_test(the_kernels_own_files_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
