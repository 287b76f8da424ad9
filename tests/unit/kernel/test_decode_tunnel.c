/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/kernel/tunnels.h"
#include "kernel/decode_tunnel.h"
#include "unit.h"

/* A message made by libmnl. */
struct made {
    _Alignas(8) char buffer[1024];
    struct nlmsghdr *header;
};

static void make(struct made *made, const char *kind, uint16_t attribute, uint16_t port,
                 unsigned flags)
{
    struct nlattr *info, *data;
    struct ifinfomsg *link;

    memset(made, 0, sizeof(*made));
    made->header = mnl_nlmsg_put_header(made->buffer);
    link = mnl_nlmsg_put_extra_header(made->header, sizeof(*link));
    link->ifi_flags = flags;
    mnl_attr_put_strz(made->header, IFLA_IFNAME, "tunnel0");
    info = mnl_attr_nest_start(made->header, IFLA_LINKINFO);
    mnl_attr_put_strz(made->header, IFLA_INFO_KIND, kind);
    data = mnl_attr_nest_start(made->header, IFLA_INFO_DATA);
    mnl_attr_put_u32(made->header, IFLA_VXLAN_ID, 1);
    mnl_attr_put_u16(made->header, attribute, htons(port));
    mnl_attr_nest_end(made->header, data);
    mnl_attr_nest_end(made->header, info);
}

static int decode(const struct made *made, struct tunnel_port *ret)
{
    return decode_tunnel(mnl_nlmsg_get_payload(made->header),
                         mnl_nlmsg_get_payload_len(made->header), ret);
}

static void expect(const char *kind, uint16_t attribute, unsigned flags, uint16_t port)
{
    struct tunnel_port tunnel = {.port = 1};
    struct made made;

    make(&made, kind, attribute, 4789, flags);
    assert_int_equal(decode(&made, &tunnel), 0);
    assert_int_equal(tunnel.port, port);
}

static void the_port_of_each_kind_is_read(void **state)
{
    (void)state;
    expect("vxlan", IFLA_VXLAN_PORT, IFF_UP, 4789);
    expect("geneve", IFLA_GENEVE_PORT, IFF_UP | IFF_RUNNING, 4789);
    expect("bareudp", IFLA_BAREUDP_PORT, IFF_UP, 4789);
}

/* A device with one more attribute, of so many bytes of this value. */
static void expect_families(const char *kind, uint16_t port, uint16_t more, size_t n, uint8_t value,
                            const char *families)
{
    struct tunnel_port tunnel = {0};
    struct nlattr *info, *data;
    uint8_t bytes[16];
    struct made made;

    memset(bytes, value, sizeof(bytes));
    make(&made, kind, port, 4789, IFF_UP);
    made.header->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    info = mnl_attr_nest_start(made.header, IFLA_LINKINFO);
    mnl_attr_put_strz(made.header, IFLA_INFO_KIND, kind);
    data = mnl_attr_nest_start(made.header, IFLA_INFO_DATA);
    mnl_attr_put_u16(made.header, port, htons(4789));
    if (more)
        mnl_attr_put(made.header, more, n, bytes);
    mnl_attr_nest_end(made.header, data);
    mnl_attr_nest_end(made.header, info);
    assert_int_equal(decode(&made, &tunnel), 0);
    assert_int_equal(tunnel.port, 4789);
    assert_int_equal(tunnel.ipv4, strchr(families, '4') != NULL);
    assert_int_equal(tunnel.ipv6, strchr(families, '6') != NULL);
}

static void the_families_of_its_sockets_are_told_by_its_addresses(void **state)
{
    (void)state;
    expect_families("vxlan", IFLA_VXLAN_PORT, 0, 0, 0, "4");
    expect_families("vxlan", IFLA_VXLAN_PORT, IFLA_VXLAN_GROUP, 4, 1, "4");
    expect_families("vxlan", IFLA_VXLAN_PORT, IFLA_VXLAN_GROUP6, 16, 0, "6");
    expect_families("vxlan", IFLA_VXLAN_PORT, IFLA_VXLAN_LOCAL6, 16, 1, "6");
    expect_families("vxlan", IFLA_VXLAN_PORT, IFLA_VXLAN_COLLECT_METADATA, 1, 1, "46");
    expect_families("vxlan", IFLA_VXLAN_PORT, IFLA_VXLAN_COLLECT_METADATA, 1, 0, "4");
    expect_families("geneve", IFLA_GENEVE_PORT, IFLA_GENEVE_REMOTE, 4, 1, "4");
    expect_families("geneve", IFLA_GENEVE_PORT, IFLA_GENEVE_REMOTE6, 16, 1, "6");
    expect_families("geneve", IFLA_GENEVE_PORT, IFLA_GENEVE_COLLECT_METADATA, 0, 0, "46");
    expect_families("bareudp", IFLA_BAREUDP_PORT, 0, 0, 0, "46");
}

static void what_is_down_or_of_another_kind_has_no_port(void **state)
{
    (void)state;
    expect("vxlan", IFLA_VXLAN_PORT, 0, 0);
    expect("vxlan", IFLA_VXLAN_PORT_RANGE, IFF_UP, 0);
    expect("vxlan2", IFLA_VXLAN_PORT, IFF_UP, 0);
    expect("vxla", IFLA_VXLAN_PORT, IFF_UP, 0);
    expect("veth", IFLA_VXLAN_PORT, IFF_UP, 0);
}

static void what_is_cut_anywhere_is_refused_or_has_no_port(void **state)
{
    struct made made;
    size_t n;

    (void)state;
    make(&made, "vxlan", IFLA_VXLAN_PORT, 4789, IFF_UP);
    n = mnl_nlmsg_get_payload_len(made.header);
    for (size_t i = 0; i < n - 2; i++) { /* the last two bytes are padding */
        uint8_t *copy = malloc(i ? i : 1);
        struct tunnel_port tunnel = {.port = 1};
        int r;

        assert_non_null(copy);
        memcpy(copy, mnl_nlmsg_get_payload(made.header), i);
        r = decode_tunnel(copy, i, &tunnel);
        assert_true(r == -EPROTO ? tunnel.port == 1 : r == 0 && tunnel.port == 0);
        free(copy);
    }
}

static void the_kernel_answers(void **state)
{
    struct tunnel_port ports[64];
    struct err err = {0};

    (void)state;
    if (tunnels_read_ports(ports, 64, &err) < 0)
        fail_msg("%s", err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_of_each_kind_is_read),
        cmocka_unit_test(the_families_of_its_sockets_are_told_by_its_addresses),
        cmocka_unit_test(what_is_down_or_of_another_kind_has_no_port),
        cmocka_unit_test(what_is_cut_anywhere_is_refused_or_has_no_port),
        cmocka_unit_test(the_kernel_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
