/* SPDX-License-Identifier: MIT */
/* connhist export: the record for other programs. */
#include <stdio.h>
#include <unistd.h>

#include "connhist/model/life.h"
#include "connhist/store/maintain.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "export_rows.h"
#include "question.h"

static const struct option_row rows[] = {
    {OPT_TO_SQLITE, REPEAT_NOT, 0, "to-sqlite", "FILE",
     "a new SQLite file, as it is at one instant; what is\nthere is not overwritten"},
    {OPT_SINCE, REPEAT_NOT, 0, "since", "TIME",
     "only of this time on (where the record begins; with\n--format 24 hours ago)"},
    ROW_UNTIL,
    {OPT_FORMAT, REPEAT_LAST, 0, "format", "FMT",
     "jsonl, csv or openmetrics, on standard output, in\nplace of a file"},
    {OPT_STEP, REPEAT_NOT, 0, "step", "DURATION",
     "openmetrics: one sample for each of these (1m, longer\nwhere the span is)"},
    ROW_NETNS,
};

/* Findings are of other work. */
static void tell(void *arg, const char *line)
{
    (void)arg;
    complain("%s", line);
}

/* Reads the span; *ret_all: none was asked for. */
static int read_span(struct context *ctx, int64_t *since_ms, int64_t *until_ms, bool *ret_all)
{
    int status = question_time(ctx, OPT_SINCE, since_ms);

    if (status == EXIT_ANSWERED)
        status = question_time(ctx, OPT_UNTIL, until_ms);
    if (status != EXIT_ANSWERED)
        return status;
    *ret_all = !options_has(&ctx->options, OPT_SINCE) && !options_has(&ctx->options, OPT_UNTIL);
    if (!*ret_all && *since_ms >= *until_ms)
        return wrong_usage("--since must be before --until");
    return EXIT_ANSWERED;
}

/* Rows or samples on standard output, in place of a file. */
static bool to_output(const struct context *ctx)
{
    return options_has(&ctx->options, OPT_FORMAT);
}

static int read_output(struct context *ctx, struct filter *filter, int64_t *since_ms,
                       int64_t *until_ms, int64_t *step_ms)
{
    int status = question_span(ctx, since_ms, until_ms);

    if (status == EXIT_ANSWERED)
        status = question_duration(ctx, OPT_STEP, 1, step_ms);
    if (status == EXIT_ANSWERED)
        status = question_filter(ctx, false, filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (options_has(&ctx->options, OPT_TO_SQLITE))
        return wrong_usage("--to-sqlite makes an SQLite file: --format means nothing to it");
    if (!ctx->metrics && ctx->format != FORMAT_JSONL && ctx->format != FORMAT_CSV)
        return wrong_usage("export writes --format jsonl, csv or openmetrics; list and report have "
                           "the others");
    if (!ctx->metrics && options_has(&ctx->options, OPT_STEP))
        return wrong_usage("--step belongs to --format openmetrics: sockets have no steps");
    return EXIT_ANSWERED;
}

static int export_output(struct context *ctx)
{
    int64_t since_ms = 0, until_ms = 0, step_ms = 0;
    struct filter filter = {0};
    int status = read_output(ctx, &filter, &since_ms, &until_ms, &step_ms);

    if (status != EXIT_ANSWERED)
        return status;
    return ctx->metrics ? export_metrics(ctx, &filter, since_ms, until_ms, step_ms)
                        : export_sockets(ctx, &filter, since_ms, until_ms);
}

static int export_check(struct context *ctx)
{
    int64_t since_ms = 0, until_ms = ctx->now_ms, step_ms = 0;
    struct filter filter = {0};
    bool all;

    if (to_output(ctx))
        return read_output(ctx, &filter, &since_ms, &until_ms, &step_ms);
    if (!options_has(&ctx->options, OPT_TO_SQLITE))
        return wrong_usage("export needs --to-sqlite FILE, or --format jsonl, csv or openmetrics");
    if (!*options_text(&ctx->options, OPT_TO_SQLITE))
        return wrong_usage("--to-sqlite needs the name of a file");
    if (options_has(&ctx->options, OPT_STEP))
        return wrong_usage("--step belongs to --format openmetrics");
    if (options_has(&ctx->options, OPT_NETNS))
        return wrong_usage("--netns goes with --format: --to-sqlite copies all network namespaces");
    return read_span(ctx, &since_ms, &until_ms, &all);
}

static int export_file(struct context *ctx)
{
    struct progress progress;
    const struct maintenance work = {.progress = &progress, .tell = tell};
    const char *to = options_text(&ctx->options, OPT_TO_SQLITE);
    int64_t since_ms = 0, until_ms = ctx->now_ms, from_ms, end_ms, other;
    struct err err = {0};
    bool all = true;
    int r, status = export_check(ctx);

    if (status == EXIT_ANSWERED)
        status = read_span(ctx, &since_ms, &until_ms, &all);
    if (status != EXIT_ANSWERED)
        return status;
    /* where the wall clock was set back a time was twice: all of both */
    walltime_to_record(&ctx->walltime, since_ms, &from_ms, &other);
    if (other < from_ms)
        from_ms = other;
    walltime_to_record(&ctx->walltime, until_ms, &other, &end_ms);
    if (other > end_ms)
        end_ms = other;
    db_end(ctx->db);
    progress_init(&progress, STDERR_FILENO);
    r = all ? maintain_copy(db_path(ctx->db), to, &work, &err)
            : maintain_copy_span(db_path(ctx->db), to, from_ms, end_ms, &work, &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    return EXIT_ANSWERED;
}

static int export_run(struct context *ctx)
{
    return to_output(ctx) ? export_output(ctx) : export_file(ctx);
}

const struct command cmd_export = {
    .name = "export",
    .args = "",
    .summary = "the record for others: an SQLite file, rows, OpenMetrics",
    .notes = "With --to-sqlite a copy, also while it is being written. With --format jsonl\n"
             "or csv the sockets of the time asked for, one a line, as list has them; with\n"
             "openmetrics the counts of services, by state, and the counters of the kernel\n"
             "and of interfaces, with their times.\n"
             "With --since or --until: the sockets that were alive in that span, whole, its\n"
             "counts, and the names that they need.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .measures = true,
    .run = export_run,
    .check = export_check,
};
