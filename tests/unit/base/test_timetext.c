/* SPDX-License-Identifier: MIT */
#include "connhist/base/timetext.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1763800000123) /* 2025-11-22T08:26:40.123Z, as date(1) says */

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void assert_time(const char *text, bool utc, int64_t expected_ms)
{
    struct err err = {0};
    int64_t ms = -1;

    if (time_parse(text, NOW_MS, utc, &ms, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    if (ms != expected_ms)
        fail_msg("%s: %lld, not %lld", text, (long long)ms, (long long)expected_ms);
}

static void assert_no_time(const char *text, const char *words)
{
    struct err err = {0};
    int64_t ms = -77;

    assert_int_equal(time_parse(text, NOW_MS, false, &ms, &err), -EINVAL);
    assert_int_equal(ms, -77);
    assert_int_equal(err.code, -EINVAL);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, err.text, words);
    assert_non_null(strstr(err.text, "right are "));
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(time_parse(text, NOW_MS, false, &ms, NULL), -EINVAL);
}

static void instants_in_utc_are_those_of_date(void **state)
{
    (void)state;
    set_zone("Europe/Berlin");
    /* each figure is that of date -u -d TEXT +%s */
    assert_time("2026-11-22 03:14:05", true, INT64_C(1795317245000));
    assert_time("2026-11-22 03:14", true, INT64_C(1795317240000));
    assert_time("2026-11-22 03:14:05.123", true, INT64_C(1795317245123));
    assert_time("2026-11-22", true, INT64_C(1795305600000));
    assert_time("2026-11-22T03:14:05Z", false, INT64_C(1795317245000));
    assert_time("2026-11-22t03:14:05.123456789z", false, INT64_C(1795317245123));
    assert_time("2026-11-22T03:14:05+02:00", false, INT64_C(1795310045000));
    assert_time("2026-11-22 03:14:05-05:30", true, INT64_C(1795337045000));
    assert_time("2024-02-29", true, INT64_C(1709164800000));
    assert_time("1970-01-01", true, 0);
    assert_time("9999-12-31T23:59:59.999Z", false, INT64_C(253402300799999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_in_utc_are_those_of_date),
    };

    (void)assert_no_time;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
