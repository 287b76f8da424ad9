/* SPDX-License-Identifier: MIT */
/* connhist export: a copy of the record, whole or of a span, while it is being written. */
#include <stdio.h>
#include <unistd.h>

#include "connhist/model/life.h"
#include "connhist/store/maintain.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "question.h"

static const struct option_row rows[] = {
    {OPT_TO_SQLITE, REPEAT_NOT, 0, "to-sqlite", "FILE",
     "a new SQLite file, as it is at one instant; what is\nthere is not overwritten"},
    {OPT_SINCE, REPEAT_NOT, 0, "since", "TIME", "only of this time on (where the record begins)"},
    ROW_UNTIL,
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

static int export_check(struct context *ctx)
{
    int64_t since_ms = 0, until_ms = ctx->now_ms;
    bool all;

    if (!options_has(&ctx->options, OPT_TO_SQLITE))
        return wrong_usage("export needs --to-sqlite FILE");
    if (!*options_text(&ctx->options, OPT_TO_SQLITE))
        return wrong_usage("--to-sqlite needs the name of a file");
    if (options_has(&ctx->options, OPT_FORMAT))
        return wrong_usage("export makes an SQLite file: --format means nothing to it");
    return read_span(ctx, &since_ms, &until_ms, &all);
}

static int export_run(struct context *ctx)
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

const struct command cmd_export = {
    .name = "export",
    .args = "",
    .summary = "a copy of the record, also while it is being written",
    .notes = "With --since or --until: the sockets that were alive in that span, whole, its "
             "counts, and\n"
             "the names that they need.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .run = export_run,
    .check = export_check,
};
