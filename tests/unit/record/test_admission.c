/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admission.h"

#define DAY_MS   INT64_C(86400000)
#define FIRST_MS (INT64_C(20000) * DAY_MS)

static struct service_key key_of(uint32_t netns, enum role role, int32_t port)
{
    return (struct service_key){.netns = netns, .port = port, .protocol = 6, .role = (uint8_t)role};
}

/* How many of the ports [first, first + n) are told apart. */
static int ask_ports(struct admission *admission, uint32_t netns, enum role role, int32_t first,
                     int32_t n)
{
    int told_apart = 0;

    for (int32_t port = first; port < first + n; port++) {
        struct service_key key = key_of(netns, role, port);
        int r = admission_ask(admission, &key);

        assert_in_range(r, 0, 1);
        told_apart += r;
    }
    return told_apart;
}

static void a_scan_gets_a_quarter_of_what_is_left_each_day(void **state)
{
    struct admission admission;
    int before = 0;

    (void)state;
    admission_init(&admission, 4096);
    for (int day = 0; day < 90; day++) {
        int left = 3072 - before, now;

        admission_day(&admission, FIRST_MS + day * DAY_MS);
        now = ask_ports(&admission, 0, ROLE_CLIENT, 1, 65535);
        assert_int_equal(now - before, (left + 3) / 4);
        /* those that have a place keep it */
        admission_day(&admission, FIRST_MS + day * DAY_MS + 5000);
        assert_int_equal(ask_ports(&admission, 0, ROLE_CLIENT, 1, 65535), now);
        before = now;
    }
    assert_int_equal(before, 3072);
    admission_finish(&admission);
}

static void what_is_listened_at_has_places_of_its_own_at_once(void **state)
{
    struct admission admission;

    (void)state;
    admission_init(&admission, 64);
    for (int day = 0; day < 90; day++) {
        admission_day(&admission, FIRST_MS + day * DAY_MS);
        ask_ports(&admission, 0, ROLE_CLIENT, 1, 65535);
        ask_ports(&admission, 0, ROLE_SERVER, 32768, 30000);
    }
    assert_int_equal(ask_ports(&admission, 0, ROLE_SERVER, 80, 100), 16);
    assert_int_equal(ask_ports(&admission, 0, ROLE_SERVER, 80, 100), 16);
    admission_finish(&admission);
}

static void namespaces_have_their_own_places_and_a_bound_together(void **state)
{
    struct admission admission;
    int others = 0;

    (void)state;
    admission_init(&admission, 64);
    admission_day(&admission, FIRST_MS);
    for (uint32_t netns = 1; netns < 100; netns++)
        others += ask_ports(&admission, netns, ROLE_SERVER, 1, 65535 / 2);
    assert_int_equal(others, 16 * 64);
    assert_int_equal(ask_ports(&admission, 0, ROLE_SERVER, 1, 65535 / 2), 64);
    admission_finish(&admission);
}

static void namespaces_that_are_gone_take_no_place_from_those_that_are(void **state)
{
    struct admission admission;

    (void)state;
    admission_init(&admission, 64);
    admission_day(&admission, FIRST_MS);
    assert_int_equal(ask_ports(&admission, 0, ROLE_SERVER, 1, 64), 64);
    for (uint32_t netns = 1; netns <= 10000; netns++) { /* 50 at a time */
        assert_int_equal(ask_ports(&admission, netns, ROLE_SERVER, 1, 20), 20);
        if (netns > 50)
            admission_leave(&admission, netns - 50);
        assert_true(admission.size <= 4096);
    }
    assert_int_equal(admission.netns.n, 51);
    /* what stays has kept its places, and no more than its share */
    assert_int_equal(ask_ports(&admission, 0, ROLE_SERVER, 1, 1000), 64);
    assert_int_equal(ask_ports(&admission, 9999, ROLE_SERVER, 1, 1000), 44);
    assert_int_equal(admission.all_but_own, 16 * 64);
    admission_leave(&admission, 9998);
    admission_leave(&admission, 9998); /* as it is */
    assert_int_equal(admission.all_but_own, 16 * 64 - 20);
    admission_finish(&admission);
}

static void what_the_file_has_keeps_its_place_and_takes_one(void **state)
{
    struct admission admission;

    (void)state;
    admission_init(&admission, 64);
    admission_day(&admission, FIRST_MS);
    for (int32_t port = 1001; port <= 1100; port++) {
        struct service_key key = key_of(0, ROLE_CLIENT, port);

        assert_int_equal(admission_know(&admission, &key), 0);
    }
    assert_int_equal(ask_ports(&admission, 0, ROLE_CLIENT, 1, 65535), 100);
    assert_int_equal(ask_ports(&admission, 0, ROLE_CLIENT, 1001, 100), 100);
    admission_finish(&admission);
}

static void without_a_bound_nothing_is_kept(void **state)
{
    struct admission admission;

    (void)state;
    admission_init(&admission, 0);
    admission_day(&admission, FIRST_MS);
    assert_int_equal(ask_ports(&admission, 0, ROLE_CLIENT, 1, 65535), 65535);
    assert_int_equal(admission.size, 0);
    admission_finish(&admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_gets_a_quarter_of_what_is_left_each_day),
        cmocka_unit_test(what_is_listened_at_has_places_of_its_own_at_once),
        cmocka_unit_test(namespaces_have_their_own_places_and_a_bound_together),
        cmocka_unit_test(namespaces_that_are_gone_take_no_place_from_those_that_are),
        cmocka_unit_test(what_the_file_has_keeps_its_place_and_takes_one),
        cmocka_unit_test(without_a_bound_nothing_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
