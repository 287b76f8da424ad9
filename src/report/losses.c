/* SPDX-License-Identifier: MIT */
#include "losses.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "connhist/store/db.h"

static const char losses_sql[] = "SELECT from_ms, until_ms, kind, count, text FROM losses "
                                 "WHERE until_ms >= ?1 AND from_ms <= ?2 ORDER BY until_ms";

static struct noted_loss read_loss(struct stmt *stmt)
{
    struct noted_loss noted = {
        .loss =
            {
                .from_ms = stmt_i64(stmt, 0),
                .until_ms = stmt_i64(stmt, 1),
                .kind = (uint8_t)stmt_i64(stmt, 2),
                .count = (uint64_t)stmt_i64(stmt, 3),
            },
    };

    snprintf(noted.loss.text, sizeof(noted.loss.text), "%s", stmt_text(stmt, 4));
    return noted;
}

int losses_load(struct noted_losses *losses, struct db *db, int64_t from_ms, int64_t until_ms,
                struct err *err)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t earliest_ms = INT64_MAX;
    int r;

    r = db_prepare(db, losses_sql, &stmt, err);
    if (r < 0)
        return r;
    stmt_bind_i64(stmt, 1, from_ms);
    stmt_bind_i64(stmt, 2, until_ms);
    while ((r = stmt_step(stmt, err)) > 0)
        if (vec_push(losses, read_loss(stmt)) < 0)
            return err_errno(err, -ENOMEM, "reading what was lost");
    for (size_t i = losses->n; i-- > 0;) {
        if (losses->items[i].loss.from_ms < earliest_ms)
            earliest_ms = losses->items[i].loss.from_ms;
        losses->items[i].earliest_ms = earliest_ms;
    }
    return r;
}

/* The first loss that ends behind an instant. */
static size_t first_behind(const struct noted_losses *losses, int64_t at_ms)
{
    size_t low = 0, high = losses->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (losses->items[middle].loss.until_ms <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many of a loss's ticks fall into the span. */
static int64_t share(const struct loss *loss, int64_t from_ms, int64_t until_ms)
{
    int64_t begin_ms = loss->from_ms > from_ms ? loss->from_ms : from_ms;
    int64_t end_ms = loss->until_ms < until_ms ? loss->until_ms : until_ms;

    if (begin_ms > end_ms)
        return 0;
    if (loss->until_ms <= loss->from_ms || (begin_ms == loss->from_ms && end_ms == loss->until_ms))
        return (int64_t)loss->count;
    return (int64_t)((double)loss->count * (double)(end_ms - begin_ms) /
                         (double)(loss->until_ms - loss->from_ms) +
                     0.5);
}

int64_t losses_missed(const struct noted_losses *losses, int64_t from_ms, int64_t until_ms)
{
    int64_t missed = 0;

    for (size_t i = 0; i < losses->n; i++) {
        const struct loss *loss = &losses->items[i].loss;

        if (loss_kind_misses(loss->kind))
            missed += share(loss, from_ms, until_ms);
    }
    return missed;
}

/* Appends one cause behind those that stand there already. */
__attribute__((format(printf, 3, 4))) static void add_cause(char *buf, size_t size,
                                                            const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;

    if (n > 0 && n + 2 < size) {
        memcpy(buf + n, ", ", 3);
        n += 2;
    }
    va_start(args, format);
    vsnprintf(buf + n, size - n, format, args);
    va_end(args);
}

void losses_reason(const struct noted_losses *losses, int64_t from_ms, int64_t until_ms, char *buf,
                   size_t size)
{
    bool seen[LOSS_RECORDER_DIED + 1] = {false};
    const char *text = NULL;
    uint64_t ticks = 0;

    for (size_t i = first_behind(losses, from_ms);
         i < losses->n && losses->items[i].earliest_ms < until_ms; i++) {
        const struct loss *loss = &losses->items[i].loss;

        if (loss->from_ms >= until_ms || loss->kind >= sizeof(seen) / sizeof(seen[0]))
            continue;
        seen[loss->kind] = true;
        if (loss->kind == LOSS_TICKS_MISSED)
            ticks += loss->count;
        if (loss->kind == LOSS_WRITE_FAILED && loss->text[0])
            text = loss->text;
    }
    buf[0] = '\0';
    if (ticks)
        add_cause(buf, size, "%" PRIu64 " tick%s missed", ticks, ticks == 1 ? "" : "s");
    if (seen[LOSS_DUMP_FAILED])
        add_cause(buf, size, "dump failed");
    if (seen[LOSS_QUEUE_FULL])
        add_cause(buf, size, "disk could not keep up");
    if (seen[LOSS_WRITE_FAILED])
        add_cause(buf, size, "file could not be written%s%s", text ? ": " : "", text ? text : "");
}
