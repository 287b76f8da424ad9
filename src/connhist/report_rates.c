/* SPDX-License-Identifier: MIT */
/* connhist report --measure: what came and went over time. */
#include "report_rates.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/strutil.h"
#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/render/rate_chart.h"
#include "connhist/render/text.h"
#include "connhist/report/rate.h"

#include "complain.h"
#include "coverage_words.h"
#include "question.h"

#define TOP_DEFAULT 10 /* series shown when no port was asked for */
#define TOP_MAX     100000
#define GAPS_TOLD   5
#define FIELDS_MAX  7 /* columns of a measure */

enum {
    COLUMN_TIME,
    COLUMN_PROTOCOL,
    COLUMN_PORT,
    COLUMN_ROLE,
    COLUMNS_COMMON,
};

#define COLUMNS_MAX (COLUMNS_COMMON + FIELDS_MAX + 1) /* the last one: at_least */

static const struct column common_columns[COLUMNS_COMMON] = {
    {"at_ms", "TIME", false},
    {"protocol", "PROTO", false},
    {"port", "PORT", true},
    {"role", "ROLE", false},
};

static const struct column at_least_column = {"at_least", "AT LEAST", false};

static struct cell count_cell(uint64_t n)
{
    return cell_int(n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static struct cell per_second_cell(const struct rate_point *point, uint64_t n)
{
    double rate = rate_per_second(point, n);

    return isnan(rate) ? cell_null() : cell_real(rate);
}

static void opened_cells(const struct rate_point *point, struct cell *cells)
{
    cells[0] = count_cell(point->opened);
    cells[1] = per_second_cell(point, point->opened);
}

static void closed_cells(const struct rate_point *point, struct cell *cells)
{
    cells[0] = count_cell(rate_closed(point));
    cells[1] = count_cell(point->closed[CLOSED_BY_LOCAL]);
    cells[2] = count_cell(point->closed[CLOSED_BY_REMOTE]);
    cells[3] = count_cell(point->closed[CLOSED_BY_RESET]);
    cells[4] = count_cell(point->closed[CLOSED_BY_TIMEOUT]);
    cells[5] = count_cell(point->closed[CLOSED_BY_UNKNOWN]);
    cells[6] = per_second_cell(point, rate_closed(point));
}

static void bytes_cells(const struct rate_point *point, struct cell *cells)
{
    cells[0] = count_cell(point->sent_bytes);
    cells[1] = count_cell(point->received_bytes);
}

static void percentile_cells(const struct rate_point *point, struct cell *cells)
{
    cells[0] = count_cell(point->n);
    cells[1] = point->n ? cell_int(point->p50) : cell_null();
    cells[2] = point->n ? cell_int(point->p90) : cell_null();
    cells[3] = point->n ? cell_int(point->p99) : cell_null();
}

struct measure {
    const char *name;
    enum rate_measure measure;
    struct column columns[FIELDS_MAX];
    size_t n_columns;
    void (*cells)(const struct rate_point *point, struct cell *cells);
};

static const struct measure measures[] = {
    {"opened",
     RATE_OPENED,
     {{"opened", "OPENED", true}, {"per_second", "PER SECOND", true}},
     2,
     opened_cells},
    {"closed",
     RATE_CLOSED,
     {{"closed", "CLOSED", true},
      {"closed_local", "LOCAL", true},
      {"closed_remote", "REMOTE", true},
      {"closed_reset", "RESET", true},
      {"closed_timeout", "TIMEOUT", true},
      {"closed_unknown", "UNKNOWN", true},
      {"per_second", "PER SECOND", true}},
     7,
     closed_cells},
    {"bytes",
     RATE_BYTES,
     {{"tx_bytes", "SENT", true}, {"rx_bytes", "RECEIVED", true}},
     2,
     bytes_cells},
    {"duration",
     RATE_DURATION,
     {{"n", "N", true},
      {"p50_ms", "P50 MS", true},
      {"p90_ms", "P90 MS", true},
      {"p99_ms", "P99 MS", true}},
     4,
     percentile_cells},
    {"rtt",
     RATE_RTT,
     {{"n", "N", true},
      {"p50_us", "P50 US", true},
      {"p90_us", "P90 US", true},
      {"p99_us", "P99 US", true}},
     4,
     percentile_cells},
};

static int find_measure(const struct context *ctx, const struct measure **ret)
{
    const char *text = options_text(&ctx->options, OPT_MEASURE);

    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
        if (same_word(text, measures[i].name)) {
            *ret = &measures[i];
            return EXIT_ANSWERED;
        }
    return wrong_usage("--measure %s is not known; there are opened, closed, bytes, duration, rtt",
                       text);
}

/* What goes with counts alone is refused: left out silently it would change the question. */
static int check_options(const struct context *ctx)
{
    if (options_has(&ctx->options, OPT_STATE))
        return wrong_usage("--state does not go with --measure: what opened or closed is no state");
    if (options_has(&ctx->options, OPT_PEER))
        return wrong_usage("--peer does not go with --measure: rates are kept by service");
    for (size_t i = 0; i < ctx->options.n; i++)
        switch (ctx->options.items[i].id) {
        case OPT_PROCESS:
        case OPT_UNIT:
        case OPT_CONTAINER:
        case OPT_PID:
            return wrong_usage(
                "--%s does not go with --measure: rates are kept by service",
                option_table_find(&ctx->command->options, ctx->options.items[i].id)->name);
        default:
            break;
        }
    return EXIT_ANSWERED;
}

static int read_by(const struct context *ctx, unsigned *ret)
{
    unsigned by;
    int status = report_by(ctx, &by);

    if (status != EXIT_ANSWERED)
        return status;
    if (!options_has(&ctx->options, OPT_BY))
        by = TREND_BY_PORT | TREND_BY_ROLE;
    if (by & ~(unsigned)(TREND_BY_PORT | TREND_BY_ROLE))
        return wrong_usage("--by %s does not go with --measure; there are port and role",
                           report_by_word(by & ~(unsigned)(TREND_BY_PORT | TREND_BY_ROLE)));
    *ret = by;
    return EXIT_ANSWERED;
}

/* A minute is told whole: the end is taken up to one, but not into the future. */
static int read_span(struct context *ctx, struct rate_question *question)
{
    int64_t rest;
    int status = question_span(ctx, &question->since_ms, &question->until_ms);

    if (status != EXIT_ANSWERED)
        return status;
    rest = question->until_ms % RATE_PERIOD_MS;
    if (rest > 0 &&
        __builtin_add_overflow(question->until_ms, RATE_PERIOD_MS - rest, &question->until_ms))
        question->until_ms = ctx->now_ms;
    if (question->until_ms > ctx->now_ms)
        question->until_ms = ctx->now_ms;
    return EXIT_ANSWERED;
}

static int read_step(const struct context *ctx, int64_t *ret_ms)
{
    int64_t step_ms = RATE_PERIOD_MS;
    int status;

    if (!options_has(&ctx->options, OPT_STEP))
        return EXIT_ANSWERED;
    status = question_duration(ctx, OPT_STEP, 1, &step_ms);
    if (status == EXIT_ANSWERED && step_ms < RATE_PERIOD_MS)
        return wrong_usage("--step %s is too short for --measure: rates are kept by the minute; it "
                           "must be at least 1m",
                           options_text(&ctx->options, OPT_STEP));
    *ret_ms = step_ms;
    return status;
}

static int read_question(struct context *ctx, struct rate_question *question)
{
    uint64_t top;
    int status = check_options(ctx);

    if (status == EXIT_ANSWERED)
        status = question_filter(ctx, false, &question->filter);
    if (status == EXIT_ANSWERED)
        status = read_by(ctx, &question->by);
    if (status == EXIT_ANSWERED)
        status = read_span(ctx, question);
    if (status == EXIT_ANSWERED)
        status = read_step(ctx, &question->step_ms);
    top = question->filter.n_ports ? 0 : TOP_DEFAULT;
    if (status == EXIT_ANSWERED)
        status = question_number(ctx, OPT_TOP, TOP_MAX, &top);
    question->top = (unsigned)top;
    return status;
}

/* People are told where there is something to tell. */
static struct cell at_least_cell(const struct context *ctx, const struct rate_point *point)
{
    if (ctx->format != FORMAT_TABLE)
        return cell_int(point->at_least);
    return point->at_least ? cell_text("yes") : cell_null();
}

static bool any_at_least(const struct rates *rates)
{
    for (size_t i = 0; i < rates->series.n; i++)
        for (size_t j = 0; j < rates->series.items[i].points.n; j++) {
            const struct rate_point *point = &rates->series.items[i].points.items[j];

            if (point->recorded && point->at_least)
                return true;
        }
    return false;
}

static int put_series(struct writer *writer, const struct context *ctx,
                      const struct measure *measure, const struct rate_question *question,
                      const struct rate_series *series)
{
    unsigned protocol = series->protocol ? series->protocol : question->filter.protocol;
    unsigned role = series->role ? series->role : question->filter.role;
    struct cell cells[COLUMNS_MAX];
    char port[96];
    int r = 0;

    cells[COLUMN_PROTOCOL] = protocol ? cell_text(protocol_name(protocol)) : cell_null();
    cells[COLUMN_PORT] = report_port_cell(ctx, series->protocol, series->port, port, sizeof(port));
    cells[COLUMN_ROLE] = role ? cell_text(role_name(role)) : cell_null();
    for (size_t i = 0; i < series->points.n && r >= 0; i++) {
        const struct rate_point *point = &series->points.items[i];

        cells[COLUMN_TIME] = cell_time(point->at_ms);
        for (size_t j = 0; j <= measure->n_columns; j++)
            cells[COLUMNS_COMMON + j] = cell_null();
        if (point->recorded) {
            measure->cells(point, cells + COLUMNS_COMMON);
            cells[COLUMNS_COMMON + measure->n_columns] = at_least_cell(ctx, point);
        }
        r = writer_row(writer, cells);
    }
    return r;
}

/* What is summed over in all rows people need not see. */
static size_t choose_columns(const struct measure *measure, const struct rate_question *question,
                             const struct rates *rates, struct column columns[static COLUMNS_MAX])
{
    memcpy(columns, common_columns, sizeof(common_columns));
    memcpy(columns + COLUMNS_COMMON, measure->columns, sizeof(measure->columns));
    columns[COLUMNS_COMMON + measure->n_columns] = at_least_column;
    if (!any_at_least(rates))
        columns[COLUMNS_COMMON + measure->n_columns].heading = NULL;
    if (!(question->by & TREND_BY_PORT)) {
        columns[COLUMN_PORT].heading = NULL;
        if (!question->filter.protocol)
            columns[COLUMN_PROTOCOL].heading = NULL;
    }
    if (!(question->by & TREND_BY_ROLE) && !question->filter.role)
        columns[COLUMN_ROLE].heading = NULL;
    return COLUMNS_COMMON + measure->n_columns + 1;
}

static int put_rows(const struct context *ctx, const struct measure *measure,
                    const struct rate_question *question, const struct rates *rates)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    struct column columns[COLUMNS_MAX];
    const struct field fields[] = {
        {"measure", cell_text(measure->name)},
        {"since_ms", cell_time(rates->since_ms)},
        {"until_ms", cell_time(rates->until_ms)},
        {"step_ms", cell_int(rates->step_ms)},
        {"tier", cell_text(tier_name(rates->tier))},
        {"series_hidden", cell_int((int64_t)rates->series_hidden)},
        {"other_sockets", cell_int(rates->other_sockets)},
    };
    const struct document document = {
        .schema = "connhist/rates/1",
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
        .coverage = &rates->coverage,
        .columns = columns,
        .n_columns = choose_columns(measure, question, rates, columns),
    };
    int r, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    columns[COLUMN_TIME].heading = coverage_time_heading(rates->tier, TIER_MINUTES);
    r = writer_begin(writer, &document);
    for (size_t i = 0; i < rates->series.n && r >= 0; i++)
        r = put_series(writer, ctx, measure, question, &rates->series.items[i]);
    if (r >= 0)
        r = writer_end(writer, NULL);
    if (r >= 0 && ctx->format == FORMAT_TABLE)
        coverage_print(stdout, &rates->coverage, ctx->utc, GAPS_TOLD, context_width());
    return r < 0 ? output_failed(r) : output_finish();
}

static int put_chart(const struct context *ctx, const struct measure *measure,
                     const struct rates *rates)
{
    const struct chart_options options = report_chart_options(ctx);

    rate_chart_print(rates, measure->measure, &options);
    return output_finish();
}

static void tell_step(const struct context *ctx, const struct rates *rates)
{
    char used[TIME_TEXT_MAX];
    int64_t asked_ms = rates->step_ms;

    if (rates->shortest_ms > RATE_PERIOD_MS)
        coverage_tell_tier(ctx, rates->shortest_ms, rates->since_ms, rates->until_ms,
                           rates->step_ms);
    else if (options_has(&ctx->options, OPT_STEP) &&
             question_duration(ctx, OPT_STEP, 0, &asked_ms) == EXIT_ANSWERED &&
             asked_ms != rates->step_ms)
        complain("--step %s was taken up to %s: rates are kept by the minute",
                 options_text(&ctx->options, OPT_STEP), duration_format(rates->step_ms, used));
}

static void put_notes(const struct context *ctx, const struct rates *rates)
{
    tell_step(ctx, rates);
    coverage_tell_pruned(ctx, &rates->coverage);
    if (rates->other_sockets > 0)
        complain("%s%lld sockets were of services that are not told apart (`other`): those "
                 "of these ports may be among them; see limits in connhist.yaml(5)",
                 rates->series.n == 0 ? "whether a service matches is not known: " : "",
                 (long long)rates->other_sockets);
    if (rates->series.n == 0 && rates->other_sockets == 0)
        coverage_nothing(ctx, &rates->coverage, "service", NULL, rates->since_ms, rates->until_ms);
    else if (!ctx->chart)
        coverage_warn(ctx, &rates->coverage);
    if (rates->series_hidden > 0 && !ctx->chart) /* the chart says so itself */
        complain("%zu more series had a lower total; --top 0 shows all", rates->series_hidden);
}

static int read_all(struct context *ctx, const struct measure **ret_measure,
                    struct rate_question *ret)
{
    int status = find_measure(ctx, ret_measure);

    return status == EXIT_ANSWERED ? read_question(ctx, ret) : status;
}

int report_rates_check(struct context *ctx)
{
    const struct measure *measure;
    struct rate_question question = {0};

    return read_all(ctx, &measure, &question);
}

int report_rates(struct context *ctx)
{
    _cleanup_(rates_finish) struct rates rates = {0};
    struct rate_question question = {0};
    const struct measure *measure = NULL;
    struct err err = {0};
    int r, status = read_all(ctx, &measure, &question);

    if (status == EXIT_ANSWERED && !ctx->names)
        status = context_names(ctx);
    if (status != EXIT_ANSWERED)
        return status;
    question.measure = measure->measure;
    r = rate_ask(ctx->db, &ctx->walltime, &question, &rates, &err);
    if (r == -EINVAL)
        return wrong_usage("%s", err.text);
    if (r < 0)
        return cannot_answer("%s", err.text);
    db_end(ctx->db); /* whoever reads the answer may take his time */
    status =
        ctx->chart ? put_chart(ctx, measure, &rates) : put_rows(ctx, measure, &question, &rates);
    if (status == EXIT_ANSWERED)
        put_notes(ctx, &rates);
    return status;
}
