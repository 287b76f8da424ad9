/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "connhist/base/clock.h"
#include "connhist/base/strutil.h"
#include "connhist/render/text.h"
#include "connhist/store/file.h"

#include "complain.h"

/* A reader keeps the recorder from tidying its log: no answer may take for ever. */
#define ANSWER_LIMIT_NS (60 * NS_PER_SEC)

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static int read_config(struct context *ctx)
{
    const char *path = options_text(&ctx->options, OPT_CONFIG);
    struct err err = {0};
    int r = config_load(path ? path : CONFIG_DEFAULT_PATH, &ctx->config, &err);

    if (r >= 0)
        return EXIT_ANSWERED;
    if (path)
        return cannot_answer("%s", err.text);
    /* None there, or not for us: nothing to say. One that is broken costs names of ports, not the
     * answer. */
    if (r != -ENOENT && r != -EACCES)
        complain("%s; going on without this configuration", err.text);
    return EXIT_ANSWERED;
}

static int read_format(struct context *ctx)
{
    static const char *const known[] = {"table", "json", "jsonl", "csv", "chart"};
    const char *text = options_text(&ctx->options, OPT_FORMAT), *near;
    bool charts = ctx->command->charts;

    if (!text) {
        ctx->chart = charts && isatty(STDOUT_FILENO);
        return EXIT_ANSWERED;
    }
    if (charts && same_word(text, "chart")) {
        ctx->chart = true;
        return EXIT_ANSWERED;
    }
    if (ctx->command->measures && same_word(text, "openmetrics")) {
        ctx->metrics = true;
        return EXIT_ANSWERED;
    }
    if (format_parse(text, &ctx->format) >= 0)
        return EXIT_ANSWERED;
    near = nearest_word(text, known, SUM(known) - !charts);
    return wrong_usage("--format %s is not known%s%s%s; there are %s", text,
                       near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
                       ctx->command->measures ? "jsonl, csv, openmetrics"
                       : charts               ? "chart, table, json, jsonl, csv"
                                              : "table, json, jsonl, csv");
}

/* See no-color.org: an empty NO_COLOR is none. */
static bool terminal_has_color(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int read_color(struct context *ctx)
{
    const char *text = options_text(&ctx->options, OPT_COLOR);

    if (!text || same_word(text, "auto"))
        ctx->color = terminal_has_color();
    else if (same_word(text, "always"))
        ctx->color = true;
    else if (!same_word(text, "never"))
        return wrong_usage("--color %s is not known; there are auto, always, never", text);
    return EXIT_ANSWERED;
}

int context_init(struct context *ctx)
{
    int status = read_format(ctx);

    ctx->utc = options_has(&ctx->options, OPT_UTC);
    if (status == EXIT_ANSWERED)
        status = read_color(ctx);
    if (status == EXIT_ANSWERED)
        status = read_config(ctx);
    return status;
}

void context_finish(struct context *ctx)
{
    walltime_finish(&ctx->walltime);
    names_free(ctx->names);
    db_close(ctx->db);
    config_finish(&ctx->config);
    options_finish(&ctx->options);
}

/* The file can't be had, and err says why: but what was asked wrongly comes first. */
static int not_open(struct context *ctx, const struct err *err)
{
    int status;

    db_close(ctx->db);
    ctx->db = NULL;
    status = ctx->command->check ? ctx->command->check(ctx) : EXIT_ANSWERED;
    return status == EXIT_ANSWERED ? cannot_answer("%s", err->text) : status;
}

int context_open(struct context *ctx, bool as_of_now)
{
    const char *path = options_text(&ctx->options, OPT_DB);
    struct err err = {0}, unnamed = {0};
    char fallback[PATH_MAX];

    if (!path)
        path = ctx->config.database;
    if (!path) {
        if (file_default_path(fallback, sizeof(fallback), &err) < 0) {
            err_set(&unnamed, err.code, "%s; name the file with --db", err.text);
            return not_open(ctx, &unnamed);
        }
        path = fallback;
    }
    if (db_open(path, &ctx->db, &err) < 0)
        return not_open(ctx, &err);
    if (!as_of_now)
        return EXIT_ANSWERED;
    db_set_limit(ctx->db, ANSWER_LIMIT_NS);
    if (db_begin(ctx->db, &err) < 0 || walltime_load(&ctx->walltime, ctx->db, &err) < 0)
        return not_open(ctx, &err);
    return EXIT_ANSWERED;
}

int context_names(struct context *ctx)
{
    const struct config_service_vec *services = &ctx->config.services;
    int r;

    if (ctx->names && ctx->repetition > 0)
        return EXIT_ANSWERED;
    r = ctx->names ? 0 : names_new(&ctx->names);
    if (r >= 0 && ctx->db)
        r = names_add_file(ctx->names, ctx->db);
    for (size_t i = 0; r >= 0 && i < services->n; i++)
        r = names_add(ctx->names, services->items[i].protocol, services->items[i].port,
                      services->items[i].name);
    if (r < 0)
        return cannot_answer("the names of ports could not be read: %s", errno_words(r));
    return EXIT_ANSWERED;
}

int context_width(void)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    uint64_t width;

    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return columns && parse_u64(columns, 20, 10000, &width) == 0 ? (int)width : 80;
}

void context_say(const char *format, ...)
{
    _cleanup_free_ char *line = NULL;
    va_list args;
    int r;

    va_start(args, format);
    r = vasprintf(&line, format, args);
    va_end(args);
    if (r >= 0)
        text_as_lines(stdout, line, context_width());
    else
        line = NULL; /* vasprintf() leaves it undefined */
}

int context_writer(const struct context *ctx, struct writer **ret)
{
    const struct writer_options options = {
        .format = ctx->format,
        .out = stdout,
        .utc = ctx->utc,
        .color = ctx->color,
        .width = context_width(),
        .continued = ctx->repetition > 0,
        .stamp_ms = ctx->repeats ? ctx->now_ms : 0,
    };
    int r = writer_new(&options, ret);

    return r < 0 ? output_failed(r) : EXIT_ANSWERED;
}
