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
#include "report_rates.h"

#define TOP_DEFAULT 10 /* series shown when no port was asked for */
#define TOP_MAX     100000
#define GAPS_TOLD   5
#define CHART_WIDTH 100 /* columns when stdout is no terminal */

static const struct option_row rows[] = {
    ROW_PORT("only these services: 80, 80,443, 8000-8010, http,\n"
             "53/udp; their port, not that of the other end"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME", "only tcp or udp"},
    ROW_STATE("only these states: TIME_WAIT, close-wait …"),
    ROW_ROLE,
    ROW_PEER,
    {OPT_BY, REPEAT_ADDS, 0, "by", "LIST",
     "tell apart by port, role, state, peer; what is not named\n"
     "is summed over (port,role,state)"},
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
    ROW_NETNS,
    {OPT_FORMAT, REPEAT_LAST, 0, "format", "FMT",
     "chart, table, json, jsonl or csv\n(on a terminal chart, else table)"},
};

enum {
    COLUMN_TIME,
    COLUMN_PROTOCOL,
    COLUMN_PORT,
    COLUMN_ROLE,
    COLUMN_STATE,
    COLUMN_PEER,
    COLUMN_MIN,
    COLUMN_AVG,
    COLUMN_MAX,
    COLUMN_LAST,
    COLUMNS,
};

static const struct column all_columns[COLUMNS] = {
    {"at_ms", "TIME", false}, {"protocol", "PROTO", false}, {"port", "PORT", true},
    {"role", "ROLE", false},  {"state", "STATE", false},    {"peer", "PEER", false},
    {"min", "MIN", true},     {"avg", "AVG", true},         {"max", "MAX", true},
    {"last", "LAST", true},
};

/* Adds one word of --by. */
static int add_by(const char *word, unsigned *by)
{
    static const struct {
        const char *word;
        enum trend_by bit;
    } known[] = {
        {"port", TREND_BY_PORT},
        {"role", TREND_BY_ROLE},
        {"state", TREND_BY_STATE},
        {"peer", TREND_BY_PEER},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (same_word(word, known[i].word)) {
            *by |= known[i].bit;
            return EXIT_ANSWERED;
        }
    return wrong_usage("--by '%s' is not known; there are port, role, state, peer", word);
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

/* Where a single state was asked for, a sum over the states is that state's. */
static unsigned only_state(const struct filter *filter)
{
    if (filter->states && !(filter->states & (filter->states - 1)))
        return (unsigned)__builtin_ctz(filter->states);
    return 0;
}

/* "80 (http)" for people. */
static struct cell port_for_people(struct names *names, unsigned protocol, int32_t port, char *buf,
                                   size_t size)
{
    const char *name = names_of_port(names, protocol, (uint16_t)port);

    if (name)
        snprintf(buf, size, "%d (%s)", (int)port, name);
    else
        snprintf(buf, size, "%d", (int)port);
    return cell_text(buf);
}

struct cell report_port_cell(const struct context *ctx, unsigned protocol, int32_t port, char *buf,
                             size_t size)
{
    bool table = ctx->format == FORMAT_TABLE;

    if (port == SERVICE_PORT_OTHER)
        return table ? cell_text("other") : cell_null();
    if (port < 0)
        return cell_null();
    return table ? port_for_people(ctx->names, protocol, port, buf, size) : cell_int(port);
}

/* The cells of a series that are the same in all its buckets. */
static void series_cells(const struct context *ctx, const struct trend_question *question,
                         const struct trend_series *series, char *buf, size_t size,
                         struct cell cells[static COLUMNS])
{
    unsigned protocol = series->protocol ? series->protocol : question->filter.protocol;
    unsigned role = series->role ? series->role : question->filter.role;
    unsigned state = series->state ? series->state : only_state(&question->filter);

    cells[COLUMN_PROTOCOL] = protocol ? cell_text(protocol_name(protocol)) : cell_null();
    cells[COLUMN_PORT] = report_port_cell(ctx, series->protocol, series->port, buf, size);
    cells[COLUMN_ROLE] = role ? cell_text(role_name(role)) : cell_null();
    cells[COLUMN_STATE] = state ? cell_text(state_name(state)) : cell_null();
    cells[COLUMN_PEER] = *series->peer ? cell_text(series->peer) : cell_null();
}

/* Without --by peer there is no such column. */
static int put_row(struct writer *writer, unsigned by, struct cell cells[static COLUMNS])
{
    struct cell kept[COLUMNS - 1];

    if (by & TREND_BY_PEER)
        return writer_row(writer, cells);
    memcpy(kept, cells, COLUMN_PEER * sizeof(*kept));
    memcpy(kept + COLUMN_PEER, cells + COLUMN_PEER + 1,
           (COLUMNS - COLUMN_PEER - 1) * sizeof(*kept));
    return writer_row(writer, kept);
}

static int put_series(struct writer *writer, const struct context *ctx,
                      const struct trend_question *question, const struct trend_series *series)
{
    struct cell cells[COLUMNS];
    char port[96];
    int r = 0;

    series_cells(ctx, question, series, port, sizeof(port), cells);
    for (size_t i = 0; i < series->points.n && r >= 0; i++) {
        const struct trend_point *point = &series->points.items[i];

        cells[COLUMN_TIME] = cell_time(point->at_ms);
        cells[COLUMN_MIN] = point->recorded ? cell_int(point->min) : cell_null();
        cells[COLUMN_AVG] = point->recorded ? cell_real(point->avg) : cell_null();
        cells[COLUMN_MAX] = point->recorded ? cell_int(point->max) : cell_null();
        cells[COLUMN_LAST] = point->recorded ? cell_int(point->last) : cell_null();
        r = put_row(writer, question->by, cells);
    }
    return r;
}

/* Whether a column tells anything, or is summed over in all rows: then people need not see it. */
static bool column_tells(const struct trend_question *question, size_t column)
{
    const struct filter *filter = &question->filter;

    switch (column) {
    case COLUMN_PROTOCOL:
        return question->by & TREND_BY_PORT || filter->protocol;
    case COLUMN_PORT:
        return question->by & TREND_BY_PORT;
    case COLUMN_ROLE:
        return question->by & TREND_BY_ROLE || filter->role;
    case COLUMN_STATE:
        return question->by & TREND_BY_STATE || only_state(filter);
    default:
        return true;
    }
}

static size_t choose_columns(const struct trend_question *question,
                             struct column columns[static COLUMNS])
{
    size_t n = 0;

    for (size_t i = 0; i < COLUMNS; i++) {
        if (i == COLUMN_PEER && !(question->by & TREND_BY_PEER))
            continue;
        columns[n] = all_columns[i];
        if (!column_tells(question, i))
            columns[n].heading = NULL;
        n++;
    }
    return n;
}

static int put_rows(const struct context *ctx, const struct trend_question *question,
                    const struct trend *trend)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    struct column columns[COLUMNS];
    const struct field fields[] = {
        {"since_ms", cell_time(trend->since_ms)},
        {"until_ms", cell_time(trend->until_ms)},
        {"step_ms", cell_int(trend->step_ms)},
        {"series_hidden", cell_int((int64_t)trend->series_hidden)},
        {"other_sockets", cell_int(trend->other_sockets)},
    };
    const struct document document = {
        .schema = "connhist/report/1",
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
        .coverage = &trend->coverage,
        .columns = columns,
        .n_columns = choose_columns(question, columns),
        .with_ms = trend->step_ms % 1000 != 0,
    };
    int r, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    r = writer_begin(writer, &document);
    for (size_t i = 0; i < trend->series.n && r >= 0; i++)
        r = put_series(writer, ctx, question, &trend->series.items[i]);
    if (r >= 0)
        r = writer_end(writer, NULL);
    if (r >= 0 && ctx->format == FORMAT_TABLE)
        coverage_print(stdout, &trend->coverage, ctx->utc, GAPS_TOLD);
    return r < 0 ? output_failed(r) : output_finish();
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

static int put_chart(const struct context *ctx, const struct trend *trend)
{
    const struct chart_options options = report_chart_options(ctx);

    chart_print(trend, &options);
    return output_finish();
}

static void put_notes(const struct context *ctx, const struct trend_question *question,
                      const struct trend *trend)
{
    bool one_by_one = question->by & TREND_BY_PEER || question->filter.has_peer;

    if (one_by_one)
        coverage_tell_detail(&trend->coverage);
    if (trend->other_sockets > 0)
        complain("%s%lld client sockets at most were of services that are not told apart "
                 "(`other`): those of these ports may be among them; see limits.client_services "
                 "in connhist.yaml(5)",
                 trend->series.n == 0 ? "whether a socket matches is not known: " : "",
                 (long long)trend->other_sockets);
    if (trend->series.n == 0 && trend->other_sockets == 0 &&
        !(one_by_one && trend->coverage.details == COVERAGE_DETAIL_OFF))
        coverage_nothing(ctx, &trend->coverage, "socket", NULL, question->since_ms,
                         question->until_ms);
    else if (!ctx->chart)
        coverage_warn(ctx, &trend->coverage);
    if (trend->series_hidden > 0 && !ctx->chart) /* the chart says so itself */
        complain("%zu more series had a lower maximum; --top 0 shows all", trend->series_hidden);
}

static int report_run(struct context *ctx)
{
    _cleanup_(trend_finish) struct trend trend = {0};
    struct trend_question question = {0};
    struct err err = {0};
    int r, status;

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
    db_end(ctx->db); /* whoever reads the answer may take his time */
    status = ctx->chart ? put_chart(ctx, &trend) : put_rows(ctx, &question, &trend);
    if (status == EXIT_ANSWERED)
        put_notes(ctx, &question, &trend);
    return status;
}

static int report_check(struct context *ctx)
{
    struct trend_question question = {0};

    return options_has(&ctx->options, OPT_MEASURE) ? report_rates_check(ctx)
                                                   : read_question(ctx, &question);
}

const struct command cmd_report = {
    .name = "report",
    .args = "",
    .summary = "counts and rates over time, by port, role, state or peer",
    .notes =
        "Without --port: which ten counts of this host rose highest. On a terminal a line is\n"
        "drawn for each, with its maximum, its value now and where it is heading; below stands\n"
        "how much of the time was recorded.\n"
        "With --measure the same of what came and went at each service, by whole minutes: sockets\n"
        "opened, closed and by whom, payload, how long they lived, their round trips.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .charts = true,
    .run = report_run,
    .check = report_check,
};
