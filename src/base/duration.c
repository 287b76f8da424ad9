/* SPDX-License-Identifier: MIT */
/* Durations and sizes: a number and a unit from a table. */
#include "connhist/base/timetext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scan.h"

#define MILLION   1000000
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)
#define WEEK_MS   (7 * DAY_MS)

struct unit {
    const char *name;
    int64_t factor; /* ms or bytes; times a million it must fit */
};

static const struct unit duration_units[] = {
    {"ms", 1},          {"s", 1000},           {"sec", 1000},
    {"second", 1000},   {"seconds", 1000},     {"m", MINUTE_MS},
    {"min", MINUTE_MS}, {"minute", MINUTE_MS}, {"minutes", MINUTE_MS},
    {"h", HOUR_MS},     {"hour", HOUR_MS},     {"hours", HOUR_MS},
    {"d", DAY_MS},      {"day", DAY_MS},       {"days", DAY_MS},
    {"w", WEEK_MS},     {"week", WEEK_MS},     {"weeks", WEEK_MS},
};

static const struct unit size_units[] = {
    {"B", 1},
    {"K", INT64_C(1) << 10},
    {"KiB", INT64_C(1) << 10},
    {"kB", 1000},
    {"KB", 1000},
    {"M", INT64_C(1) << 20},
    {"MiB", INT64_C(1) << 20},
    {"MB", 1000000},
    {"G", INT64_C(1) << 30},
    {"GiB", INT64_C(1) << 30},
    {"GB", 1000000000},
    {"T", INT64_C(1) << 40},
    {"TiB", INT64_C(1) << 40},
    {"TB", INT64_C(1000000000000)},
};

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))

/* Takes the unit that stands here, NULL if none of the table does. */
static const struct unit *take_unit(struct scan *scan, const struct unit *units, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (scan_word(scan, units[i].name))
            return &units[i];
    return NULL;
}

/* number * factor + half, cut to a whole; -EINVAL when that is too large. */
static int multiply(const struct scan *scan, const char *at, struct scan_number number,
                    int64_t factor, int64_t half, int64_t *ret)
{
    int64_t value, part = (number.millionths * factor + half) / MILLION;

    if (__builtin_mul_overflow(number.whole, factor, &value) ||
        __builtin_add_overflow(value, part, &value))
        return scan_fail(scan, at, "the %s is too large", scan->kind);
    *ret = value;
    return 0;
}

/* Takes one NUMBER UNIT. */
static int scan_duration_part(struct scan *scan, int64_t *ret_ms)
{
    const char *start = scan->at;
    const struct unit *unit;
    struct scan_number number;
    int64_t ms = 0;
    int r;

    r = scan_number(scan, &number);
    if (r < 0)
        return r;
    scan_spaces(scan);
    unit = take_unit(scan, duration_units, N_ITEMS(duration_units));
    if (!unit)
        return scan_unexpected(scan, "a unit (ms, s, m, h, d, w)");
    r = multiply(scan, start, number, unit->factor, MILLION / 2, &ms);
    if (r < 0)
        return r;
    if (ms == 0 && number.millionths > 0)
        return scan_fail(scan, start, "finer than a millisecond");
    *ret_ms = ms;
    return 0;
}

/* Takes a "0" that has no unit. */
static bool take_bare_zero(struct scan *scan)
{
    struct scan after = *scan;

    if (!scan_char(&after, '0'))
        return false;
    scan_spaces(&after);
    if (*after.at && strncmp(after.at, "ago", 3) != 0)
        return false;
    *scan = after;
    return true;
}

int scan_duration(struct scan *scan, int64_t *ret_ms)
{
    const char *start = scan->at;
    int64_t total = 0;

    if (take_bare_zero(scan)) {
        *ret_ms = 0;
        return 0;
    }
    do {
        int64_t part = 0;
        int r = scan_duration_part(scan, &part);

        if (r < 0)
            return r;
        if (__builtin_add_overflow(total, part, &total))
            return scan_fail(scan, start, "the duration is too long");
        scan_spaces(scan);
    } while (scan_is_digit(*scan->at));
    *ret_ms = total;
    return 0;
}

int duration_parse(const char *text, int64_t *ret_ms, struct err *err)
{
    struct scan scan = {
        .kind = "duration",
        .forms = "500ms, 10s, 15m, 1h30m, 1.5h, 7d, 2w, and 0",
        .text = text,
        .at = text,
        .err = err,
    };
    int64_t ms = 0;
    int r;

    scan_spaces(&scan);
    r = scan_duration(&scan, &ms);
    if (r < 0)
        return r;
    r = scan_end(&scan);
    if (r < 0)
        return r;
    *ret_ms = ms;
    return 0;
}

int size_parse(const char *text, int64_t *ret_bytes, struct err *err)
{
    struct scan scan = {
        .kind = "size",
        .forms = "4096, 512KiB, 1.5MiB, 1GiB, 64K (powers of 2), 10MB (powers of 10)",
        .text = text,
        .at = text,
        .err = err,
    };
    const struct unit *unit = &size_units[0];
    struct scan_number number;
    const char *start;
    int64_t bytes = 0;
    int r;

    scan_spaces(&scan);
    start = scan.at;
    r = scan_number(&scan, &number);
    if (r < 0)
        return r;
    scan_spaces(&scan);
    if (*scan.at)
        unit = take_unit(&scan, size_units, N_ITEMS(size_units));
    if (!unit)
        return scan_unexpected(&scan, "a unit (B, K, M, G, T, KiB, MB, ...)");
    r = multiply(&scan, start, number, unit->factor, 0, &bytes);
    if (r < 0)
        return r;
    if (number.millionths > 0 && unit->factor == 1)
        return scan_fail(&scan, start, "there are no parts of a byte");
    r = scan_end(&scan);
    if (r < 0)
        return r;
    *ret_bytes = bytes;
    return 0;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

const char *duration_format(int64_t ms, char buf[static TIME_TEXT_MAX])
{
    static const struct {
        uint64_t ms;      /* of the unit */
        uint64_t part_ms; /* of the unit that follows it */
        const char *names;
    } steps[] = {{DAY_MS, HOUR_MS, "dh"}, {HOUR_MS, MINUTE_MS, "hm"}, {MINUTE_MS, 1000, "ms"}};
    uint64_t left = magnitude(ms);
    const char *sign = ms < 0 ? "-" : "";

    for (size_t i = 0; i < N_ITEMS(steps); i++) {
        if (left < steps[i].ms)
            continue;
        snprintf(buf, TIME_TEXT_MAX, "%s%" PRIu64 "%c%02" PRIu64 "%c", sign, left / steps[i].ms,
                 steps[i].names[0], left % steps[i].ms / steps[i].part_ms, steps[i].names[1]);
        return buf;
    }
    if (left < 1000)
        snprintf(buf, TIME_TEXT_MAX, "%s%" PRIu64 "ms", sign, left);
    else
        snprintf(buf, TIME_TEXT_MAX, "%s%" PRIu64 "s", sign, left / 1000);
    return buf;
}

const char *size_format(int64_t bytes, char buf[static TIME_TEXT_MAX])
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t value = magnitude(bytes), unit = 1024, tenths;
    const char *sign = bytes < 0 ? "-" : "";
    size_t i = 0;

    if (value < 1024) {
        snprintf(buf, TIME_TEXT_MAX, "%s%" PRIu64 " B", sign, value);
        return buf;
    }
    /* 1023.95 KiB would be shown as 1024.0 KiB */
    while (i + 1 < N_ITEMS(names) && value >= unit * 1024 - unit / 20) {
        unit *= 1024;
        i++;
    }
    tenths = value / unit * 10 + (value % unit * 10 + unit / 2) / unit;
    snprintf(buf, TIME_TEXT_MAX, "%s%" PRIu64 ".%" PRIu64 " %s", sign, tenths / 10, tenths % 10,
             names[i]);
    return buf;
}
