/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "connhist/report/coverage.h"
#include "connhist/report/sockets.h"

#include "complain.h"
#include "coverage_words.h"
#include "export_rows.h"
#include "socket_table.h"

#define PART_MS INT64_C(21600000) /* as much time is in memory at once */

/* A span is shown in parts, one after the other: each has the sockets that were first seen in it, the
 * first one those before, too. */
struct parts {
    struct socket_table table;
    int64_t from_ms;  /* of the part at hand, wall time */
    int64_t until_ms; /* ...; the last one ends with the span */
    bool is_first, is_last;
};

static void finish(struct parts *parts)
{
    socket_table_finish(&parts->table);
}

static int put_row(void *arg, const struct socket_row *row)
{
    struct parts *parts = arg;

    if ((!parts->is_first && row->first_seen_ms < parts->from_ms) ||
        (!parts->is_last && row->first_seen_ms >= parts->until_ms))
        return 0;
    return socket_table_row(&parts->table, row);
}

static int put_parts(struct context *ctx, struct parts *parts, const struct filter *filter,
                     int64_t since_ms, int64_t until_ms)
{
    struct err err = {0};
    int r = 0;

    for (int64_t from_ms = since_ms; from_ms < until_ms && r >= 0; from_ms += PART_MS) {
        struct list_question question = {
            .filter = *filter, .since_ms = from_ms, .until_ms = until_ms};

        parts->is_first = from_ms == since_ms;
        parts->is_last = until_ms - from_ms <= PART_MS;
        parts->from_ms = from_ms;
        if (!parts->is_first) /* what was there at the border's instant alone is in no part else */
            question.since_ms = from_ms - 1;
        if (!parts->is_last)
            question.until_ms = from_ms + PART_MS;
        parts->until_ms = question.until_ms;
        r = sockets_list(ctx->db, &ctx->walltime, &question, put_row, parts, &err);
    }
    if (r < 0 && r != -ECANCELED)
        return cannot_answer("%s", err.text);
    return socket_table_end(&parts->table);
}

int export_sockets(struct context *ctx, const struct filter *filter, int64_t since_ms,
                   int64_t until_ms)
{
    _cleanup_(coverage_finish) struct coverage coverage = {0};
    _cleanup_(finish) struct parts parts = {.table = {.kind = SOCKETS_LIST}};
    const struct document document = {.schema = "connhist/list/1", .coverage = &coverage};
    int64_t from_ms, end_ms, unused;
    struct err err = {0};
    int status;

    walltime_to_record(&ctx->walltime, since_ms, &from_ms, &unused);
    walltime_to_record(&ctx->walltime, until_ms, &unused, &end_ms);
    if (coverage_load_in(ctx->db, &ctx->walltime, filter, from_ms, end_ms, &coverage, NULL, NULL,
                         &err) < 0 ||
        coverage_add_pruned(ctx->db, &ctx->walltime, TIER_DETAIL, from_ms, end_ms, &coverage,
                            &err) < 0)
        return cannot_answer("%s", err.text);
    status = socket_table_begin(&parts.table, ctx, &document);
    if (status == EXIT_ANSWERED)
        status = put_parts(ctx, &parts, filter, since_ms, until_ms);
    if (status != EXIT_ANSWERED)
        return status;
    coverage_tell_detail(&coverage, true);
    coverage_tell_pruned(ctx, &coverage);
    coverage_warn(ctx, &coverage);
    return status;
}
