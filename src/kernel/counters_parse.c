/* SPDX-License-Identifier: MIT */
#include "counters_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A part of the text. */
struct span {
    const char *at;
    size_t n; /* bytes */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next line off `rest`; false at the end. */
static bool take_line(struct span *rest, struct span *ret)
{
    const char *end;

    if (rest->n == 0)
        return false;
    end = memchr(rest->at, '\n', rest->n);
    *ret = (struct span){rest->at, end ? (size_t)(end - rest->at) : rest->n};
    rest->at += ret->n + (end ? 1 : 0);
    rest->n -= ret->n + (end ? 1 : 0);
    return true;
}

/* Takes the next word off `rest`; false where there is none. */
static bool take_word(struct span *rest, struct span *ret)
{
    while (rest->n > 0 && is_blank(*rest->at)) {
        rest->at++;
        rest->n--;
    }
    *ret = (struct span){rest->at, 0};
    while (rest->n > 0 && !is_blank(*rest->at)) {
        rest->at++;
        rest->n--;
        ret->n++;
    }
    return ret->n > 0;
}

/* "Tcp:" becomes "Tcp". */
static bool take_group(struct span *line, struct span *ret)
{
    if (!take_word(line, ret) || ret->n < 2 || ret->at[ret->n - 1] != ':')
        return false;
    ret->n--;
    return true;
}

/* 0; -EINVAL: no number; -ERANGE: beyond int64. */
static int read_number(const struct span *word, int64_t *ret)
{
    bool negative = word->n > 1 && word->at[0] == '-', beyond = false;
    int64_t value = 0;

    for (size_t i = negative; i < word->n; i++) {
        char c = word->at[i];

        if (c < '0' || c > '9')
            return -EINVAL;
        beyond |= __builtin_mul_overflow(value, 10, &value) ||
                  __builtin_sub_overflow(value, c - '0', &value);
    }
    /* Digits are taken off, not put on: there is one more number below zero than above. */
    if (beyond || (!negative && value == INT64_MIN))
        return -ERANGE;
    *ret = negative ? value : -value;
    return 0;
}

static int add(struct counter_table *table, const struct span *group, const struct span *name,
               const struct span *number)
{
    int64_t value;
    int r = read_number(number, &value);

    if (r == -ERANGE)
        table->n_left_out++;
    if (r < 0)
        return 0;
    return counter_table_add(table, group->at, group->n, name->at, name->n, value);
}

static int add_columns(struct counter_table *table, const struct span *group, struct span names,
                       struct span values)
{
    struct span name, value;

    while (take_word(&names, &name) && take_word(&values, &value)) {
        int r = add(table, group, &name, &value);

        if (r < 0)
            return r;
    }
    return 0;
}

static bool same_span(const struct span *a, const struct span *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* A line of values follows the one with their names, and begins alike. */
static int parse_pairs(struct span rest, struct counter_table *table)
{
    struct span line, group, names = {0}, names_group = {0};

    while (take_line(&rest, &line)) {
        int r;

        if (!take_group(&line, &group))
            continue;
        if (!names_group.n || !same_span(&group, &names_group)) {
            names_group = group;
            names = line;
            continue;
        }
        r = add_columns(table, &group, names, line);
        if (r < 0)
            return r;
        names_group.n = 0;
    }
    return 0;
}

/* "Ip6InReceives": the group ends with the first 6. */
static int parse_lines(struct span rest, struct counter_table *table)
{
    struct span line, name, value;

    while (take_line(&rest, &line)) {
        struct span group = {"snmp6", 5};
        const char *six;
        int r;

        if (!take_word(&line, &name) || !take_word(&line, &value))
            continue;
        six = memchr(name.at, '6', name.n);
        if (six && six + 1 < name.at + name.n) {
            group = (struct span){name.at, (size_t)(six + 1 - name.at)};
            name = (struct span){six + 1, name.n - group.n};
        }
        r = add(table, &group, &name, &value);
        if (r < 0)
            return r;
    }
    return 0;
}

static int parse_sockstat(struct span rest, struct counter_table *table)
{
    struct span line, told, name, value;

    while (take_line(&rest, &line)) {
        char text[COUNTER_NAME_MAX] = "sockstat.";
        struct span group = {text, strlen(text)};

        if (!take_group(&line, &told) || told.n >= sizeof(text) - group.n)
            continue;
        memcpy(text + group.n, told.at, told.n);
        group.n += told.n;
        while (take_word(&line, &name) && take_word(&line, &value)) {
            int r = add(table, &group, &name, &value);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

int counters_parse(enum counters_format format, const char *text, size_t n,
                   struct counter_table *table)
{
    const struct span all = {text, n};

    switch (format) {
    case COUNTERS_PAIRS:
        return parse_pairs(all, table);
    case COUNTERS_LINES:
        return parse_lines(all, table);
    default:
        return parse_sockstat(all, table);
    }
}
