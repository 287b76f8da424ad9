/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connhist/store/file.h"

static void class_is_the_number_of_bits_of_the_duration(void **state)
{
    (void)state;
    assert_int_equal(file_closed_class(0), 0);
    assert_int_equal(file_closed_class(1), 1);
    assert_int_equal(file_closed_class(2), 2);
    assert_int_equal(file_closed_class(3), 2);
    assert_int_equal(file_closed_class(1023), 10);
    assert_int_equal(file_closed_class(1024), 11);
    assert_int_equal(file_closed_class((INT64_C(1) << 30) - 1), 30);
    assert_int_equal(file_closed_class(INT64_C(1) << 30), 31);
    assert_int_equal(file_closed_class(INT64_MAX), 31);
}

static void keys_sort_by_class_then_closing_then_serial_and_are_never_negative(void **state)
{
    const int64_t last = (INT64_C(1) << 42) - 1;

    (void)state;
    assert_true(file_closed_key(0, 0, 0) == 0);
    assert_true(file_closed_key(0, last, 65535) < file_closed_key(1, 0, 0));
    assert_true(file_closed_key(5, 1000, 65535) < file_closed_key(5, 1001, 0));
    assert_true(file_closed_key(31, last, 65535) > file_closed_key(30, last, 65535));
}

static void a_key_gives_back_when_its_life_ended(void **state)
{
    const int64_t ended = INT64_C(1763800000123);

    (void)state;
    assert_int_equal(file_closed_at(file_closed_key(0, ended, 0), 0), ended);
    assert_int_equal(file_closed_at(file_closed_key(31, ended + 7, 65535), 7), ended);
    assert_int_equal(file_closed_at(file_closed_key(31, FILE_CLOSING_MAX, 65535), 0),
                     FILE_CLOSING_MAX);
}

static void a_remote_address_is_written_in_one_form_and_read_back(void **state)
{
    static const struct {
        const char *text;
        int64_t number;
        bool ipv6;
    } remotes[] = {
        {"0.0.0.0", 0, false},
        {"127.255.255.255", INT32_MAX, false},
        {"128.0.0.0", INT32_MIN, false},
        {"192.0.2.1", INT64_C(3221225985) - (INT64_C(1) << 32), false},
        {"255.255.255.255", -1, false},
        {"::ffff:192.0.2.255", INT64_C(0xc00002ff) - (INT64_C(1) << 32), false},
        {"::ffff:10.0.0.1", 0x0a000001, false},
        {"::", 0, true},
        {"::192.0.2.1", 0, true},
        {"2001:db8::1", 0, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++) {
        struct address address, read = {0};
        struct file_remote remote;
        uint8_t family;

        assert_int_equal(address_parse(remotes[i].text, &family, &address), 0);
        remote = file_remote(family, &address);
        assert_int_equal(remote.ipv6, remotes[i].ipv6);
        if (remote.ipv6)
            assert_memory_equal(remote.bytes, address.bytes, remote.n);
        else
            assert_int_equal(remote.number, remotes[i].number);
        assert_int_equal(file_remote_address(family, &remote, &read), 0);
        assert_memory_equal(&read, &address, sizeof(read));
    }
}

static void a_remote_address_that_no_socket_has_is_refused(void **state)
{
    static const uint8_t bytes[17];
    static const struct {
        struct file_remote remote;
        uint8_t family;
    } wrong[] = {
        {{.bytes = bytes, .n = 16, .ipv6 = true}, AF_INET},
        {{.bytes = NULL, .n = 0, .ipv6 = true}, AF_INET6},
        {{.bytes = bytes, .n = 15, .ipv6 = true}, AF_INET6},
        {{.bytes = bytes, .n = 17, .ipv6 = true}, AF_INET6},
        {{.number = (int64_t)INT32_MAX + 1}, AF_INET},
        {{.number = (int64_t)INT32_MIN - 1}, AF_INET6},
    };
    struct address address = {{1}};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(file_remote_address(wrong[i].family, &wrong[i].remote, &address),
                         -EBADMSG);
    assert_int_equal(address.bytes[0], 1);
}

static void every_port_comes_back_from_16_signed_bits(void **state)
{
    (void)state;
    for (int port = 0; port <= UINT16_MAX; port++) {
        int64_t column = file_port((uint16_t)port);

        assert_in_range(column + 32768, 0, UINT16_MAX);
        assert_int_equal(column & 65535, port); /* as the views read it */
        assert_int_equal(file_port_of(column), port);
    }
}

/* A made-up number up to 2^bits with all magnitudes alike. */
static int64_t any(unsigned max_bits)
{
    unsigned bits = (unsigned)random() % (max_bits + 1);

    return (((int64_t)random() << 31) ^ random()) & ((INT64_C(1) << bits) - 1);
}

static void whoever_was_alive_within_a_span_stands_in_the_range_of_its_class(void **state)
{
    const int64_t epoch = INT64_C(1763800000000);

    (void)state;
    srandom(7);
    for (int i = 0; i < 200000; i++) {
        int64_t since = epoch + any(36), ended = since + any(33), late = any(4);
        unsigned class = file_closed_class(ended + late - since);
        int64_t key = file_closed_key(class, ended + late, (unsigned)random() & 0xffff);
        int64_t from = epoch + any(36), until = from + any(30), first, last;

        if (i % 2) { /* most made-up spans miss: let half of them touch the life's ends */
            from = since + (ended > since ? any(33) % (ended - since) : 0);
            until = from;
        }
        file_alive_range(class, from, until, &first, &last);
        if (since <= until && (ended > from || (ended == since && ended == from)))
            assert_true(first <= key && key <= last);
        if (key < first) /* nothing that closed before the span is visited */
            assert_true(ended + late < from);
    }
}

static void ranges_hold_no_more_than_a_class_spans(void **state)
{
    int64_t first, last;

    (void)state;
    for (unsigned class = 0; class < FILE_CLASSES - 1; class ++) {
        file_alive_range(class, 1000000, 1000000, &first, &last);
        assert_int_equal((last >> 16) - (first >> 16) + 1, INT64_C(1) << class);
        assert_int_equal(first >> 58, class);
        assert_int_equal(last >> 58, class);
    }
    file_alive_range(31, INT64_MIN, INT64_MAX, &first, &last);
    assert_true(first == file_closed_key(31, 0, 0));
    assert_true(last == file_closed_key(31, (INT64_C(1) << 42) - 1, 65535));
}

static void traits_come_back_as_they_went_in(void **state)
{
    (void)state;
    for (unsigned s = 1; s <= 11; s++)
        for (unsigned source = 1; source <= 4; source++)
            for (unsigned opened = 0; opened < 2; opened++) {
                unsigned traits = file_traits(s, source, opened);

                assert_int_equal(file_traits_state(traits), s);
                assert_int_equal(file_traits_role_source(traits), source);
                assert_int_equal(file_traits_opened_known(traits), opened);
                assert_true(traits < 128);
                assert_false(file_traits_v6only(traits | file_traits_of_offloaded(true)));
                traits |= file_traits_of_v6only(true);
                assert_true(file_traits_v6only(traits));
                assert_false(file_traits_offloaded(traits));
                assert_int_equal(file_traits_state(traits), s);
            }
}

static void the_default_file_of_root_is_the_systems(void **state)
{
    char path[256] = "untouched";
    struct err err = {0};

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(file_default_path(path, sizeof(path), &err), 0);
    assert_string_equal(path, "/var/lib/connhist/connhist.db");
    strcpy(path, "untouched");
    assert_int_equal(file_default_path(path, 20, &err), -ENAMETOOLONG);
    assert_string_equal(path, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_is_the_number_of_bits_of_the_duration),
        cmocka_unit_test(a_key_gives_back_when_its_life_ended),
        cmocka_unit_test(a_remote_address_is_written_in_one_form_and_read_back),
        cmocka_unit_test(a_remote_address_that_no_socket_has_is_refused),
        cmocka_unit_test(every_port_comes_back_from_16_signed_bits),
        cmocka_unit_test(keys_sort_by_class_then_closing_then_serial_and_are_never_negative),
        cmocka_unit_test(whoever_was_alive_within_a_span_stands_in_the_range_of_its_class),
        cmocka_unit_test(ranges_hold_no_more_than_a_class_spans),
        cmocka_unit_test(traits_come_back_as_they_went_in),
        cmocka_unit_test(the_default_file_of_root_is_the_systems),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
