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

static void local_times_are_those_of_mktime(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "America/New_York", "Asia/Kolkata",
                                        "Pacific/Auckland", "UTC"};

    (void)state;
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        set_zone(zones[i]);
        for (int month = 0; month < 12; month++) {
            struct tm tm = {.tm_year = 126,
                            .tm_mon = month,
                            .tm_mday = 15,
                            .tm_hour = 13,
                            .tm_min = 7,
                            .tm_sec = 9,
                            .tm_isdst = -1};
            char text[32];

            strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
            assert_time(text, false, (int64_t)mktime(&tm) * 1000);
        }
    }
}

static void local_times_that_a_clock_change_skipped_are_refused(void **state)
{
    (void)state;
    set_zone("Europe/Berlin");
    assert_no_time("2026-03-29 02:00", "skipped");
    assert_no_time("2026-03-29 02:59:59.999", "skipped");
    /* date -u -d 'TZ="Europe/Berlin" TEXT' +%s */
    assert_time("2026-03-29 01:59:59", false, INT64_C(1774745999000));
    assert_time("2026-03-29 03:00", false, INT64_C(1774746000000));
    assert_time("2026-03-29 02:30", true, INT64_C(1774751400000));
    assert_time("2026-03-29 02:30+01:00", false, INT64_C(1774747800000));
}

static void of_two_local_times_the_first_is_meant(void **state)
{
    (void)state;
    set_zone("Europe/Berlin");
    assert_time("2026-10-25 02:30", false, INT64_C(1792888200000)); /* 00:30Z, not 01:30Z */
    assert_time("2026-10-25 03:00", false, INT64_C(1792893600000));
    set_zone("America/New_York");
    assert_time("2026-11-01 01:30", false, INT64_C(1793511000000)); /* 05:30Z */
}

static void days_without_a_midnight_begin_after_the_gap(void **state)
{
    (void)state;
    set_zone("America/Santiago"); /* 00:00 became 01:00 */
    assert_time("2022-09-11", false, INT64_C(1662868800000));
    assert_no_time("2022-09-11 00:00", "skipped");
    set_zone("Pacific/Apia"); /* a day that was not */
    assert_no_time("2011-12-30", "skipped");
    assert_time("2011-12-31", false, INT64_C(1325239200000));
}

static void days_are_those_of_the_local_clock(void **state)
{
    (void)state;
    set_zone("Europe/Berlin"); /* now is 09:26:40 */
    assert_time("today", false, INT64_C(1763766000000));
    assert_time("today", true, INT64_C(1763769600000));
    assert_time("yesterday", false, INT64_C(1763679600000));
    assert_time("tomorrow", false, INT64_C(1763852400000));
    assert_time("03:14", false, INT64_C(1763777640000));
    assert_time("03:14:05.5", false, INT64_C(1763777645500));
    assert_time("today 03:14", false, INT64_C(1763777640000));
    assert_time("tomorrow  23:59:59", false, INT64_C(1763938799000));
    set_zone("Pacific/Auckland"); /* now is 21:26 of the same day */
    assert_time("today", false, INT64_C(1763722800000));
}

static void instants_are_told_from_now(void **state)
{
    (void)state;
    assert_time("now", false, NOW_MS);
    assert_time("2h ago", false, NOW_MS - 7200000);
    assert_time("1h 30m ago", false, NOW_MS - 5400000);
    assert_time("2 days ago", false, NOW_MS - 172800000);
    assert_time("0 ago", false, NOW_MS);
    assert_time("-2h", false, NOW_MS - 7200000);
    assert_time("-1h30m", false, NOW_MS - 5400000);
    assert_time("+5m", false, NOW_MS + 300000);
    assert_time("@1763800000.5", false, INT64_C(1763800000500));
    assert_time("@0", false, 0);
}

static void times_that_are_not_are_refused_with_their_place(void **state)
{
    (void)state;
    set_zone("Europe/Berlin");
    assert_no_time("", "column 1: ends");
    assert_no_time("2026-02-30", "column 9: day 30 is not within 01 to 28");
    assert_no_time("2023-02-29", "column 9: day 29");
    assert_no_time("2100-02-29", "column 9: day 29");
    assert_no_time("2026-13-01", "column 6: month 13");
    assert_no_time("2026-00-01", "column 6: month 00");
    assert_no_time("2026-1-01", "column 6: month needs exactly 2 digits");
    assert_no_time("2026-11-22 24:00", "column 12: hour 24");
    assert_no_time("2026-11-22 03:60", "column 15: minute 60");
    assert_no_time("2026-11-22 03:14:60", "column 18: second 60");
    assert_no_time("2026-11-22 03", "ends where ':'");
    assert_no_time("2026-11-22T", "a time of day");
    assert_no_time("2026-11-22 03:14x", "column 17: unexpected 'x'");
    assert_no_time("2026-11-22Z", "column 11");
    assert_no_time("2026-11-22 03:14:05Z+01:00", "column 21");
    assert_no_time("2026-11-22 03:14:05+0100", "2 digits");
    assert_no_time("2026-11-22 03:14:05.", "a digit after the point");
    assert_no_time("1969-12-31", "1970 to 9999");
    assert_no_time("1970-01-01 00:30", "1970 to 9999"); /* in Berlin: before 1970 */
    assert_no_time("9999-12-31T23:59:59-01:00", "1970 to 9999");
    assert_no_time("20261122", "a unit");
    assert_no_time("2h", "'ago'");
    assert_no_time("2h agos", "'ago'");
    assert_no_time("3:14", "2 digits");
    assert_no_time("03:14Z", "column 6");
    assert_no_time("now x", "column 5");
    assert_no_time("nowx", "column 1");
    assert_no_time("Today", "column 1");
    assert_no_time("today -2h", "column 7");
    assert_no_time("-", "column 2");
    assert_no_time("--2h", "column 2");
    assert_no_time("-99999w", "1970 to 9999");
    assert_no_time("+9999999w", "1970 to 9999");
    assert_no_time("@-1", "column 2");
    assert_no_time("@253402300800", "1970 to 9999");
    assert_no_time("@99999999999999999999", "too large");
    assert_no_time("now\n\x1b[31m", "'now??[31m'");
}

static void assert_duration(const char *text, int64_t expected_ms)
{
    struct err err = {0};
    int64_t ms = -1;

    if (duration_parse(text, &ms, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(ms, expected_ms);
}

static void durations_are_sums_of_numbers_with_units(void **state)
{
    (void)state;
    assert_duration("500ms", 500);
    assert_duration("10s", 10000);
    assert_duration("15m", 900000);
    assert_duration("24h", 86400000);
    assert_duration("7d", 604800000);
    assert_duration("2w", 1209600000);
    assert_duration("1h30m", 5400000);
    assert_duration(" 1 hour 30 minutes ", 5400000);
    assert_duration("1sec2second3seconds", 6000);
    assert_duration("1min1minute1minutes", 180000);
    assert_duration("1day 1days 1week 1weeks 1hours", 2 * 86400000 + 2 * 604800000 + 3600000);
    assert_duration("1.5h", 5400000);
    assert_duration("0.25s", 250);
    assert_duration("0", 0);
    assert_duration("0s", 0);
    assert_duration("9223372036854775807ms", INT64_MAX);
}

static void assert_no_number(int (*parse)(const char *, int64_t *, struct err *), const char *text,
                             const char *words)
{
    struct err err = {0};
    int64_t value = -77;

    assert_int_equal(parse(text, &value, &err), -EINVAL);
    assert_int_equal(value, -77);
    if (!strstr(err.text, words) || !strstr(err.text, "right are "))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, err.text, words);
}

static void durations_that_are_not_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_no_number(duration_parse, "", "column 1");
    assert_no_number(duration_parse, "5", "column 2: ends where a unit");
    assert_no_number(duration_parse, "00", "a unit");
    assert_no_number(duration_parse, "5x", "column 2: unexpected 'x'");
    assert_no_number(duration_parse, "5sx", "column 2");
    assert_no_number(duration_parse, "5M", "column 2"); /* systemd's month */
    assert_no_number(duration_parse, "1h -30m", "column 4");
    assert_no_number(duration_parse, "-1h", "column 1");
    assert_no_number(duration_parse, "1.h", "column 3");
    assert_no_number(duration_parse, "1.0000000001h", "decimals");
    assert_no_number(duration_parse, "0.0001ms", "finer than a millisecond");
    assert_no_number(duration_parse, "9223372036854775808ms", "too large");
    assert_no_number(duration_parse, "9223372036854775807ms 1ms", "too long");
    assert_no_number(duration_parse, "9223372036854776s", "too large");
    assert_no_number(duration_parse, "10s,", "column 4");
}

static void sizes_are_numbers_with_or_without_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"0", 0},
                 {"4096", 4096},
                 {"1B", 1},
                 {"512KiB", 524288},
                 {"64K", 65536},
                 {"10kB", 10000},
                 {"10KB", 10000},
                 {"1.5MiB", 1572864},
                 {"10MB", 10000000},
                 {"1M", 1 << 20},
                 {"1GiB", 1 << 30},
                 {"2 G", INT64_C(2) << 30},
                 {"1GB", 1000000000},
                 {"1T", INT64_C(1) << 40},
                 {"8388607TiB", INT64_C(8388607) << 40}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t bytes = -1;

        assert_int_equal(size_parse(cases[i].text, &bytes, NULL), 0);
        assert_int_equal(bytes, cases[i].bytes);
    }
    assert_no_number(size_parse, "", "column 1");
    assert_no_number(size_parse, "1.5", "parts of a byte");
    assert_no_number(size_parse, "1KB 1", "column 5");
    assert_no_number(size_parse, "1kib", "column 2");
    assert_no_number(size_parse, "-1", "column 1");
    assert_no_number(size_parse, "8388608TiB", "too large");
    assert_no_number(size_parse, "0x10", "column 2");
}

static void instants_are_written_in_local_time_or_utc(void **state)
{
    char buf[TIME_TEXT_MAX];

    (void)state;
    set_zone("Europe/Berlin");
    assert_string_equal(time_format(NOW_MS, false, false, buf), "2025-11-22 09:26:40");
    assert_string_equal(time_format(NOW_MS, false, true, buf), "2025-11-22 09:26:40.123");
    assert_string_equal(time_format(NOW_MS, true, false, buf), "2025-11-22T08:26:40Z");
    assert_string_equal(time_format(NOW_MS, true, true, buf), "2025-11-22T08:26:40.123Z");
    assert_string_equal(time_format(-1, true, true, buf), "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_format(INT64_MAX, true, true, buf), "292278994-08-17T07:12:55.807Z");
}

static void durations_are_written_in_two_units(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{0, "0ms"},
                 {850, "850ms"},
                 {999, "999ms"},
                 {1000, "1s"},
                 {12345, "12s"},
                 {59999, "59s"},
                 {60000, "1m00s"},
                 {200000, "3m20s"},
                 {3600000, "1h00m"},
                 {14700000, "4h05m"},
                 {86399999, "23h59m"},
                 {1047600000, "12d03h"},
                 {-12000, "-12s"},
                 {INT64_MAX, "106751991167d07h"},
                 {INT64_MIN, "-106751991167d07h"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[TIME_TEXT_MAX];

        assert_string_equal(duration_format(cases[i].ms, buf), cases[i].text);
    }
}

static void sizes_are_written_with_one_decimal(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {812, "812 B"},
                 {1023, "1023 B"},
                 {1024, "1.0 KiB"},
                 {1468006, "1.4 MiB"},
                 {1048575, "1.0 MiB"},
                 {1048000, "1023.4 KiB"},
                 {-2048, "-2.0 KiB"},
                 {INT64_MAX, "8.0 EiB"},
                 {INT64_MIN, "-8.0 EiB"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[TIME_TEXT_MAX];

        assert_string_equal(size_format(cases[i].bytes, buf), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_in_utc_are_those_of_date),
        cmocka_unit_test(local_times_are_those_of_mktime),
        cmocka_unit_test(local_times_that_a_clock_change_skipped_are_refused),
        cmocka_unit_test(of_two_local_times_the_first_is_meant),
        cmocka_unit_test(days_without_a_midnight_begin_after_the_gap),
        cmocka_unit_test(days_are_those_of_the_local_clock),
        cmocka_unit_test(instants_are_told_from_now),
        cmocka_unit_test(times_that_are_not_are_refused_with_their_place),
        cmocka_unit_test(durations_are_sums_of_numbers_with_units),
        cmocka_unit_test(durations_that_are_not_are_refused_with_their_place),
        cmocka_unit_test(sizes_are_numbers_with_or_without_a_unit),
        cmocka_unit_test(instants_are_written_in_local_time_or_utc),
        cmocka_unit_test(durations_are_written_in_two_units),
        cmocka_unit_test(sizes_are_written_with_one_decimal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
