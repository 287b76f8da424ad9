/* SPDX-License-Identifier: MIT */
/* Any text as a time, a duration and a size; what is taken is written and read once more. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "connhist/base/timetext.h"

#define TEXT_MAX 256
#define NOW_MS   INT64_C(1763800000123)
#define LAST_MS  INT64_C(253402300799999) /* the end of 9999 */

static void check_refusal(int r, int64_t value, const struct err *err)
{
    assert(r == -EINVAL && err->code == r);
    assert(value == -77);
    assert(strstr(err->text, "column ") && !strchr(err->text, '\n'));
}

static void try_time(const char *text, bool utc)
{
    int64_t ms = -77, again = -77;
    char buf[TIME_TEXT_MAX];
    struct err err = {0};
    int r = time_parse(text, NOW_MS, utc, &ms, &err);

    if (r < 0) {
        check_refusal(r, ms, &err);
        return;
    }
    assert(ms >= 0 && ms <= LAST_MS);
    assert(time_parse(time_format(ms, true, true, buf), 0, utc, &again, NULL) == 0);
    assert(again == ms);
}

static void try_duration(const char *text)
{
    int64_t ms = -77, again = -77;
    char buf[TIME_TEXT_MAX];
    struct err err = {0};
    int r = duration_parse(text, &ms, &err);

    if (r < 0) {
        check_refusal(r, ms, &err);
        return;
    }
    assert(ms >= 0);
    assert(duration_parse(duration_format(ms, buf), &again, NULL) == 0);
    assert(again <= ms);
}

static void try_size(const char *text)
{
    char buf[TIME_TEXT_MAX];
    int64_t bytes = -77;
    struct err err = {0};
    int r = size_parse(text, &bytes, &err);

    if (r < 0) {
        check_refusal(r, bytes, &err);
        return;
    }
    assert(bytes >= 0);
    assert(*size_format(bytes, buf));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;

    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    try_time(text, true);
    try_time(text, false);
    try_duration(text);
    try_size(text);
    return 0;
}
