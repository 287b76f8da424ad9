/* SPDX-License-Identifier: MIT */
/* connhist diff: what changed between two instants. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/render/text.h"
#include "connhist/report/coverage.h"
#include "connhist/report/diff.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"
#include "diff_rows.h"
#include "pager.h"
#include "question.h"
#include "snapshot_words.h"
#include "socket_table.h"

#define GAPS_TOLD 5

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static const struct option_row rows[] = {
    {OPT_FROM, REPEAT_NOT, 0, "from", "TIME", "the earlier instant: 03:14, -2h, yesterday 18:00 …"},
    {OPT_TO, REPEAT_NOT, 0, "to", "TIME", "the later one (now: the last snapshot)"},
    {OPT_LISTEN, REPEAT_LAST, 0, "listen", NULL, "only listening ports, TCP and UDP"},
    {OPT_NUMERIC, REPEAT_LAST, 'n', "numeric", NULL, "ports as numbers, not by name"},
    ROW_PORT("only with these ports at either end: 80, 80,443,\n8000-8010, http, 53/udp"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME",
     "only tcp or udp; tcpv4, udpv4, tcpv6, udpv6: only\nthose of one family"},
    ROW_STATE("only those in one of these states at one of both\ninstants"),
    ROW_ROLE,
    ROW_PEER,
    ROW_LOCAL,
    ROWS_OWNER,
    ROW_NETNS,
    ROW_NO_PAGER,
};

/* The question and its answer. */
struct answer {
    struct diff_question question;
    int64_t from_ms; /* asked for, wall time */
    int64_t to_ms;
    struct snapshot_choice from;
    struct snapshot_choice to;
    struct coverage coverage;  /* between both snapshots; owned */
    struct diff *diff;         /* owned */
    struct socket_table table; /* how addresses and ports are shown; owned */
};

static void answer_finish(struct answer *answer)
{
    coverage_finish(&answer->coverage);
    diff_free(answer->diff);
    socket_table_finish(&answer->table);
}

static int read_question(struct context *ctx, struct answer *answer)
{
    int status;

    if (!options_has(&ctx->options, OPT_FROM))
        return wrong_usage("diff needs --from TIME, the earlier instant: --from -2h, "
                           "--from 'yesterday 18:00'");
    answer->to_ms = ctx->now_ms;
    status = question_time(ctx, OPT_FROM, &answer->from_ms);
    if (status == EXIT_ANSWERED)
        status = question_time(ctx, OPT_TO, &answer->to_ms);
    if (status == EXIT_ANSWERED)
        status = question_filter(ctx, true, &answer->question.filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (answer->to_ms > ctx->now_ms)
        return wrong_usage("--to %s is not in the past", options_text(&ctx->options, OPT_TO));
    if (answer->from_ms > ctx->now_ms)
        return wrong_usage("--from %s is not in the past", options_text(&ctx->options, OPT_FROM));
    if (answer->from_ms > answer->to_ms)
        return wrong_usage("--from is later than --to: exchange them");
    answer->question.listen_only = options_has(&ctx->options, OPT_LISTEN);
    if (answer->question.listen_only && answer->question.filter.states)
        return wrong_usage("--listen and --state exclude each other");
    return EXIT_ANSWERED;
}

static int choose(struct context *ctx, struct answer *answer, int64_t at_ms,
                  struct snapshot_choice *ret)
{
    struct err err = {0};

    if (sockets_choose_in(ctx->db, &ctx->walltime, &answer->question.filter, at_ms, ret, &err) < 0)
        return cannot_answer("%s", err.text);
    if (!ret->found)
        return question_no_snapshot(ctx, at_ms, ret->pruned_ms);
    return EXIT_ANSWERED;
}

/* Connections can be compared only where both instants have them, and whole. */
static void check_details(struct answer *answer)
{
    const char *from = answer->from.detail, *to = answer->to.detail;

    if (answer->question.listen_only || (strcmp(from, to) == 0 && strcmp(from, "off") != 0))
        return;
    answer->question.listen_only = true;
    complain(
        "only listening sockets are compared: the record was kept with `detail: %s` at the one "
        "time and `detail: %s` at the other",
        from, to);
}

static int load(struct context *ctx, struct answer *answer)
{
    struct err err = {0};
    int status = choose(ctx, answer, answer->from_ms, &answer->from);

    if (status == EXIT_ANSWERED)
        status = choose(ctx, answer, answer->to_ms, &answer->to);
    if (status != EXIT_ANSWERED)
        return status;
    check_details(answer);
    if (coverage_load_in(ctx->db, &ctx->walltime, &answer->question.filter, answer->from.record_ms,
                         snapshot_covered_until(&answer->to), &answer->coverage, NULL, NULL,
                         &err) < 0 ||
        coverage_add_pruned(ctx->db, &ctx->walltime, TIER_DETAIL, answer->from.record_ms,
                            answer->to.record_ms, &answer->coverage, &err) < 0)
        return cannot_answer("%s", err.text);
    status = socket_table_choose_netns(&answer->table, ctx, &answer->question.filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (diff_load(ctx->db, &ctx->walltime, &answer->question, &answer->from, &answer->to,
                  &answer->diff, &err) < 0)
        return cannot_answer("%s", err.text);
    return EXIT_ANSWERED;
}

static int put_rows(const struct context *ctx, const struct answer *answer,
                    const struct document *document)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    int r, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    r = writer_begin(writer, document);
    for (size_t i = 0; r == 0 && i < diff_count(answer->diff); i++) {
        const struct diff_row row = diff_get(answer->diff, i);

        r = ctx->format == FORMAT_TABLE ? diff_row_for_people(&answer->table, writer, &row)
                                        : diff_row_for_programs(writer, &row);
    }
    if (r == 0)
        r = writer_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

static int put_document(const struct context *ctx, const struct answer *answer)
{
    const struct diff_sums sums = diff_sums(answer->diff);
    const struct snapshot_choice *from = &answer->from, *to = &answer->to;
    const struct field document_fields[] = {
        {"from_ms", cell_time(answer->from_ms)},
        {"from_snapshot_ms", cell_time(from->snapshot_ms)},
        {"from_distance_ms", cell_int(from->distance_ms)},
        {"from_in_gap", cell_int(from->in_gap)},
        {"to_ms", cell_time(answer->to_ms)},
        {"to_snapshot_ms", cell_time(to->snapshot_ms)},
        {"to_distance_ms", cell_int(to->distance_ms)},
        {"to_in_gap", cell_int(to->in_gap)},
        {"sockets_before", cell_int((int64_t)sums.before)},
        {"sockets_after", cell_int((int64_t)sums.after)},
        {"opened", cell_int((int64_t)sums.opened)},
        {"closed", cell_int((int64_t)sums.closed)},
        {"changed", cell_int((int64_t)sums.changed)},
        {"listen_only", cell_int(answer->question.listen_only)},
    };
    struct document document = {
        .schema = "connhist/diff/1",
        .fields = document_fields,
        .n_fields = SUM(document_fields),
        .coverage = &answer->coverage,
    };

    document.columns =
        diff_columns(&answer->table, ctx->format == FORMAT_TABLE, &document.n_columns);
    return put_rows(ctx, answer, &document);
}

/* "Snapshot of 2026-11-22 03:14:00, 4s before 03:14:04" */
static void print_instant(const struct context *ctx, const char *word,
                          const struct snapshot_choice *choice, int64_t at_ms)
{
    char shown[TIME_TEXT_MAX], distance[DISTANCE_MAX];

    time_format(choice->snapshot_ms, ctx->utc, true, shown);
    context_say("%s snapshot of %s, %s%s", word, shown,
                snapshot_distance(ctx, choice->distance_ms, at_ms, distance),
                choice->in_gap ? ": NOTHING WAS RECORDED AT THAT TIME" : "");
}

static void print_sums(const struct diff_sums *sums)
{
    context_say("%llu sockets before, %llu after: %llu opened, %llu closed, %llu changed",
                (unsigned long long)sums->before, (unsigned long long)sums->after,
                (unsigned long long)sums->opened, (unsigned long long)sums->closed,
                (unsigned long long)sums->changed);
}

/* What stands in no row. */
static void tell(const struct context *ctx, const struct answer *answer)
{
    snapshot_complain(ctx, &answer->from);
    if (answer->to.record_ms == answer->from.record_ms)
        complain("both times are shown by the same snapshot: nothing can differ");
    else
        snapshot_complain(ctx, &answer->to);
    if (diff_rebooted(answer->diff))
        complain("the host was booted between both: every socket of the later one is another");
    coverage_warn(ctx, &answer->coverage);
}

static int diff_run(struct context *ctx)
{
    _cleanup_(answer_finish) struct answer answer = {
        .table = {.kind = SOCKETS_AT, .utc = ctx->utc}};
    const bool people = ctx->format == FORMAT_TABLE;
    struct diff_sums sums;
    int status = read_question(ctx, &answer);

    if (status == EXIT_ANSWERED && people && !options_has(&ctx->options, OPT_NUMERIC)) {
        status = context_names(ctx);
        answer.table.names = ctx->names;
    }
    if (status == EXIT_ANSWERED)
        status = load(ctx, &answer);
    if (status != EXIT_ANSWERED)
        return status;
    pager_start(ctx);
    sums = diff_sums(answer.diff);
    if (people) {
        print_instant(ctx, "From", &answer.from, answer.from_ms);
        print_instant(ctx, "To  ", &answer.to, answer.to_ms);
        print_sums(&sums);
    }
    status = put_document(ctx, &answer);
    if (status == EXIT_ANSWERED && people) {
        coverage_print(stdout, &answer.coverage, ctx->utc, GAPS_TOLD, context_width());
        status = output_finish();
    }
    if (status == EXIT_ANSWERED)
        tell(ctx, &answer);
    return status;
}

static int diff_check(struct context *ctx)
{
    _cleanup_(answer_finish) struct answer answer = {0};

    return read_question(ctx, &answer);
}

const struct command cmd_diff = {
    .name = "diff",
    .args = "",
    .summary = "what changed between two instants: opened, closed, owner, state",
    .notes = "Compares the sockets of two snapshots. What came and went between them is in\n"
             "neither: see connhist list.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .run = diff_run,
    .check = diff_check,
};
