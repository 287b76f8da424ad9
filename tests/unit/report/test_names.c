/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "connhist/report/names.h"
#include "connhist/store/store.h"
#include "record_file.h"

static void own_names_come_before_the_systems(void **state)
{
    struct names *names = NULL;
    uint16_t port = 0;

    (void)state;
    assert_int_equal(names_new(&names), 0);
    assert_int_equal(names_add(names, PROTOCOL_TCP, 80, "first"), 0);
    assert_int_equal(names_add(names, PROTOCOL_TCP, 80, "shop"), 0);
    assert_int_equal(names_add(names, PROTOCOL_UDP, 81, "Shop"), 0);
    assert_string_equal(names_of_port(names, PROTOCOL_TCP, 80), "shop");
    assert_int_equal(names_find(names, "SHOP", 0, &port), 0);
    assert_int_equal(port, 80);
    assert_int_equal(names_find(names, "shop", PROTOCOL_UDP, &port), 0);
    assert_int_equal(port, 81);
    assert_int_equal(names_find(names, "first", 0, &port), -ENOENT);
    names_free(names);
}

static void the_systems_list_is_asked_for_the_rest(void **state)
{
    struct servent *known = getservbyname("ssh", "tcp");
    struct names *names = NULL;
    uint16_t port = 0;

    (void)state;
    assert_int_equal(names_new(&names), 0);
    if (known) { /* a host without /etc/services is possible */
        assert_int_equal(names_find(names, "SSH", 0, &port), 0);
        assert_int_equal(port, ntohs((uint16_t)known->s_port));
        assert_string_equal(names_of_port(names, PROTOCOL_TCP, port), "ssh");
        assert_string_equal(names_of_port(names, PROTOCOL_TCP, port), "ssh");
    }
    assert_null(names_of_port(names, PROTOCOL_TCP, 0));
    assert_int_equal(names_find(NULL, "no-such-service-at-all", 0, &port), -ENOENT);
    names_free(names);
}

static void the_file_knows_the_recorders_names(void **state)
{
    struct service_name service = {.port = 8000, .protocol = PROTOCOL_TCP, .name = "qq"};
    struct recording recording = {
        .boot_id = "a", .started_ms = 1, .interval_ms = 1, .detail = "on", .version = "test"};
    struct names *names = NULL;
    struct record_file file;
    struct err err;

    (void)state;
    record_file_init(&file);
    assert_int_equal(store_begin_recording(file.store, &recording, &service, 1, &err), 0);
    record_read(&file);
    assert_int_equal(names_new(&names), 0);
    assert_int_equal(names_add_file(names, file.db), 0);
    assert_string_equal(names_of_port(names, PROTOCOL_TCP, 8000), "qq");
    names_free(names);
    record_file_finish(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_names_come_before_the_systems),
        cmocka_unit_test(the_systems_list_is_asked_for_the_rest),
        cmocka_unit_test(the_file_knows_the_recorders_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
