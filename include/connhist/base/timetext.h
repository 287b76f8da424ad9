/* SPDX-License-Identifier: MIT */
/* Times, durations and sizes as people write them (forms as in systemd.time(7)). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/err.h"

#define TIME_TEXT_MAX 48

/* Reads an instant: `2026-11-22 03:14[:05[.123]]`, `2026-11-22`, RFC 3339 (`2026-11-22T03:14:05Z`,
 * with offsets), `03:14[:05]` (today), `today`, `yesterday`, `tomorrow`, each optionally followed
 * by a time of day, `now`, `2h ago`, `-2h`, `+5m`, `@1763800000[.5]`. Days begin at midnight, local
 * time unless utc. A local time that a clock change skipped is refused; one that exists twice is
 * the first. now_ms and *ret_ms: milliseconds since 1970 UTC. -EINVAL: not understood, out of range
 * (years 1970 to 9999): err says where and which forms are. */
int time_parse(const char *text, int64_t now_ms, bool utc, int64_t *ret_ms, struct err *err);

/* Reads a duration: one or more of NUMBER UNIT, units ms s m h d w and their long names
 * (sec, second(s), min, minute(s), hour(s), day(s), week(s)): `500ms`, `10s`, `1h30m`, `1.5h`.
 * A bare number is refused, except 0. *ret_ms >= 0. -EINVAL with the place and the forms. */
int duration_parse(const char *text, int64_t *ret_ms, struct err *err);

/* Reads a size in bytes: `4096`, `512KiB`, `1GiB`, `1.5MiB`, `10MB` (powers of 10), `64K` (powers
 * of 2). -EINVAL with the place and the forms. */
int size_parse(const char *text, int64_t *ret_bytes, struct err *err);

/* Writes "2026-11-22 03:14:05" in local time, or "2026-11-22T03:14:05Z" if utc; with_ms adds
 * ".123". Returns buf. */
const char *time_format(int64_t ms, bool utc, bool with_ms, char buf[static TIME_TEXT_MAX]);

/* Writes a duration for people, two units at most: "850ms", "12s", "3m20s", "4h05m", "12d03h".
 * Negative values get a leading '-'. Returns buf. */
const char *duration_format(int64_t ms, char buf[static TIME_TEXT_MAX]);

/* Writes a size for people: "812 B", "1.4 MiB". Returns buf. */
const char *size_format(int64_t bytes, char buf[static TIME_TEXT_MAX]);
