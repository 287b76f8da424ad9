/* SPDX-License-Identifier: MIT */
/* Which interfaces were there while counters grew. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/vec.h"
#include "connhist/model/interface.h"
#include "connhist/report/tables_past.h"
#include "connhist/store/db.h"
#include "counted.h"

#define PREFIX "interface."

static const char *const stats[] = {
#define NAME(stat) #stat,
    COUNTED_STATS(NAME)
#undef NAME
};

/* "interface.eth0." */
struct beginning {
    char text[32];
};

struct present {
    VEC_FIELDS(struct beginning); /* each once; owned */
};

static void finish_present(struct present *present)
{
    vec_finish(present);
}

static bool has(const struct present *present, const char *counter)
{
    const char *dot = strrchr(counter, '.');
    size_t length = dot ? (size_t)(dot - counter) + 1 : 0;

    for (size_t i = 0; i < present->n; i++)
        if (strlen(present->items[i].text) == length &&
            strncmp(present->items[i].text, counter, length) == 0)
            return true;
    return false;
}

static int add(struct present *present, const char *name)
{
    struct beginning one;

    snprintf(one.text, sizeof(one.text), PREFIX "%.*s.", INTERFACE_NAME_MAX - 1, name);
    return has(present, one.text) ? 0 : vec_push(present, one);
}

static int load_present(struct db *db, const struct counted_spans *spans,
                        const struct growth *growth, struct present *ret, struct err *err)
{
    /* what was there when its namespace was recorded last has no end of its own */
    static const char sql[] =
        "SELECT DISTINCT i.name FROM interfaces AS i WHERE i.netns = ?1 AND i.has_stats AND "
        "i.from_ms <= ?3 AND coalesce(i.until_ms, (SELECT iif(count(*) = count(s.until_ms), "
        "max(s.until_ms), NULL) FROM netns_spans AS s WHERE s.netns = i.netns), ?3 + 1) > ?2";
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int r = db_prepare(db, sql, &stmt, err);

    for (size_t i = 0; i < spans->n && r >= 0; i++) {
        stmt_reset(stmt);
        stmt_bind_i64(stmt, 1, spans->items[i].netns);
        stmt_bind_i64(stmt, 2, growth->record_from_ms);
        stmt_bind_i64(stmt, 3, growth->record_until_ms);
        while ((r = stmt_step(stmt, err)) > 0)
            if (add(ret, stmt_text(stmt, 0)) < 0)
                return err_errno(err, -ENOMEM, "reading the interfaces");
    }
    return r;
}

/* Where interfaces that have gone are removed, those that moved were there. */
static int add_moved(const struct growth *growth, struct present *present)
{
    for (size_t i = 0; i < growth->n; i++) {
        const struct grown_counter *one = &growth->items[i];
        const char *dot = strrchr(one->name, '.');
        char name[INTERFACE_NAME_MAX];

        if (one->protocol || one->grown.grew == 0 || !dot || has(present, one->name))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(dot - one->name - strlen(PREFIX)),
                 one->name + strlen(PREFIX));
        if (add(present, name) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int add_unmoved(struct growth *growth, const struct present *present)
{
    size_t n = growth->n;

    for (size_t i = 0; i < present->n; i++)
        for (size_t j = 0; j < sizeof(stats) / sizeof(stats[0]); j++) {
            struct grown_counter one = {.kind = COUNTER_TOTAL};
            bool found = false;

            snprintf(one.name, sizeof(one.name), "%s%s", present->items[i].text, stats[j]);
            for (size_t k = 0; k < n && !found; k++)
                found = strcmp(growth->items[k].name, one.name) == 0;
            if (!found && vec_push(growth, one) < 0)
                return -ENOMEM;
        }
    return 0;
}

int grown_choose_interfaces(struct db *db, const struct counted_spans *spans, int64_t rows_from_ms,
                            struct growth *growth, struct err *err)
{
    _cleanup_(finish_present) struct present present = {0};
    size_t n = 0;
    int r = load_present(db, spans, growth, &present, err);

    if (r < 0)
        return r;
    if (rows_from_ms < spans->minutes_from_ms && add_moved(growth, &present) < 0)
        return err_errno(err, -ENOMEM, "reading the interfaces");
    for (size_t i = 0; i < growth->n; i++)
        if (growth->items[i].protocol || has(&present, growth->items[i].name))
            growth->items[n++] = growth->items[i];
    growth->n = n;
    return add_unmoved(growth, &present) < 0 ? err_errno(err, -ENOMEM, "reading the interfaces")
                                             : 0;
}
