/* SPDX-License-Identifier: MIT */
/* connhist list: sockets with their lives. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "connhist/model/life.h"
#include "connhist/render/text.h"
#include "connhist/report/coverage.h"
#include "connhist/report/sockets.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"
#include "pager.h"
#include "question.h"
#include "socket_table.h"

#define LIMIT_MAX INT64_MAX
#define GAPS_TOLD 5

static const struct option_row rows[] = {
    ROW_PORT("only with these ports at either end: 80, 80,443,\n8000-8010, http, 53/udp"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME",
     "only tcp or udp; tcpv4, udpv4, tcpv6, udpv6: only\nthose of one family"},
    ROW_PEER,
    ROW_LOCAL,
    ROW_STATE("only those that were ever in one of these states\nduring that time"),
    ROW_ROLE,
    ROWS_OWNER,
    ROW_SINCE,
    ROW_UNTIL,
    {OPT_OPEN, REPEAT_LAST, 0, "open", NULL, "only those that are still open"},
    {OPT_CLOSED_BY, REPEAT_ADDS, 0, "closed-by", "LIST",
     "only those that ended so: local, remote, reset,\ntimeout, unknown"},
    {OPT_LIMIT, REPEAT_NOT, 0, "limit", "N", "at most N rows, 0: all (0)"},
    ROW_NETNS,
    ROW_NO_PAGER,
};

/* Adds "local,reset" to the bits of enum closed_by. */
static int add_closed_by(const char *text, unsigned *bits)
{
    for (const char *word = text;; word++) {
        size_t n = strcspn(word, ",");
        unsigned by = CLOSED_BY_UNKNOWN;

        while (by <= CLOSED_BY_TIMEOUT &&
               (strlen(closed_by_name(by)) != n || strncasecmp(closed_by_name(by), word, n) != 0))
            by++;
        if (by > CLOSED_BY_TIMEOUT)
            return wrong_usage("--closed-by %.*s is not known; there are local, remote, reset, "
                               "timeout, unknown",
                               (int)n, word);
        *bits |= 1U << by;
        word += n;
        if (!*word)
            return EXIT_ANSWERED;
    }
}

static int read_closed_by(struct context *ctx, struct list_question *question)
{
    int status = EXIT_ANSWERED;

    for (size_t i = 0; i < ctx->options.n && status == EXIT_ANSWERED; i++)
        if (ctx->options.items[i].id == OPT_CLOSED_BY)
            status = add_closed_by(ctx->options.items[i].text, &question->closed_by);
    if (status == EXIT_ANSWERED && question->closed_by && question->open_only)
        return wrong_usage("--open and --closed-by exclude each other: what is open and closed is "
                           "in TIME_WAIT: --open --state time-wait");
    return status;
}

static int read_question(struct context *ctx, struct list_question *question, uint64_t *ret_limit)
{
    int status = question_filter(ctx, true, &question->filter);

    if (status == EXIT_ANSWERED)
        status = question_span(ctx, &question->since_ms, &question->until_ms);
    if (status == EXIT_ANSWERED)
        status = question_number(ctx, OPT_LIMIT, LIMIT_MAX, ret_limit);
    if (status == EXIT_ANSWERED)
        status = context_names(ctx);
    question->open_only = options_has(&ctx->options, OPT_OPEN);
    if (status == EXIT_ANSWERED)
        status = read_closed_by(ctx, question);
    return status;
}

static int read_coverage(struct context *ctx, const struct list_question *question,
                         struct coverage *ret)
{
    int64_t from_ms, until_ms, unused;
    struct err err = {0};

    walltime_to_record(&ctx->walltime, question->since_ms, &from_ms, &unused);
    walltime_to_record(&ctx->walltime, question->until_ms, &unused, &until_ms);
    if (coverage_load_in(ctx->db, &ctx->walltime, &question->filter, from_ms, until_ms, ret, NULL,
                         NULL, &err) < 0 ||
        coverage_add_pruned(ctx->db, &ctx->walltime, TIER_DETAIL, from_ms, until_ms, ret, &err) < 0)
        return cannot_answer("%s", err.text);
    return EXIT_ANSWERED;
}

static int put_rows(struct context *ctx, const struct list_question *question,
                    const struct coverage *coverage, struct socket_table *table)
{
    const struct field fields[] = {
        {"since_ms", cell_time(question->since_ms)},
        {"until_ms", cell_time(question->until_ms)},
    };
    const struct document document = {
        .schema = "connhist/list/1", .fields = fields, .n_fields = 2, .coverage = coverage};
    struct err err = {0};
    int r, status = socket_table_choose_netns(table, ctx, &question->filter);

    if (status == EXIT_ANSWERED)
        status = socket_table_begin(table, ctx, &document);
    if (status != EXIT_ANSWERED)
        return status;
    r = sockets_list(ctx->db, &ctx->walltime, question, socket_table_row, table, &err);
    if (r < 0 && r != -ECANCELED)
        return cannot_answer("%s", err.text);
    status = socket_table_end(table);
    if (status == EXIT_ANSWERED && ctx->format == FORMAT_TABLE) {
        coverage_print(stdout, coverage, ctx->utc, GAPS_TOLD, context_width());
        status = output_finish();
    }
    return status;
}

static int list_run(struct context *ctx)
{
    _cleanup_(socket_table_finish) struct socket_table table = {.kind = SOCKETS_LIST};
    _cleanup_(coverage_finish) struct coverage coverage = {0};
    struct list_question question = {0};
    int status = read_question(ctx, &question, &table.limit);

    if (status == EXIT_ANSWERED)
        status = read_coverage(ctx, &question, &coverage);
    if (status != EXIT_ANSWERED)
        return status;
    question.limit = table.limit ? table.limit + 1 : 0; /* one more tells that there are more */
    table.names = ctx->names;
    table.open_only = question.open_only;
    pager_start(ctx);
    status = put_rows(ctx, &question, &coverage, &table);
    if (status != EXIT_ANSWERED)
        return status;
    if (table.cut)
        complain("only the first %llu rows are shown, there are more: raise --limit",
                 (unsigned long long)table.limit);
    coverage_tell_detail(&coverage, true);
    coverage_tell_pruned(ctx, &coverage);
    if (table.rows == 0 && coverage.details != COVERAGE_DETAIL_OFF)
        coverage_nothing(ctx, &coverage, "socket", NULL, question.since_ms, question.until_ms);
    else
        coverage_warn(ctx, &coverage);
    return status;
}

static int list_check(struct context *ctx)
{
    struct list_question question = {0};
    uint64_t limit = 0;

    return read_question(ctx, &question, &limit);
}

const struct command cmd_list = {
    .name = "list",
    .args = "",
    .summary = "sockets with their lives: opened, states, closed",
    .notes = "Sockets that were open at some instant of the time asked for, in the order in\n"
             "which they were first seen.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .run = list_run,
    .check = list_check,
};
