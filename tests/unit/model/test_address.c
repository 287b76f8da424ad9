/* SPDX-License-Identifier: MIT */
#include "connhist/model/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct address read_address(const char *text, uint8_t *ret_family)
{
    struct address address;

    if (address_parse(text, ret_family, &address) < 0)
        fail_msg("%s is no address", text);
    return address;
}

static void addresses_are_read_and_written_as_libc_does(void **state)
{
    static const char *const texts[] = {
        "0.0.0.0",         "192.0.2.1",
        "255.255.255.255", "::",
        "2001:db8::1",     "::ffff:192.0.2.1",
        "fe80::1",         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    char buf[ADDRESS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t family;
        struct address address = read_address(texts[i], &family);

        assert_int_equal(family, strchr(texts[i], ':') ? AF_INET6 : AF_INET);
        assert_string_equal(address_format(family, &address, buf), texts[i]);
    }
    assert_string_equal(address_format(99, &(struct address){0}, buf), "?");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "",  "1.2.3", "1.2.3.4.5",  "1.2.3.256", " 1.2.3.4",         "1.2.3.4/8",
        ":", ":::",   "fe80::1%lo", "host",      "1:2:3:4:5:6:7:8:9"};
    struct address address = {.bytes = {7}};
    uint8_t family = 77;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(address_parse(bad[i], &family, &address), -EINVAL);
    assert_int_equal(family, 77);
    assert_int_equal(address.bytes[0], 7);
}

static void kinds_of_addresses_are_told_apart(void **state)
{
    uint8_t family;
    struct address any4 = read_address("0.0.0.0", &family), any6 = read_address("::", &family),
                   mapped = read_address("::ffff:192.0.2.1", &family),
                   compatible = read_address("::192.0.2.1", &family),
                   ipv4 = read_address("192.0.2.1", &family);

    (void)state;
    assert_true(address_is_any(AF_INET, &any4));
    assert_true(address_is_any(AF_INET6, &any6));
    assert_false(address_is_any(AF_INET, &ipv4));
    assert_false(address_is_any(AF_INET6, &mapped));
    assert_true(address_is_mapped(AF_INET6, &mapped));
    assert_false(address_is_mapped(AF_INET6, &compatible));
    assert_false(address_is_mapped(AF_INET6, &any6));
    assert_false(address_is_mapped(AF_INET, &ipv4));
    assert_int_equal(address_ipv4(AF_INET, &ipv4), 0xc0000201);
    assert_int_equal(address_ipv4(AF_INET6, &mapped), 0xc0000201);
}

static void assert_cut(const char *text, unsigned ipv4_bits, unsigned ipv6_bits,
                       const char *expected)
{
    char buf[ADDRESS_TEXT_MAX];
    uint8_t family;
    struct address address = read_address(text, &family);

    address_cut(family, &address, ipv4_bits, ipv6_bits);
    assert_string_equal(address_format(family, &address, buf), expected);
}

static void peers_are_cut_to_a_prefix(void **state)
{
    (void)state;
    assert_cut("192.0.2.255", 24, 48, "192.0.2.0");
    assert_cut("192.0.2.255", 32, 48, "192.0.2.255");
    assert_cut("192.0.2.255", 31, 48, "192.0.2.254");
    assert_cut("255.255.255.255", 1, 48, "128.0.0.0");
    assert_cut("255.255.255.255", 9, 48, "255.128.0.0");
    assert_cut("192.0.2.255", 0, 48, "0.0.0.0");
    assert_cut("2001:db8:1:2:3:4:5:6", 24, 48, "2001:db8:1::");
    assert_cut("2001:db8:1:2:3:4:5:6", 24, 128, "2001:db8:1:2:3:4:5:6");
    assert_cut("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 24, 127,
               "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe");
    assert_cut("2001:db8::1", 24, 0, "::");
    /* the IPv4 part of a mapped address, not its head */
    assert_cut("::ffff:192.0.2.255", 24, 48, "::ffff:192.0.2.0");
    assert_cut("::ffff:192.0.2.255", 0, 128, "::ffff:0.0.0.0");
}

static void assert_contains(const char *text, const char *address_text, bool expected)
{
    struct prefix prefix;
    uint8_t family;
    struct address address = read_address(address_text, &family);

    assert_int_equal(prefix_parse(text, &prefix), 0);
    if (prefix_contains(&prefix, family, &address) != expected)
        fail_msg("%s in %s", address_text, text);
}

static void prefixes_contain_what_shares_their_bits(void **state)
{
    (void)state;
    assert_contains("10.0.0.0/8", "10.255.0.1", true);
    assert_contains("10.0.0.0/8", "11.0.0.0", false);
    assert_contains("10.9.9.9/8", "10.1.2.3", true); /* bits behind the prefix don't matter */
    assert_contains("0.0.0.0/0", "255.255.255.255", true);
    assert_contains("192.0.2.1", "192.0.2.1", true);
    assert_contains("192.0.2.1", "192.0.2.0", false);
    assert_contains("192.0.2.128/25", "192.0.2.127", false);
    assert_contains("2001:db8::/33", "2001:db8:7fff::1", true);
    assert_contains("2001:db8::/33", "2001:db8:8000::1", false);
    assert_contains("::/0", "2001:db8::1", true);
    assert_contains("10.0.0.0/8", "::ffff:10.1.2.3", true);
    assert_contains("10.0.0.0/8", "::ffff:11.1.2.3", false);
    assert_contains("::ffff:0:0/96", "::ffff:11.1.2.3", true);
    assert_contains("0.0.0.0/0", "2001:db8::1", false);
    assert_contains("::/0", "10.0.0.1", false);
}

static void what_is_no_prefix_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0.0/8x",
        "10.0.0.0/8/8",
        "10/8",
        "10.0.0.0 /8",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/64"};
    struct prefix prefix = {.bits = 77};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(prefix_parse(bad[i], &prefix), -EINVAL);
    assert_int_equal(prefix.bits, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written_as_libc_does),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(kinds_of_addresses_are_told_apart),
        cmocka_unit_test(peers_are_cut_to_a_prefix),
        cmocka_unit_test(prefixes_contain_what_shares_their_bits),
        cmocka_unit_test(what_is_no_prefix_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
