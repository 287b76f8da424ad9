/* SPDX-License-Identifier: MIT */
#include "connhist/model/service.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct port_range linux_default = {32768, 60999};

static void port_classes_are_those_of_rfc_6335(void **state)
{
    (void)state;
    assert_int_equal(port_class(0), PORT_WELL_KNOWN);
    assert_int_equal(port_class(1023), PORT_WELL_KNOWN);
    assert_int_equal(port_class(1024), PORT_REGISTERED);
    assert_int_equal(port_class(49151), PORT_REGISTERED);
    assert_int_equal(port_class(49152), PORT_DYNAMIC);
    assert_int_equal(port_class(65535), PORT_DYNAMIC);
    assert_string_equal(port_class_name(PORT_WELL_KNOWN), "well-known");
    assert_string_equal(port_class_name(PORT_REGISTERED), "registered");
    assert_string_equal(port_class_name(PORT_DYNAMIC), "dynamic");
}

static void assert_role(uint16_t local, uint16_t remote, enum role expected)
{
    assert_int_equal(role_by_ports(local, remote, &linux_default), expected);
    /* the other end sees it the other way round */
    if (local != remote)
        assert_int_equal(role_by_ports(remote, local, &linux_default),
                         expected == ROLE_SERVER ? ROLE_CLIENT : ROLE_SERVER);
}

static void the_likelier_service_is_the_servers_port(void **state)
{
    (void)state;
    assert_role(443, 40000, ROLE_SERVER);
    assert_role(443, 2000, ROLE_SERVER);    /* well-known against registered */
    assert_role(8080, 40000, ROLE_SERVER);  /* registered against ephemeral */
    assert_role(8080, 62000, ROLE_SERVER);  /* registered against dynamic */
    assert_role(62000, 40000, ROLE_SERVER); /* dynamic, but outside the ephemeral range */
    assert_role(33000, 40000, ROLE_SERVER); /* both ephemeral: the lower number */
    assert_role(22, 443, ROLE_SERVER);      /* both well-known */
    assert_role(5000, 5000, ROLE_SERVER);
}

static void the_hosts_own_ephemeral_range_counts(void **state)
{
    const struct port_range low = {1024, 20000};

    (void)state;
    assert_int_equal(role_by_ports(5432, 30000, &low), ROLE_CLIENT);
    assert_int_equal(role_by_ports(5432, 30000, &linux_default), ROLE_SERVER);
    assert_true(port_in_range(&low, 1024) && port_in_range(&low, 20000));
    assert_false(port_in_range(&low, 1023) || port_in_range(&low, 20001));
}

static void roles_have_names(void **state)
{
    enum role role = 0;

    (void)state;
    assert_string_equal(role_name(ROLE_SERVER), "server");
    assert_string_equal(role_name(ROLE_CLIENT), "client");
    assert_string_equal(role_name(3), "?");
    assert_int_equal(role_parse("Server", &role), 0);
    assert_int_equal(role, ROLE_SERVER);
    assert_int_equal(role_parse("client", &role), 0);
    assert_int_equal(role, ROLE_CLIENT);
    assert_int_equal(role_parse("peer", &role), -EINVAL);
    assert_int_equal(role, ROLE_CLIENT);
    assert_string_equal(role_source_name(ROLE_BY_STATE), "state");
    assert_string_equal(role_source_name(ROLE_BY_TCP_INFO), "tcp_info");
    assert_string_equal(role_source_name(ROLE_BY_LISTENER), "listener");
    assert_string_equal(role_source_name(ROLE_BY_PORT_CLASS), "port_class");
    assert_string_equal(role_source_name(0), "?");
    assert_string_equal(role_source_name(5), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_classes_are_those_of_rfc_6335),
        cmocka_unit_test(the_likelier_service_is_the_servers_port),
        cmocka_unit_test(the_hosts_own_ephemeral_range_counts),
        cmocka_unit_test(roles_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
