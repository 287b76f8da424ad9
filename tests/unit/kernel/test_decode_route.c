/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "connhist/kernel/routes.h"
#include "kernel/decode_route.h"
#include "messages.h"

static struct bytes head_of(uint8_t family, uint8_t bits)
{
    const struct rtmsg message = {.rtm_family = family,
                                  .rtm_dst_len = bits,
                                  .rtm_table = RT_TABLE_MAIN,
                                  .rtm_protocol = RTPROT_STATIC,
                                  .rtm_scope = RT_SCOPE_LINK,
                                  .rtm_type = RTN_UNICAST,
                                  .rtm_tos = 16,
                                  .rtm_flags = RTM_F_OFFLOAD | RTNH_F_ONLINK};
    struct bytes bytes = {.n = 0};

    put(&bytes, &message, sizeof(message));
    return bytes;
}

static void put_u32(struct bytes *bytes, uint16_t type, uint32_t value)
{
    put_attr(bytes, type, &value, sizeof(value));
}

static void put_address(struct bytes *bytes, uint16_t type, int family, const char *text)
{
    uint8_t address[16];

    assert_int_equal(inet_pton(family, text, address), 1);
    put_attr(bytes, type, address, family == AF_INET ? 4 : 16);
}

/* One of several ways, with the attributes in `inside`. */
static void put_way(struct bytes *bytes, int ifindex, uint8_t hops, const struct bytes *inside)
{
    const struct rtnexthop way = {.rtnh_len = (unsigned short)(sizeof(way) + inside->n),
                                  .rtnh_hops = hops,
                                  .rtnh_flags = RTNH_F_LINKDOWN,
                                  .rtnh_ifindex = ifindex};

    put(bytes, &way, sizeof(way));
    put(bytes, inside->at, inside->n);
}

static void assert_address(uint8_t family, const struct address *address, const char *text)
{
    char buf[ADDRESS_TEXT_MAX];

    assert_string_equal(address_format(family, address, buf), text);
}

static void every_field_of_a_route_is_taken(void **state)
{
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(AF_INET, 20);
    struct route route;

    (void)state;
    put_address(&bytes, RTA_DST, AF_INET, "10.11.255.255"); /* bits behind the prefix are cut */
    put_address(&bytes, RTA_GATEWAY, AF_INET, "192.0.2.1");
    put_address(&bytes, RTA_PREFSRC, AF_INET, "192.0.2.9");
    put_u32(&bytes, RTA_OIF, 4);
    put_u32(&bytes, RTA_IIF, 5);
    put_u32(&bytes, RTA_PRIORITY, 1024);
    put_u32(&bytes, RTA_TABLE, 100000);
    put_u32(&bytes, RTA_NH_ID, 77);
    put_u32(&bytes, 900, 1);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
    assert_int_equal(route.family, AF_INET);
    assert_int_equal(route.bits, 20);
    assert_address(AF_INET, &route.destination, "10.11.240.0");
    assert_true(route.has_prefsrc);
    assert_address(AF_INET, &route.prefsrc, "192.0.2.9");
    assert_int_equal(route.table, 100000);
    assert_int_equal(route.metric, 1024);
    assert_int_equal(route.nexthop_id, 77);
    assert_int_equal(route.iif, 5);
    assert_int_equal(route.type, ROUTE_UNICAST);
    assert_int_equal(route.protocol, RTPROT_STATIC);
    assert_int_equal(route.scope, RT_SCOPE_LINK);
    assert_int_equal(route.tos, 16);
    assert_int_equal(route.flags, RTM_F_OFFLOAD);
    assert_int_equal(route.n_hops, 1);
    assert_int_equal(hops.n, 1);
    assert_int_equal(hops.items[0].family, AF_INET);
    assert_address(AF_INET, &hops.items[0].gateway, "192.0.2.1");
    assert_int_equal(hops.items[0].ifindex, 4);
    assert_int_equal(hops.items[0].weight, 1);
    assert_int_equal(hops.items[0].flags, RTNH_F_ONLINK);
    vec_finish(&hops);
}

static void the_table_of_the_head_counts_without_attribute(void **state)
{
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(AF_INET6, 0);
    struct route route;

    (void)state;
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
    assert_int_equal(route.table, RT_TABLE_MAIN);
    assert_int_equal(route.n_hops, 0); /* leads nowhere */
    assert_false(route.has_prefsrc);
    vec_finish(&hops);
}

static struct route with_metrics(uint8_t family, const struct bytes *metrics)
{
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(family, 0);
    struct route route;

    put_attr(&bytes, RTA_METRICS, metrics->at, metrics->n);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
    vec_finish(&hops);
    return route;
}

static void metrics_stand_one_level_deeper(void **state)
{
    struct bytes metrics = {.n = 0};
    struct route route = with_metrics(AF_INET6, &metrics);

    (void)state;
    assert_int_equal(route.mtu_bytes, 0);
    assert_int_equal(route.advmss_bytes, 0);
    put_u32(&metrics, RTAX_LOCK, 1U << RTAX_MTU | 1U << RTAX_RTT);
    route = with_metrics(AF_INET, &metrics);
    assert_false(route.mtu_locked); /* of nothing */
    put_u32(&metrics, RTAX_MTU, 1300);
    put_u32(&metrics, RTAX_WINDOW, 4000000000U);
    put_u32(&metrics, RTAX_RTT, 9);
    put_u32(&metrics, RTAX_ADVMSS, 1200);
    put_u32(&metrics, RTAX_INITCWND, 12);
    put_u32(&metrics, RTAX_INITRWND, 13);
    put_attr(&metrics, RTAX_CC_ALGO, "reno", 5);
    put_u32(&metrics, 99, 7);
    route = with_metrics(AF_INET, &metrics);
    assert_int_equal(route.mtu_bytes, 1300);
    assert_true(route.mtu_locked);
    assert_int_equal(route.max_window_bytes, 4000000000U);
    assert_int_equal(route.advmss_bytes, 1200);
    assert_int_equal(route.initcwnd, 12);
    assert_int_equal(route.initrwnd, 13);
    assert_int_equal(route.metric, 0);
    metrics.n = 0;
    put_u32(&metrics, RTAX_MTU, 1300);
    put_u32(&metrics, RTAX_LOCK, 1U << RTAX_RTT);
    assert_false(with_metrics(AF_INET, &metrics).mtu_locked);
}

static void a_preference_is_one_of_three(void **state)
{
    static const struct {
        uint8_t told;
        uint8_t wanted;
    } prefs[] = {{0, ROUTE_PREF_MEDIUM},
                 {1, ROUTE_PREF_HIGH},
                 {3, ROUTE_PREF_LOW},
                 {2, ROUTE_PREF_NONE},
                 {255, ROUTE_PREF_NONE}};
    struct route_hop_vec hops = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(prefs) / sizeof(prefs[0]); i++) {
        struct bytes bytes = head_of(AF_INET6, 0);
        struct route route;

        put_attr(&bytes, RTA_PREF, &prefs[i].told, 1);
        assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
        assert_int_equal(route.pref, prefs[i].wanted);
    }
    vec_finish(&hops);
}

static void a_route_that_leads_nowhere_has_no_way(void **state)
{
    static const uint8_t types[] = {RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW};
    struct bytes ways = {.n = 0}, none = {.n = 0};
    struct route_hop_vec hops = {0};

    (void)state;
    put_way(&ways, 1, 0, &none);
    for (size_t i = 0; i < sizeof(types); i++) {
        struct bytes bytes = head_of(AF_INET6, 48);
        struct route route;

        bytes.at[offsetof(struct rtmsg, rtm_type)] = types[i];
        put_u32(&bytes, RTA_OIF, 1);
        put_u32(&bytes, RTA_NH_ID, 9);
        if (i % 2)
            put_attr(&bytes, RTA_MULTIPATH, ways.at, ways.n);
        assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
        assert_int_equal(route.type, types[i]);
        assert_int_equal(route.nexthop_id, 9);
        assert_int_equal(route.n_hops + hops.n, 0);
    }
    vec_finish(&hops);
}

static void each_way_of_several_has_its_own(void **state)
{
    static const uint8_t via[] = {AF_INET6, 0, 0xfe, 0x80, 0, 0, 0, 0, 0,
                                  0,        0, 0,    0,    0, 0, 0, 0, 1};
    static const uint16_t mpls = 1;
    struct route_hop_vec hops = {0};
    struct bytes first = {.n = 0}, second = {.n = 0}, none = {.n = 0}, ways = {.n = 0};
    struct bytes bytes = head_of(AF_INET, 8);
    struct route route;

    (void)state;
    put_address(&first, RTA_GATEWAY, AF_INET, "192.0.2.1");
    put_attr(&second, RTA_VIA, via, sizeof(via));
    put_attr(&second, RTA_ENCAP_TYPE, &mpls, sizeof(mpls));
    put_way(&ways, 4, 0, &first);
    put_way(&ways, 5, 255, &second);
    put_way(&ways, 6, 1, &none);
    put_address(&bytes, RTA_DST, AF_INET, "10.0.0.0");
    put_attr(&bytes, RTA_MULTIPATH, ways.at, ways.n);
    for (int i = 0; i < 2; i++) { /* what hops held is forgotten */
        assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
        assert_int_equal(route.n_hops, 3);
        assert_int_equal(hops.n, 3);
    }
    assert_address(AF_INET, &hops.items[0].gateway, "192.0.2.1");
    assert_int_equal(hops.items[0].weight, 1);
    assert_int_equal(hops.items[0].flags, RTNH_F_LINKDOWN);
    assert_int_equal(hops.items[1].family, AF_INET6);
    assert_address(AF_INET6, &hops.items[1].gateway, "fe80::1");
    assert_int_equal(hops.items[1].weight, 256);
    assert_int_equal(hops.items[1].ifindex, 5);
    assert_int_equal(hops.items[2].family, 0);
    assert_int_equal(hops.items[2].weight, 2);
    assert_int_equal(route.encap, 1);
    vec_finish(&hops);
}

static void ways_with_impossible_lengths_are_refused(void **state)
{
    static const unsigned short lengths[] = {0, 4, 7, 9, 17, 0xffff};
    struct route_hop_vec hops = {0};
    struct route route = {.table = 99};

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const struct rtnexthop ways[2] = {{.rtnh_len = 8, .rtnh_ifindex = 1},
                                          {.rtnh_len = lengths[i], .rtnh_ifindex = 2}};
        struct bytes bytes = head_of(AF_INET, 0);

        put_attr(&bytes, RTA_MULTIPATH, ways, sizeof(ways));
        assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), -EPROTO);
    }
    assert_int_equal(route.table, 99);
    vec_finish(&hops);
}

static void assert_refused(uint16_t type, const void *data, size_t n)
{
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(AF_INET, 8);
    struct route route;

    put_attr(&bytes, type, data, n);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), -EPROTO);
    vec_finish(&hops);
}

static void what_can_not_be_is_refused(void **state)
{
    static const uint8_t zeros[16], via[] = {AF_INET6, 0, 1, 2, 3}, mtu[] = {6, 0, 2, 0, 1, 2};
    static const uint8_t beyond[] = {12, 0, 2, 0, 1, 2, 3, 4};
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(AF_INET, 33);
    struct route route;

    (void)state;
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), -EPROTO);
    bytes = head_of(AF_INET6, 129);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), -EPROTO);
    bytes = head_of(AF_UNIX, 0);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), -EPROTO);
    vec_finish(&hops);
    assert_refused(RTA_DST, zeros, 3);
    assert_refused(RTA_DST, zeros, 16);
    assert_refused(RTA_GATEWAY, zeros, 16);
    assert_refused(RTA_PREFSRC, zeros, 0);
    assert_refused(RTA_TABLE, zeros, 2);
    assert_refused(RTA_OIF, zeros, 3);
    assert_refused(RTA_VIA, via, 1);
    assert_refused(RTA_VIA, via, sizeof(via));
    assert_refused(RTA_ENCAP_TYPE, zeros, 1);
    assert_refused(RTA_MULTIPATH, zeros, 3);
    assert_refused(RTA_PREF, zeros, 0);
    assert_refused(RTA_METRICS, mtu, sizeof(mtu));
    assert_refused(RTA_METRICS, beyond, sizeof(beyond));
}

static void a_gateway_of_a_foreign_family_is_none_to_tell(void **state)
{
    static const uint8_t via[] = {28 /* AF_MPLS */, 0, 1, 2, 3, 4};
    struct route_hop_vec hops = {0};
    struct bytes bytes = head_of(AF_INET, 8);
    struct route route;

    (void)state;
    put_attr(&bytes, RTA_VIA, via, sizeof(via));
    put_u32(&bytes, RTA_OIF, 4);
    assert_int_equal(decode_route(bytes.at, bytes.n, &route, &hops), 0);
    assert_int_equal(hops.items[0].family, 0);
    assert_int_equal(hops.items[0].ifindex, 4);
    vec_finish(&hops);
}

static void any_cut_of_a_message_is_read_without_harm(void **state)
{
    struct bytes inside = {.n = 0}, ways = {.n = 0}, metrics = {.n = 0};
    struct bytes bytes = head_of(AF_INET, 8);
    struct route_hop_vec hops = {0};

    (void)state;
    put_address(&inside, RTA_GATEWAY, AF_INET, "192.0.2.1");
    put_way(&ways, 4, 0, &inside);
    put_way(&ways, 5, 0, &inside);
    put_u32(&bytes, RTA_OIF, 4);
    put_u32(&metrics, RTAX_MTU, 1300);
    put_attr(&bytes, RTA_METRICS, metrics.at, metrics.n);
    put_attr(&bytes, RTA_MULTIPATH, ways.at, ways.n);
    for (size_t n = 0; n <= bytes.n; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct route route;
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes.at, n);
        r = decode_route(copy, n, &route, &hops);
        assert_true(r == 0 || r == -EPROTO);
        free(copy);
    }
    vec_finish(&hops);
}

static void the_kernel_tells_the_route_to_its_loopback(void **state)
{
    struct route_table table = {0};
    struct err err = {0};
    bool found = false;
    int r = routes_read(&table, &err);

    (void)state;
    if (r != -EINTR) /* others may be making routes */
        assert_int_equal(r, 0);
    for (size_t i = 0; i < table.n; i++) {
        const struct route *route = &table.items[i];

        assert_true(route->family == AF_INET || route->family == AF_INET6);
        assert_true(route->first_hop + route->n_hops <= table.hops.n);
        found |= route->table == ROUTE_TABLE_LOCAL && route->type == ROUTE_LOCAL &&
                 route->family == AF_INET && route->destination.bytes[0] == 127;
    }
    if (table.n == 0) /* a namespace whose lo is down */
        skip();
    assert_true(found);
    route_table_finish(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_route_is_taken),
        cmocka_unit_test(the_table_of_the_head_counts_without_attribute),
        cmocka_unit_test(metrics_stand_one_level_deeper),
        cmocka_unit_test(a_preference_is_one_of_three),
        cmocka_unit_test(a_route_that_leads_nowhere_has_no_way),
        cmocka_unit_test(each_way_of_several_has_its_own),
        cmocka_unit_test(ways_with_impossible_lengths_are_refused),
        cmocka_unit_test(what_can_not_be_is_refused),
        cmocka_unit_test(a_gateway_of_a_foreign_family_is_none_to_tell),
        cmocka_unit_test(any_cut_of_a_message_is_read_without_harm),
        cmocka_unit_test(the_kernel_tells_the_route_to_its_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
