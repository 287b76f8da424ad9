/* SPDX-License-Identifier: MIT */
/* Which counter a word means. */
#include <stdio.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/strutil.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"

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

static int find_near(struct db *db, const char *word, struct counter_names *ret, struct err *err)
{
    static const char sql[] = "SELECT name FROM counter_names WHERE protocol > 0 ORDER BY name";
    unsigned distances[COUNTER_NAMES_MAX];
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    while (r >= 0 && (r = stmt_step(stmt, err)) > 0) {
        unsigned d = distance(last_part(stmt_text(stmt, 0)), last_part(word));
        size_t at = ret->n_near;

        while (at > 0 && distances[at - 1] > d)
            at--;
        if (at == COUNTER_NAMES_MAX)
            continue;
        ret->n_near += ret->n_near < COUNTER_NAMES_MAX;
        for (size_t i = ret->n_near - 1; i > at; i--) {
            distances[i] = distances[i - 1];
            memcpy(ret->names[i], ret->names[i - 1], COUNTER_NAME_MAX);
        }
        distances[at] = d;
        snprintf(ret->names[at], COUNTER_NAME_MAX, "%s", stmt_text(stmt, 0));
    }
    return r;
}

int counter_names_find(struct db *db, const char *word, struct counter_names *ret, struct err *err)
{
    static const char sql[] = "SELECT name, kind FROM counter_names ORDER BY name";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    unsigned best = 1;
    int r = db_prepare(db, sql, &stmt, err);

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
