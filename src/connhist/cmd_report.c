/* SPDX-License-Identifier: MIT */
/* connhist report: counts over time. */
#include <errno.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/strutil.h"
#include "connhist/render/chart.h"
#include "connhist/render/text.h"
#include "connhist/report/trend.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"
#include "question.h"
#include "report_beneath.h"
#include "report_counter.h"
#include "report_rates.h"
#include "report_rows.h"

#define TOP_DEFAULT 10 /* series shown when no port was asked for */
#define TOP_MAX     100000
#define CHART_WIDTH 100 /* columns when stdout is no terminal */

static const struct option_row rows[] = {
    ROW_PORT("only these services: 80, 80,443, 8000-8010, http,\n"
             "53/udp; their port, not that of the other end"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME", "only tcp or udp"},
    ROW_STATE("only these states: TIME_WAIT, close-wait …"),
    ROW_ROLE,
    ROW_PEER,
    ROWS_OWNER,
    {OPT_BY, REPEAT_ADDS, 0, "by", "LIST",
     "tell apart by port, role, state, peer, process, pid,\n"
     "unit, container, uid, netns; what is not named is\n"
     "summed over (port,role,state)"},
    ROW_SINCE,
    ROW_UNTIL,
    {OPT_STEP, REPEAT_NOT, 0, "step", "DURATION",
     "width of a bucket: 10s, 15m, 1h (about 60 buckets)"},
    {OPT_TOP, REPEAT_NOT, 0, "top", "N",
     "only the N series with the highest maximum, 0: all\n"
     "(all with --port, else 10)"},
    {OPT_MEASURE, REPEAT_NOT, 0, "measure", "WHAT",
     "instead of counts what came and went: opened, closed,\n"
     "bytes, duration or rtt"},
    {OPT_COUNTER, REPEAT_NOT, 0, "counter", "NAME",
     "instead of sockets what a counter of the kernel grew\n"
     "by: TcpExt.ListenOverflows, Tcp.RetransSegs …"},
    ROW_NETNS,
    {OPT_FORMAT, REPEAT_LAST, 0, "format", "FMT",
     "chart, table, json, jsonl or csv\n(on a terminal chart, else table)"},
};

static const struct {
    const char *word;
    enum trend_by bit;
} by_words[] = {
    {"port", TREND_BY_PORT},   {"role", TREND_BY_ROLE},           {"state", TREND_BY_STATE},
    {"peer", TREND_BY_PEER},   {"process", TREND_BY_PROCESS},     {"pid", TREND_BY_PID},
    {"unit", TREND_BY_UNIT},   {"container", TREND_BY_CONTAINER}, {"uid", TREND_BY_UID},
    {"netns", TREND_BY_NETNS},
};

const char *report_by_word(unsigned by)
{
    size_t i = 0;

    while (i + 1 < sizeof(by_words) / sizeof(by_words[0]) && !(by & by_words[i].bit))
        i++;
    return by_words[i].word;
}

/* Adds one word of --by. */
static int add_by(const char *word, unsigned *by)
{
    for (size_t i = 0; i < sizeof(by_words) / sizeof(by_words[0]); i++)
        if (same_word(word, by_words[i].word)) {
            *by |= by_words[i].bit;
            return EXIT_ANSWERED;
        }
    return wrong_usage("--by '%s' is not known; there are port, role, state, peer, process, pid, "
                       "unit, container, uid, netns",
                       word);
}

int report_by(const struct context *ctx, unsigned *ret)
{
    unsigned by = 0;
    int status = EXIT_ANSWERED;

    for (size_t i = 0; i < ctx->options.n && status == EXIT_ANSWERED; i++) {
        const char *rest = ctx->options.items[i].text;

        while (ctx->options.items[i].id == OPT_BY && rest && status == EXIT_ANSWERED) {
            char word[32];
            size_t length = strcspn(rest, ",");

            snprintf(word, sizeof(word), "%.*s", (int)length, rest);
            status = add_by(word, &by);
            rest = rest[length] ? rest + length + 1 : NULL;
        }
    }
    *ret = by ? by : TREND_BY_PORT | TREND_BY_ROLE | TREND_BY_STATE;
    return status;
}

static int read_question(struct context *ctx, struct trend_question *question)
{
    uint64_t top;
    int status = question_filter(ctx, false, &question->filter);

    if (status == EXIT_ANSWERED)
        status = report_by(ctx, &question->by);
    if (status == EXIT_ANSWERED)
        status = question_span(ctx, &question->since_ms, &question->until_ms);
    if (status == EXIT_ANSWERED)
        status = question_duration(ctx, OPT_STEP, 1, &question->step_ms);
    top = question->filter.n_ports ? 0 : TOP_DEFAULT;
    if (status == EXIT_ANSWERED)
        status = question_number(ctx, OPT_TOP, TOP_MAX, &top);
    question->top = (unsigned)top;
    return status;
}

static const char *name_of_port(void *arg, unsigned protocol, uint16_t port)
{
    return names_of_port(arg, protocol, port);
}

struct chart_options report_chart_options(const struct context *ctx)
{
    int width = context_width();

    return (struct chart_options){
        .out = stdout,
        .utc = ctx->utc,
        .color = ctx->color,
        .ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0,
        .now_ms = ctx->now_ms,
        .width = width > 0 ? width : CHART_WIDTH,
        .name_of_port = name_of_port,
        .name_arg = ctx->names,
    };
}

static int put_chart(const struct context *ctx, const struct trend_question *question,
                     const struct trend *trend)
{
    struct chart_options options = report_chart_options(ctx);

    options.by = question->by;
    chart_print(trend, &options);
    return output_finish();
}

static void put_notes(const struct context *ctx, const struct trend_question *question,
                      const struct trend *trend)
{
    bool by_peer = question->by & TREND_BY_PEER || question->filter.has_peer;
    bool one_by_one =
        by_peer || question->by & TREND_BY_OWNER || filter_by_owner(&question->filter);

    if (one_by_one)
        coverage_tell_detail(&trend->coverage, by_peer);
    coverage_tell_pruned(ctx, &trend->coverage);
    if (trend->shortest_ms > 0)
        coverage_tell_tier(ctx, trend->shortest_ms, trend->since_ms, trend->until_ms,
                           trend->step_ms);
    if (trend->bounds)
        complain(
            "min and max are bounds where they were read by minute, hour or day: they are sums of "
            "counts that are kept one by one, by port, role, state and network namespace; "
            "a --step below 1h is read from every snapshot that is kept");
    if (trend->unkept > 0)
        complain("up to %lld sockets of a snapshot were counted, but not kept one by one: they are "
                 "not in this answer, but in that without %s",
                 (long long)trend->unkept, by_peer ? "peers" : "owners");
    if (trend->other_sockets > 0)
        complain("%s%lld sockets at most were of services that are not told apart "
                 "(`other`): those of these ports may be among them; see limits in "
                 "connhist.yaml(5)",
                 trend->series.n == 0 ? "whether a socket matches is not known: " : "",
                 (long long)trend->other_sockets);
    if (trend->series.n == 0 && trend->other_sockets == 0 && trend->unkept == 0 &&
        !(one_by_one && trend->coverage.details == COVERAGE_DETAIL_OFF))
        coverage_nothing(ctx, &trend->coverage, "socket", NULL, question->since_ms,
                         question->until_ms);
    else if (!ctx->chart)
        coverage_warn(ctx, &trend->coverage);
    if (trend->series_hidden > 0 && !ctx->chart) /* the chart says so itself */
        complain("%zu more series had a lower maximum; --top 0 shows all", trend->series_hidden);
}

/* Who asks for a port is told what else tells of its sockets. */
static int put_answer(const struct context *ctx, const struct trend_question *question,
                      const struct trend *trend, const struct beneath *beneath)
{
    bool by_port = question->filter.n_ports > 0;
    struct part part = beneath_part(beneath);
    int status = ctx->chart ? put_chart(ctx, question, trend)
                            : report_rows(ctx, question, trend, by_port ? &part : NULL);

    if (status != EXIT_ANSWERED || !by_port || !(ctx->chart || ctx->format == FORMAT_TABLE))
        return status;
    beneath_print(ctx, beneath);
    return output_finish();
}

static int report_run(struct context *ctx)
{
    _cleanup_(trend_finish) struct trend trend = {0};
    _cleanup_(beneath_finish) struct beneath beneath = {0};
    struct trend_question question = {0};
    struct err err = {0};
    int r, status;

    if (options_has(&ctx->options, OPT_COUNTER))
        return report_counter(ctx);
    if (options_has(&ctx->options, OPT_MEASURE))
        return report_rates(ctx);
    status = read_question(ctx, &question);
    if (status == EXIT_ANSWERED && !ctx->names)
        status = context_names(ctx);
    if (status != EXIT_ANSWERED)
        return status;
    r = trend_ask(ctx->db, &ctx->walltime, &question, &trend, &err);
    if (r == -EINVAL)
        return wrong_usage("%s", err.text);
    if (r < 0)
        return cannot_answer("%s", err.text);
    if (question.filter.n_ports)
        beneath_load(ctx, &question.filter, trend.since_ms, trend.until_ms, &beneath);
    db_end(ctx->db); /* whoever reads the answer may take his time */
    status = put_answer(ctx, &question, &trend, &beneath);
    if (status == EXIT_ANSWERED)
        put_notes(ctx, &question, &trend);
    return status;
}

static int report_check(struct context *ctx)
{
    struct trend_question question = {0};

    if (options_has(&ctx->options, OPT_COUNTER))
        return report_counter_check(ctx);
    return options_has(&ctx->options, OPT_MEASURE) ? report_rates_check(ctx)
                                                   : read_question(ctx, &question);
}

const struct command cmd_report = {
    .name = "report",
    .args = "",
    .summary = "counts and rates over time, by port, state, process and others",
    .notes = "Without --port: which ten counts of this host rose highest. On a terminal a\n"
             "line is drawn for each, with its maximum, its value now and where it is heading;\n"
             "below stands how much of the time was recorded.\n"
             "With --measure the same of what came and went at each service, by whole minutes:\n"
             "sockets opened, closed and by whom, payload, how long they lived, their round\n"
             "trips.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .charts = true,
    .run = report_run,
    .check = report_check,
};
