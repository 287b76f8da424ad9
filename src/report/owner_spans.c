/* SPDX-License-Identifier: MIT */
#include "owner_spans.h"

#include <errno.h>

#include "connhist/store/db.h"
#include "connhist/store/file.h"
#include "stored_life.h"

static const char sql[] =
    "SELECT c.until_ms, c.owner, w.process IS NULL FROM owner_changes AS c "
    "LEFT JOIN owners AS w ON w.id = c.owner WHERE c.life = ?1 ORDER BY c.until_ms";

void owner_spans_init(struct owner_spans *spans, struct db *db)
{
    spans->db = db;
}

void owner_spans_finish(struct owner_spans *spans)
{
    stmt_free(spans->stmt);
    vec_finish(&spans->items);
    *spans = (struct owner_spans){0};
}

static int add(struct owner_spans *spans, const struct owner_span *span, struct err *err)
{
    return vec_push(&spans->items, *span) < 0 ? err_errno(err, -ENOMEM, "reading the owners") : 0;
}

/* *span: the first one, with the life's begin; afterwards the last one's begin. */
static int add_earlier(struct owner_spans *spans, const struct stored_life *life,
                       struct owner_span *span, struct err *err)
{
    int r = spans->stmt ? 0 : db_prepare(spans->db, sql, &spans->stmt, err);

    if (r < 0)
        return r;
    stmt_reset(spans->stmt);
    stmt_bind_i64(spans->stmt, 1, life->number);
    while ((r = stmt_step(spans->stmt, err)) > 0) {
        span->until_ms = stmt_i64(spans->stmt, 0);
        span->owner = stmt_i64(spans->stmt, 1);
        span->traits = file_traits_before(life->traits);
        span->between = stmt_i64(spans->stmt, 2);
        if (span->until_ms > span->from_ms)
            r = add(spans, span, err);
        if (r < 0)
            return r;
        if (span->until_ms > span->from_ms)
            span->from_ms = span->until_ms;
    }
    stmt_reset(spans->stmt);
    return r;
}

int owner_spans_read(struct owner_spans *spans, const struct stored_life *life, struct err *err)
{
    struct owner_span span = {.from_ms = life->since_ms};
    int r = 0;

    vec_clear(&spans->items);
    if (file_traits_handed_on(life->traits) && life->number)
        r = add_earlier(spans, life, &span, err);
    if (r < 0)
        return r;
    span.until_ms = life->ended_ms;
    span.owner = life->owner;
    span.traits = life->traits;
    span.between = false;
    return add(spans, &span, err);
}

const struct owner_span *owner_spans_at(const struct owner_spans *spans, int64_t at_ms)
{
    size_t i = 0;

    while (i + 1 < spans->items.n && spans->items.items[i].until_ms <= at_ms)
        i++;
    return &spans->items.items[i];
}

struct stored_life owner_span_life(const struct owner_span *span, const struct stored_life *life)
{
    struct stored_life own = *life;

    own.owner = span->owner;
    own.traits = span->traits;
    return own;
}
