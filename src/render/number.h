/* SPDX-License-Identifier: MIT */
/* Numbers as machines read them, whatever the locale. */
#pragma once

#define NUMBER_TEXT_MAX 32

/* Writes the shortest decimal number that reads back as the same value, with a point. Must be
 * finite. Returns buf. */
const char *number_format(double value, char buf[static NUMBER_TEXT_MAX]);

/* Writes a number for people: two decimals, with a point. Returns buf. */
const char *number_format_short(double value, char buf[static NUMBER_TEXT_MAX]);

/* Writes a rate, which must not be negative, for people: one decimal below 10, none above. Returns
 * buf. */
const char *number_format_rate(double value, char buf[static NUMBER_TEXT_MAX]);
