/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>

#include "connhist/kernel/interfaces.h"
#include "kernel/decode_link.h"
#include "messages.h"

static struct bytes head_of(int index)
{
    const struct ifinfomsg message = {.ifi_index = index, .ifi_flags = 0x10049, .ifi_type = 772};
    struct bytes bytes = {.n = 0};

    put(&bytes, &message, sizeof(message));
    return bytes;
}

static struct bytes link_of(const void *stats, size_t n)
{
    static const uint32_t mtu = 1400;
    static const uint8_t up = 6;
    struct bytes bytes = head_of(4);

    put_attr(&bytes, IFLA_IFNAME, "eth0", 5);
    put_attr(&bytes, IFLA_MTU, &mtu, sizeof(mtu));
    put_attr(&bytes, 4000, "later", 5);
    put_attr(&bytes, IFLA_OPERSTATE, &up, sizeof(up));
    if (stats)
        put_attr(&bytes, IFLA_STATS64, stats, n);
    return bytes;
}

static void every_field_of_an_interface_is_taken(void **state)
{
    const struct rtnl_link_stats64 stats = {
        .rx_bytes = 1,
        .tx_bytes = UINT64_MAX,
        .rx_packets = 3,
        .tx_packets = 4,
        .rx_errors = 5,
        .tx_errors = 6,
        .rx_dropped = 7,
        .tx_dropped = 8,
        .multicast = 9,
        .rx_missed_errors = 10,
        .rx_nohandler = 11,
        .collisions = 12,
        .tx_carrier_errors = 13,
    };
    struct bytes bytes = link_of(&stats, sizeof(stats));
    struct interface interface;

    (void)state;
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), 0);
    assert_string_equal(interface.name, "eth0");
    assert_int_equal(interface.ifindex, 4);
    assert_int_equal(interface.flags, 0x10049);
    assert_int_equal(interface.type, 772);
    assert_int_equal(interface.mtu_bytes, 1400);
    assert_int_equal(interface.operstate, 6);
    assert_true(interface.has_stats);
    assert_int_equal(interface.stats.rx_bytes, 1);
    assert_true(interface.stats.tx_bytes == INT64_MAX);
    assert_int_equal(interface.stats.rx_packets, 3);
    assert_int_equal(interface.stats.tx_packets, 4);
    assert_int_equal(interface.stats.rx_errors, 5);
    assert_int_equal(interface.stats.tx_errors, 6);
    assert_int_equal(interface.stats.rx_dropped, 7);
    assert_int_equal(interface.stats.tx_dropped, 8);
    assert_int_equal(interface.stats.rx_multicast, 9);
    assert_int_equal(interface.stats.rx_missed, 10);
    assert_int_equal(interface.stats.rx_nohandler, 11);
    assert_int_equal(interface.stats.tx_collisions, 12);
    assert_int_equal(interface.stats.tx_carrier, 13);
}

static void statistics_may_be_shorter_longer_or_lack(void **state)
{
    uint64_t told[40] = {1, 2, 3};
    struct interface interface;
    struct bytes bytes = link_of(told, sizeof(told));

    (void)state;
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), 0);
    assert_int_equal(interface.stats.rx_packets, 1);
    bytes = link_of(told, 3 * sizeof(told[0]));
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), 0);
    assert_int_equal(interface.stats.rx_bytes, 3);
    assert_int_equal(interface.stats.tx_bytes, 0);
    bytes = link_of(NULL, 0);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), 0);
    assert_false(interface.has_stats);
    assert_int_equal(interface.stats.rx_packets, 0);
}

static void what_can_not_be_is_refused(void **state)
{
    struct interface interface = {.ifindex = 99};
    struct bytes bytes = head_of(4);

    (void)state;
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), -EPROTO); /* no name */
    put_attr(&bytes, IFLA_IFNAME, "sixteen-letters!", 16);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), -EPROTO);
    bytes = head_of(4);
    put_attr(&bytes, IFLA_IFNAME, "", 1);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), -EPROTO);
    bytes = head_of(0);
    put_attr(&bytes, IFLA_IFNAME, "eth0", 5);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), -EPROTO);
    bytes = head_of(4);
    put_attr(&bytes, IFLA_IFNAME, "eth0", 5);
    put_attr(&bytes, IFLA_MTU, "ab", 2);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), -EPROTO);
    assert_int_equal(decode_link(bytes.at, sizeof(struct ifinfomsg) - 1, &interface), -EPROTO);
    assert_int_equal(interface.ifindex, 99);
}

static void a_name_needs_no_nul(void **state)
{
    struct interface interface;
    struct bytes bytes = head_of(4);

    (void)state;
    put_attr(&bytes, IFLA_IFNAME, "fifteen-letters", 15);
    assert_int_equal(decode_link(bytes.at, bytes.n, &interface), 0);
    assert_string_equal(interface.name, "fifteen-letters");
}

static void any_cut_of_a_message_is_read_without_harm(void **state)
{
    const struct rtnl_link_stats64 stats = {.rx_bytes = 1};
    struct bytes bytes = link_of(&stats, sizeof(stats));

    (void)state;
    for (size_t n = 0; n <= bytes.n; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        struct interface interface;
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes.at, n);
        r = decode_link(copy, n, &interface);
        assert_true(r == 0 || r == -EPROTO);
        free(copy);
    }
}

static void the_kernel_tells_of_its_loopback(void **state)
{
    struct interface_list list = {0};
    struct err err = {0};
    const struct interface *lo;

    (void)state;
    for (int i = 0; i < 2; i++) { /* what it held is replaced */
        int r = interfaces_read(&list, &err);

        if (r == -EINTR) /* others may be making interfaces */
            print_message("%s\n", err.text);
        else
            assert_int_equal(r, 0);
        lo = interface_list_find(&list, if_nametoindex("lo"));
        assert_non_null(lo);
        assert_string_equal(lo->name, "lo");
        assert_true(lo->has_stats);
        assert_true(lo->flags & IFF_LOOPBACK);
        assert_int_equal(lo->stats.rx_bytes, lo->stats.tx_bytes);
    }
    for (size_t i = 1; i < list.n; i++)
        assert_true(list.items[i - 1].ifindex < list.items[i].ifindex);
    interface_list_finish(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_an_interface_is_taken),
        cmocka_unit_test(statistics_may_be_shorter_longer_or_lack),
        cmocka_unit_test(what_can_not_be_is_refused),
        cmocka_unit_test(a_name_needs_no_nul),
        cmocka_unit_test(any_cut_of_a_message_is_read_without_harm),
        cmocka_unit_test(the_kernel_tells_of_its_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
