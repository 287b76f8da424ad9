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
    uint16_t ports[64];
    struct err err = {0};

    (void)state;
    if (tunnels_read_ports(ports, 64, &err) < 0)
        fail_msg("%s", err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_port_of_each_kind_is_read),
        cmocka_unit_test(what_is_down_or_of_another_kind_has_no_port),
        cmocka_unit_test(what_is_cut_anywhere_is_refused_or_has_no_port),
        cmocka_unit_test(the_kernel_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
