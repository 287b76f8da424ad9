/* SPDX-License-Identifier: MIT */
/* Instants. A date and a time of day are first counted as "civil seconds": the seconds since 1970
 * that a clock showing them would have if it had run in UTC. The time zone comes last. */
#include "connhist/base/timetext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "scan.h"

#define DAY_SECONDS INT64_C(86400)
#define MS_LAST     INT64_C(253402300799999) /* the end of 9999 */

/* What a text said, before the time zone is applied. */
struct civil {
    int64_t seconds;  /* civil seconds */
    int ms;           /* 0 … 999 */
    bool has_time;    /* a time of day was named */
    bool has_offset;  /* the zone was named */
    int64_t offset_s; /* … east of UTC */
};

/* What the parts of the reader share. */
struct reader {
    struct scan scan;
    int64_t now_ms;
    bool utc;
};

static int out_of_range(const struct reader *reader)
{
    return scan_fail(&reader->scan, reader->scan.text, "not within the years 1970 to 9999");
}

static int64_t floor_seconds(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

static bool broken_down(int64_t seconds, bool utc, struct tm *ret)
{
    time_t t = seconds;

    return utc ? gmtime_r(&t, ret) : localtime_r(&t, ret);
}

/* Civil seconds that the local clock shows at an instant. */
static bool local_civil(int64_t seconds, int64_t *ret)
{
    struct tm tm;

    if (!broken_down(seconds, false, &tm))
        return false;
    *ret = seconds + tm.tm_gmtoff;
    return true;
}

/* The first instant at which the local clock shows these civil seconds. The zone's offset is looked
 * up a day before and after, which brackets a change. False: the clock skips them. */
static bool local_instant(int64_t civil, int64_t *ret)
{
    int64_t best = INT64_MAX;

    for (int side = -1; side <= 1; side++) {
        int64_t near = civil + side * DAY_SECONDS, shown, instant;

        if (!local_civil(near, &shown))
            continue;
        instant = civil - (shown - near);
        if (instant < best && local_civil(instant, &shown) && shown == civil)
            best = instant;
    }
    if (best == INT64_MAX)
        return false;
    *ret = best;
    return true;
}

/* The first instant of a day whose midnight the local clock skips. False: it skips the whole day.
 */
static bool local_day_start(int64_t civil, int64_t *ret)
{
    int64_t before = civil - 2 * DAY_SECONDS, after = civil + 2 * DAY_SECONDS, shown;

    while (after - before > 1) {
        int64_t middle = before + (after - before) / 2;

        if (!local_civil(middle, &shown))
            return false;
        if (shown >= civil)
            after = middle;
        else
            before = middle;
    }
    if (!local_civil(after, &shown) || shown >= civil + DAY_SECONDS)
        return false;
    *ret = after;
    return true;
}

static int resolve(const struct reader *reader, const struct civil *civil, int64_t *ret_ms)
{
    int64_t seconds, ms;

    if (civil->has_offset)
        seconds = civil->seconds - civil->offset_s;
    else if (reader->utc)
        seconds = civil->seconds;
    else if (!local_instant(civil->seconds, &seconds) &&
             (civil->has_time || !local_day_start(civil->seconds, &seconds)))
        return scan_fail(&reader->scan, reader->scan.text,
                         "the local clock skipped this time (add Z or an offset such as +02:00)");
    ms = seconds * 1000 + civil->ms;
    if (ms < 0 || ms > MS_LAST)
        return out_of_range(reader);
    *ret_ms = ms;
    return 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Takes YYYY-MM-DD. */
static int scan_date(struct scan *scan, struct civil *civil)
{
    const char *start = scan->at;
    int year, month, day, r;
    struct tm tm = {0};

    r = scan_digits(scan, 4, "the year", &year);
    if (r < 0)
        return r;
    if (year < 1970)
        return scan_fail(scan, start, "year %04d is not within 1970 to 9999", year);
    if (!scan_char(scan, '-'))
        return scan_unexpected(scan, "'-'");
    r = scan_two(scan, "month", 1, 12, &month);
    if (r < 0)
        return r;
    if (!scan_char(scan, '-'))
        return scan_unexpected(scan, "'-'");
    r = scan_two(scan, "day", 1, days_in_month(year, month), &day);
    if (r < 0)
        return r;
    tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    civil->seconds = timegm(&tm);
    return 0;
}

/* Takes HH:MM[:SS[.fraction]]. */
static int scan_time_of_day(struct scan *scan, struct civil *civil)
{
    int hour, minute, second = 0, r;

    r = scan_two(scan, "hour", 0, 23, &hour);
    if (r < 0)
        return r;
    if (!scan_char(scan, ':'))
        return scan_unexpected(scan, "':'");
    r = scan_two(scan, "minute", 0, 59, &minute);
    if (r < 0)
        return r;
    if (scan_char(scan, ':')) {
        const char *start = scan->at;
        struct scan_number number;

        r = scan_two(scan, "second", 0, 59, &second);
        if (r < 0)
            return r;
        if (*scan->at == '.') {
            scan->at = start;
            r = scan_number(scan, &number);
            if (r < 0)
                return r;
            civil->ms = (int)(number.millionths / 1000);
        }
    }
    civil->seconds += (hour * 60 + minute) * 60 + second;
    civil->has_time = true;
    return 0;
}

/* Takes Z or +HH:MM, if there. */
static int scan_offset(struct scan *scan, struct civil *civil)
{
    int hours, minutes, sign, r;

    if (scan_char(scan, 'Z') || scan_char(scan, 'z')) {
        civil->has_offset = true;
        return 0;
    }
    sign = *scan->at == '-' ? -1 : 1;
    if (!scan_char(scan, '+') && !scan_char(scan, '-'))
        return 0;
    r = scan_two(scan, "hour", 0, 23, &hours);
    if (r < 0)
        return r;
    if (!scan_char(scan, ':'))
        return scan_unexpected(scan, "':'");
    r = scan_two(scan, "minute", 0, 59, &minutes);
    if (r < 0)
        return r;
    civil->has_offset = true;
    civil->offset_s = sign * (hours * 60 + minutes) * 60;
    return 0;
}

static int read_date(struct reader *reader, int64_t *ret_ms)
{
    struct scan *scan = &reader->scan;
    struct civil civil = {0};
    bool wants_time;
    int r;

    r = scan_date(scan, &civil);
    if (r < 0)
        return r;
    wants_time = scan_char(scan, 'T') || scan_char(scan, 't');
    scan_spaces(scan);
    if (wants_time || *scan->at) {
        if (!scan_is_digit(*scan->at))
            return scan_unexpected(scan, "a time of day");
        r = scan_time_of_day(scan, &civil);
        if (r < 0)
            return r;
        r = scan_offset(scan, &civil);
        if (r < 0)
            return r;
    }
    r = scan_end(scan);
    return r < 0 ? r : resolve(reader, &civil, ret_ms);
}

/* A time of day, if any is left, on the day that is `days` after today. */
static int read_day(struct reader *reader, int days, int64_t *ret_ms)
{
    struct scan *scan = &reader->scan;
    struct civil civil = {0};
    int64_t now = floor_seconds(reader->now_ms), shown = now;
    int r = 0;

    if (!reader->utc && !local_civil(now, &shown))
        return out_of_range(reader);
    if (shown < 0)
        return out_of_range(reader);
    civil.seconds = shown - shown % DAY_SECONDS + days * DAY_SECONDS;
    scan_spaces(scan);
    if (*scan->at)
        r = scan_is_digit(*scan->at) ? scan_time_of_day(scan, &civil)
                                     : scan_unexpected(scan, "a time of day or the end");
    if (r < 0)
        return r;
    r = scan_end(scan);
    return r < 0 ? r : resolve(reader, &civil, ret_ms);
}

static int shifted(const struct reader *reader, int sign, int64_t ms, int64_t *ret_ms)
{
    int64_t at;

    if (__builtin_add_overflow(reader->now_ms, sign * ms, &at) || at < 0 || at > MS_LAST)
        return out_of_range(reader);
    *ret_ms = at;
    return 0;
}

/* -2h, +5m. */
static int read_signed(struct reader *reader, int sign, int64_t *ret_ms)
{
    int64_t ms = 0;
    int r;

    reader->scan.at++;
    r = scan_duration(&reader->scan, &ms);
    if (r < 0)
        return r;
    r = scan_end(&reader->scan);
    return r < 0 ? r : shifted(reader, sign, ms, ret_ms);
}

/* 2h ago. */
static int read_ago(struct reader *reader, int64_t *ret_ms)
{
    int64_t ms = 0;
    int r = scan_duration(&reader->scan, &ms);

    if (r < 0)
        return r;
    if (!scan_word(&reader->scan, "ago"))
        return scan_unexpected(&reader->scan, "'ago'");
    r = scan_end(&reader->scan);
    return r < 0 ? r : shifted(reader, -1, ms, ret_ms);
}

/* @SECONDS[.fraction]. */
static int read_epoch(struct reader *reader, int64_t *ret_ms)
{
    struct scan_number number;
    int r;

    reader->scan.at++;
    r = scan_number(&reader->scan, &number);
    if (r < 0)
        return r;
    r = scan_end(&reader->scan);
    if (r < 0)
        return r;
    if (number.whole > MS_LAST / 1000)
        return out_of_range(reader);
    *ret_ms = number.whole * 1000 + number.millionths / 1000;
    return 0;
}

static int read_word(struct reader *reader, int64_t *ret_ms)
{
    static const struct {
        const char *word;
        int days;
    } days[] = {{"today", 0}, {"yesterday", -1}, {"tomorrow", 1}};
    int r;

    if (scan_word(&reader->scan, "now")) {
        r = scan_end(&reader->scan);
        return r < 0 ? r : shifted(reader, 1, 0, ret_ms);
    }
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
        if (scan_word(&reader->scan, days[i].word))
            return read_day(reader, days[i].days, ret_ms);
    return scan_unexpected(&reader->scan, "a time");
}

static int read_time(struct reader *reader, int64_t *ret_ms)
{
    size_t digits = scan_count_digits(&reader->scan);
    char next = reader->scan.at[digits];

    if (digits > 0 && next == ':')
        return read_day(reader, 0, ret_ms);
    if (digits > 0 && next == '-')
        return read_date(reader, ret_ms);
    if (digits > 0)
        return read_ago(reader, ret_ms);
    if (next == '@')
        return read_epoch(reader, ret_ms);
    if (next == '-' || next == '+')
        return read_signed(reader, next == '-' ? -1 : 1, ret_ms);
    return read_word(reader, ret_ms);
}

int time_parse(const char *text, int64_t now_ms, bool utc, int64_t *ret_ms, struct err *err)
{
    struct reader reader = {
        .scan = {.kind = "time",
                 .forms = "'2026-11-22 03:14:05', 2026-11-22, 2026-11-22T03:14:05Z, 03:14, now, "
                          "today, yesterday, 'tomorrow 03:14', '2h ago', -2h, +5m, @1763800000",
                 .text = text,
                 .at = text,
                 .err = err},
        .now_ms = now_ms,
        .utc = utc,
    };
    int64_t ms = 0;
    int r;

    tzset(); /* localtime_r() need not look at TZ itself */
    scan_spaces(&reader.scan);
    r = read_time(&reader, &ms);
    if (r < 0)
        return r;
    *ret_ms = ms;
    return 0;
}

const char *time_format(int64_t ms, bool utc, bool with_ms, char buf[static TIME_TEXT_MAX])
{
    int64_t seconds = floor_seconds(ms);
    struct tm tm;
    size_t n;

    if (!broken_down(seconds, utc, &tm)) {
        snprintf(buf, TIME_TEXT_MAX, "@%" PRId64, seconds);
        return buf;
    }
    n = strftime(buf, TIME_TEXT_MAX, utc ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    if (with_ms)
        n += (size_t)snprintf(buf + n, TIME_TEXT_MAX - n, ".%03" PRId64, ms - seconds * 1000);
    if (utc)
        snprintf(buf + n, TIME_TEXT_MAX - n, "Z");
    return buf;
}
