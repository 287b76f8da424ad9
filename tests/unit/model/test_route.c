/* SPDX-License-Identifier: MIT */
#include "connhist/model/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct route made(uint32_t table, uint8_t family, const char *destination, uint8_t bits,
                         uint32_t metric)
{
    struct route route = {
        .table = table, .family = family, .bits = bits, .metric = metric, .type = ROUTE_UNICAST};
    uint8_t parsed;

    assert_int_equal(address_parse(destination, &parsed, &route.destination), 0);
    assert_int_equal(parsed, family);
    return route;
}

static void the_table_asked_for_most_comes_first_and_defaults_before_others(void **state)
{
    const struct route routes[] = {
        made(ROUTE_TABLE_LOCAL, AF_INET, "127.0.0.1", 32, 0),
        made(100, AF_INET, "10.0.0.0", 8, 0),
        made(ROUTE_TABLE_MAIN, AF_INET6, "::", 0, 1024),
        made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 16, 0),
        made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 5),
        made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 3),
        made(ROUTE_TABLE_DEFAULT, AF_INET, "0.0.0.0", 0, 0),
        made(ROUTE_TABLE_MAIN, AF_INET, "0.0.0.0", 0, 0),
        made(ROUTE_TABLE_MAIN, AF_INET, "0.0.0.0", 8, 0),
    };
    static const size_t wanted[] = {7, 8, 5, 4, 3, 2, 6, 1, 0};
    struct route_table table = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        assert_int_equal(route_table_add(&table, &routes[i], NULL, 0), 0);
    route_table_sort(&table);
    for (size_t i = 0; i < table.n; i++)
        assert_int_equal(route_compare(&table, &table.items[i], &table, &routes[wanted[i]]), 0);
    route_table_finish(&table);
}

static void the_narrowest_source_stands_first_whatever_its_metric(void **state)
{
    static const struct {
        const char *source;
        uint8_t bits;
        uint32_t metric;
    } in_order[] = {
        {"fd01::1", 128, 9}, {"fd00::", 64, 8}, {"fd01::", 64, 7}, {"fd01::", 64, 8},
        {"fd01::", 48, 1},   {"::", 0, 5},      {"::", 0, 1024},
    };
    enum { ROUTES = sizeof(in_order) / sizeof(in_order[0]) };
    struct route_table table = {0};

    (void)state;
    for (size_t i = 0; i < ROUTES; i++) {
        const size_t one = i * 3 % ROUTES; /* in another order */
        struct route route =
            made(ROUTE_TABLE_MAIN, AF_INET6, "2001:db8:5::", 48, in_order[one].metric);
        uint8_t family;

        route.source_bits = in_order[one].bits;
        assert_int_equal(address_parse(in_order[one].source, &family, &route.source), 0);
        assert_int_equal(route_table_add(&table, &route, NULL, 0), 0);
    }
    route_table_sort(&table);
    for (size_t i = 0; i < ROUTES; i++) {
        assert_int_equal(table.items[i].source_bits, in_order[i].bits);
        assert_int_equal(table.items[i].metric, in_order[i].metric);
    }
    route_table_finish(&table);
}

static void routes_alike_stay_in_the_kernels_order(void **state)
{
    static const uint8_t types[] = {ROUTE_UNREACHABLE, ROUTE_UNICAST, ROUTE_BLACKHOLE,
                                    ROUTE_UNICAST};
    struct route_table table = {0};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct route route = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 0);
        struct route other = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 7);
        const struct route_hop hop = {.ifindex = (uint32_t)(9 - i)};

        route.type = types[i];
        assert_int_equal(route_table_add(&table, &route, &hop, types[i] == ROUTE_UNICAST), 0);
        if (i == 2)
            assert_int_equal(route_table_add(&table, &other, &hop, 1), 0);
    }
    for (int again = 0; again < 2; again++) { /* sorted once more, as from a record */
        if (again)
            route_table_sort(&table);
        else
            route_table_rank(&table);
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(table.items[i].type, types[i]);
            assert_int_equal(table.items[i].rank, i);
            assert_int_equal(table.items[i].metric, 0);
        }
        assert_int_equal(table.items[4].rank, 0);
        assert_int_equal(route_hops(&table, &table.items[1])->ifindex, 8);
        assert_int_equal(route_hops(&table, &table.items[3])->ifindex, 6);
    }
    route_table_finish(&table);
}

static void what_tells_routes_apart_begins_a_new_order(void **state)
{
    struct route_table table = {0};
    struct route routes[8];
    size_t ranked = 0;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        routes[i] = made(ROUTE_TABLE_MAIN, AF_INET6, "2001:db8::", 48, 5);
    routes[1].table = 100;
    routes[2].bits = 47;
    routes[3].source_bits = 1;
    routes[4].tos = 8;
    routes[5].metric = 4;
    routes[6].destination.bytes[5] = 1;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(route_table_add(&table, &routes[i], NULL, 0), 0);
    route_table_rank(&table);
    for (size_t i = 0; i < 8; i++) { /* the first and the last alone are alike */
        const struct route *one = &table.items[i];
        bool is_last = i && route_compare(&table, one - 1, &table, &routes[0]) == 0;

        assert_int_equal(one->rank, is_last);
        ranked += one->rank;
    }
    assert_int_equal(ranked, 1);
    route_table_finish(&table);
}

static void routes_that_each_interface_has_have_no_rank(void **state)
{
    static const char *const texts[] = {"fe80::", "febf::", "ff00::", "ff02::1"};
    struct route_table table = {0};

    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        const struct route route = made(ROUTE_TABLE_MAIN, AF_INET6, texts[i % 4], 64, 256);
        const struct route_hop hop = {.ifindex = 100 - i};

        assert_int_equal(route_table_add(&table, &route, &hop, 1), 0);
    }
    route_table_rank(&table);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(table.items[i].rank, 0);
        if (i % 3) /* they stand by their interfaces */
            assert_true(route_hops(&table, &table.items[i])->ifindex >
                        route_hops(&table, &table.items[i - 1])->ifindex);
    }
    route_table_finish(&table);
}

static void routes_keep_their_ways_when_sorted(void **state)
{
    struct route_table table = {0};

    (void)state;
    for (uint32_t i = 0; i < 50; i++) {
        struct route route = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 50 - i);
        struct route_hop hops[3] = {{.ifindex = i * 10}, {.ifindex = i * 10 + 1}, {.ifindex = 0}};

        assert_int_equal(route_table_add(&table, &route, hops, i % 4 == 3 ? 0 : i % 4 + 1), 0);
    }
    route_table_sort(&table);
    for (size_t place = 0; place < table.n; place++) {
        uint32_t i = 49 - (uint32_t)place;

        assert_int_equal(table.items[place].metric, 50 - i);
        assert_int_equal(table.items[place].n_hops, i % 4 == 3 ? 0 : i % 4 + 1);
        if (table.items[place].n_hops > 1)
            assert_int_equal(route_hops(&table, &table.items[place])[1].ifindex, i * 10 + 1);
    }
    route_table_finish(&table);
}

static void each_field_shows_in_a_comparison(void **state)
{
    const struct route base = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 0);
    struct route others[18];
    const struct route_table none = {0};

    (void)state;
    for (size_t i = 0; i < 18; i++)
        others[i] = base;
    others[0].rank = 1;
    others[1].type = ROUTE_LOCAL;
    others[2].protocol = 1;
    others[3].scope = 1;
    others[4].iif = 1;
    others[5].encap = 1;
    others[6].flags = 1;
    others[7].nexthop_id = 1;
    others[8].has_prefsrc = true;
    others[9].mtu_bytes = 1;
    others[10].mtu_locked = true;
    others[11].advmss_bytes = 1;
    others[12].max_window_bytes = 1;
    others[13].initcwnd = 1;
    others[14].initrwnd = 1;
    others[15].pref = ROUTE_PREF_LOW;
    others[16].metric = 1;
    others[17].table = 100;
    for (size_t i = 0; i < 18; i++) {
        assert_true(route_compare(&none, &base, &none, &others[i]) < 0);
        assert_true(route_compare(&none, &others[i], &none, &base) > 0);
        assert_int_equal(route_compare(&none, &others[i], &none, &others[i]), 0);
    }
    others[0] = base;
    others[0].tos = 16; /* asked before those for any packet */
    assert_true(route_compare(&none, &others[0], &none, &base) < 0);
    others[0] = base;
    others[0].source_bits = 1; /* asked before those from anywhere */
    assert_true(route_compare(&none, &others[0], &none, &base) < 0);
}

static void any_difference_shows_in_a_comparison(void **state)
{
    const struct route base = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 0);
    const struct route_hop hops[2] = {{.ifindex = 2, .weight = 1}, {.ifindex = 3, .weight = 1}};
    struct route_hop other[2][4];
    struct route_table a = {0}, b = {0};

    (void)state;
    assert_int_equal(route_table_add(&a, &base, hops, 2), 0);
    for (size_t i = 0; i < 4; i++) {
        other[0][i] = hops[0];
        other[1][i] = hops[1];
    }
    other[1][0].ifindex = 4;
    other[1][1].weight = 2;
    other[1][2].flags = 1;
    other[1][3].family = AF_INET;
    for (size_t i = 0; i < 4; i++) {
        const struct route_hop changed[2] = {other[0][i], other[1][i]};

        route_table_clear(&b);
        assert_int_equal(route_table_add(&b, &base, changed, 2), 0);
        assert_true(route_compare(&a, &a.items[0], &b, &b.items[0]) < 0);
        assert_true(route_compare(&b, &b.items[0], &a, &a.items[0]) > 0);
    }
    route_table_clear(&b);
    /* what is no gateway's does not count */
    other[0][0].gateway.bytes[0] = 1;
    other[1][0] = hops[1];
    {
        const struct route_hop same[2] = {other[0][0], other[1][0]};

        assert_int_equal(route_table_add(&b, &base, same, 2), 0);
    }
    assert_int_equal(route_compare(&a, &a.items[0], &b, &b.items[0]), 0);
    route_table_finish(&a);
    route_table_finish(&b);
}

static void routes_beyond_the_limit_are_counted(void **state)
{
    const struct route route = made(ROUTE_TABLE_MAIN, AF_INET, "10.0.0.0", 8, 0);
    struct route_table table = {.limit = 2};

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(route_table_add(&table, &route, NULL, 0), 0);
    assert_int_equal(table.n, 2);
    assert_int_equal(table.n_left_out, 3);
    route_table_clear(&table);
    assert_int_equal(table.n + table.n_left_out, 0);
    assert_int_equal(table.limit, 2);
    route_table_finish(&table);
}

static void many_routes_of_one_class_leave_the_others_their_place(void **state)
{
    static const uint32_t tables[] = {100, 7, ROUTE_TABLE_DEFAULT, ROUTE_TABLE_MAIN,
                                      ROUTE_TABLE_LOCAL};
    struct route_table table = {.limit = 5};

    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (int n = 0; n < 2; n++) {
            const struct route v4 = made(tables[i], AF_INET, "10.0.0.0", 8, 0);
            const struct route v6 = made(tables[i], AF_INET6, "2001:db8::", 32, 0);

            for (int more = 0; i < 2 && more < 9; more++)
                assert_int_equal(route_table_add(&table, &v4, NULL, 0), 0);
            assert_int_equal(route_table_add(&table, &v6, NULL, 0), 0);
        }
    assert_int_equal(table.n_of[route_class(7, AF_INET)], 5);
    assert_int_equal(table.n_of[route_class(100, AF_INET6)], 4);
    assert_int_equal(table.n_of[route_class(ROUTE_TABLE_MAIN, AF_INET)], 0);
    assert_int_equal(table.n_of[route_class(ROUTE_TABLE_LOCAL, AF_INET6)], 5);
    assert_int_equal(table.n, 5 + 4 + 5);
    assert_int_equal(table.n_left_out, 4 * 9 - 5 + 1);
    route_table_clear(&table);
    for (unsigned i = 0; i < ROUTE_CLASSES; i++)
        assert_int_equal(table.n_of[i], 0);
    route_table_finish(&table);
}

static void numbers_have_the_names_that_ip_gives_them(void **state)
{
    char buf[ROUTE_NAME_MAX];

    (void)state;
    assert_string_equal(route_table_name(254, buf), "main");
    assert_string_equal(route_table_name(255, buf), "local");
    assert_string_equal(route_table_name(253, buf), "default");
    assert_string_equal(route_table_name(4294967295U, buf), "4294967295");
    assert_string_equal(route_type_name(ROUTE_BLACKHOLE, buf), "blackhole");
    assert_string_equal(route_type_name(200, buf), "200");
    assert_string_equal(route_protocol_name(2, buf), "kernel");
    assert_string_equal(route_protocol_name(186, buf), "bgp");
    assert_string_equal(route_protocol_name(77, buf), "77");
    assert_string_equal(route_scope_name(0, buf), "global");
    assert_string_equal(route_scope_name(253, buf), "link");
    assert_string_equal(route_scope_name(7, buf), "7");
    assert_string_equal(route_pref_name(ROUTE_PREF_LOW), "low");
    assert_string_equal(route_pref_name(ROUTE_PREF_HIGH), "high");
    assert_null(route_pref_name(ROUTE_PREF_NONE));
    assert_null(route_pref_name(4));
}

static void flags_have_the_words_of_ip(void **state)
{
    struct route route = {.flags = 0};
    struct route_hop hop = {.flags = 0};
    char buf[ROUTE_FLAGS_TEXT_MAX];

    (void)state;
    assert_string_equal(route_flags_format(&route, &hop, buf), "");
    assert_string_equal(route_flags_format(&route, NULL, buf), "");
    hop.flags = 0x14;
    assert_string_equal(route_flags_format(&route, &hop, buf), "onlink,linkdown");
    route.flags = 0x4000;
    assert_string_equal(route_flags_format(&route, NULL, buf), "rt_offload");
    /* all at once fit */
    route.flags = UINT32_MAX;
    hop.flags = UINT8_MAX;
    assert_string_equal(route_flags_format(&route, &hop, buf),
                        "dead,pervasive,onlink,offload,linkdown,unresolved,trap,rt_offload,rt_trap,"
                        "rt_offload_failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_asked_for_most_comes_first_and_defaults_before_others),
        cmocka_unit_test(the_narrowest_source_stands_first_whatever_its_metric),
        cmocka_unit_test(routes_alike_stay_in_the_kernels_order),
        cmocka_unit_test(what_tells_routes_apart_begins_a_new_order),
        cmocka_unit_test(routes_that_each_interface_has_have_no_rank),
        cmocka_unit_test(each_field_shows_in_a_comparison),
        cmocka_unit_test(routes_keep_their_ways_when_sorted),
        cmocka_unit_test(any_difference_shows_in_a_comparison),
        cmocka_unit_test(routes_beyond_the_limit_are_counted),
        cmocka_unit_test(many_routes_of_one_class_leave_the_others_their_place),
        cmocka_unit_test(numbers_have_the_names_that_ip_gives_them),
        cmocka_unit_test(flags_have_the_words_of_ip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
