/* SPDX-License-Identifier: MIT */
/* Which counter a word means. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"
#include "counted.h"

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && dot[1] ? dot + 1 : name;
}

/* How well a name fits: 0 not at all. What is written as the kernel does goes before what is only
 * alike, and a whole name before its end. */
static unsigned fit(const char *name, const char *word)
{
    if (strcmp(name, word) == 0)
        return 4;
    if (counter_compare_names(name, word) == 0)
        return 3;
    if (strcmp(last_part(name), word) == 0)
        return 2;
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.'))
        if (dot[1] && counter_compare_names(dot + 1, word) == 0)
            return 1;
    return 0;
}

/* How many single letters differ (Levenshtein), with no regard to case, or 0 where one holds the
 * other. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    unsigned row[COUNTER_NAME_MAX + 1];

    if (n > COUNTER_NAME_MAX)
        return UINT32_MAX;
    if (strcasestr(a, b) || strcasestr(b, a))
        return 0;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + ((*a | 32) != (b[j - 1] | 32));

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

/* Interfaces that never moved have no names in the file, and are as well known. */
#define STAT_VALUE(stat) ", ('" #stat "')"
static const char names_sql[] = "WITH stats (stat) AS (VALUES (NULL)" COUNTED_STATS(
    STAT_VALUE) ") "
                "SELECT name, kind, protocol = 0 AS links FROM counter_names UNION "
                "SELECT 'interface.' || i.name || '.' || s.stat, 0, 1 FROM (SELECT DISTINCT name "
                "FROM "
                "interfaces WHERE has_stats) AS i, stats AS s WHERE s.stat IS NOT NULL ORDER BY "
                "links, name";

#define PREFIX "interface."

/* "eth0" of "interface.eth0.rx_bytes"; false: it is not of an interface. */
static bool interface_of(const char *name, char ret[static COUNTER_NAME_MAX])
{
    const char *begin, *dot;

    if (strncasecmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    begin = name + strlen(PREFIX);
    dot = strrchr(begin, '.');
    snprintf(ret, COUNTER_NAME_MAX, "%.*s", (int)(dot ? (size_t)(dot - begin) : strlen(begin)),
             begin);
    return *ret != '\0';
}

/* How unlike a name is what was asked for: its end before its begin. */
static unsigned unlikeness(const char *name, const char *word)
{
    const char *end = last_part(name), *word_end = last_part(word);
    char head[COUNTER_NAME_MAX], word_head[COUNTER_NAME_MAX];
    unsigned heads, ends = distance(end, word_end);

    snprintf(head, sizeof(head), "%.*s", (int)(end - name), name);
    snprintf(word_head, sizeof(word_head), "%.*s", (int)(word_end - word), word);
    heads = distance(head, word_head);
    return (ends < 2 * COUNTER_NAME_MAX ? ends : 2 * COUNTER_NAME_MAX) * COUNTER_NAME_MAX +
           (heads < COUNTER_NAME_MAX ? heads : COUNTER_NAME_MAX - 1);
}

static void keep_near(struct counter_names *ret, unsigned distances[static COUNTER_NAMES_MAX],
                      const char *name, unsigned d)
{
    size_t at = ret->n_near;

    while (at > 0 && distances[at - 1] > d)
        at--;
    if (at == COUNTER_NAMES_MAX)
        return;
    ret->n_near += ret->n_near < COUNTER_NAMES_MAX;
    for (size_t i = ret->n_near - 1; i > at; i--) {
        distances[i] = distances[i - 1];
        memcpy(ret->names[i], ret->names[i - 1], COUNTER_NAME_MAX);
    }
    distances[at] = d;
    snprintf(ret->names[at], COUNTER_NAME_MAX, "%s", name);
}

/* Of an interface that there never was, those that there are; else names that are like it. */
static int find_near(struct db *db, const char *word, struct counter_names *ret, struct err *err)
{
    unsigned distances[COUNTER_NAMES_MAX];
    char asked[COUNTER_NAME_MAX] = "", last[COUNTER_NAME_MAX] = "", one[COUNTER_NAME_MAX];
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    bool of_interface = interface_of(word, asked), known = false;
    int r = db_prepare(db, names_sql, &stmt, err);

    while (r >= 0 && of_interface && !known && (r = stmt_step(stmt, err)) > 0)
        known = interface_of(stmt_text(stmt, 0), one) && strcasecmp(one, asked) == 0;
    if (r >= 0)
        stmt_reset(stmt);
    snprintf(ret->interface, sizeof(ret->interface), "%s", of_interface && !known ? asked : "");
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        const char *name = stmt_text(stmt, 0);
        bool is_link = interface_of(name, one);

        if (of_interface && !(is_link && (!known || strcasecmp(one, asked) == 0)))
            continue;
        if (!of_interface || known) {
            keep_near(ret, distances, name, unlikeness(name, word));
        } else if (strcmp(one, last) != 0) { /* its counters follow each other */
            keep_near(ret, distances, one, distance(one, asked));
            snprintf(last, sizeof(last), "%s", one);
            ret->n_interfaces++;
        }
    }
    return r;
}

int counter_names_find(struct db *db, const char *word, struct counter_names *ret, struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    unsigned best = 1;
    int r = db_prepare(db, names_sql, &stmt, err);

    *ret = (struct counter_names){0};
    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        unsigned fits = fit(stmt_text(stmt, 0), word);

        ret->any = true;
        if (fits < best)
            continue;
        if (fits > best)
            ret->n = 0;
        best = fits;
        ret->gauge = stmt_i64(stmt, 1) != 0;
        if (ret->n < COUNTER_NAMES_MAX)
            snprintf(ret->names[ret->n], COUNTER_NAME_MAX, "%s", stmt_text(stmt, 0));
        ret->n++;
    }
    return r < 0 || ret->n ? r : find_near(db, word, ret, err);
}
