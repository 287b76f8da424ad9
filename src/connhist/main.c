/* SPDX-License-Identifier: MIT */
/* connhist: asks the record. See connhist(1). */
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "build_config.h"
#include "connhist/base/clock.h"
#include "connhist/base/strutil.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "pager.h"

static const struct command *const commands[] = {
    &cmd_report, &cmd_netstat, &cmd_list, &cmd_who, &cmd_diff, &cmd_status, &cmd_export, &cmd_sql,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* What every command takes. */
static const struct option_row common_rows[] = {
    {OPT_DB, REPEAT_LAST, 0, "db", "FILE", "the record; else the configuration's `database`"},
    {OPT_CONFIG, REPEAT_LAST, 0, "config", "FILE",
     "configuration, for names of ports and `database`\n(" CONFIG_DEFAULT_PATH ")"},
    {OPT_FORMAT, REPEAT_LAST, 0, "format", "FMT", "table, json, jsonl or csv (table)"},
    {OPT_COLOR, REPEAT_LAST, 0, "color", "WHEN", "auto, always or never (auto)"},
    {OPT_UTC, REPEAT_LAST, 0, "utc", NULL, "read and show times in UTC"},
    {OPT_HELP, REPEAT_LAST, 'h', "help", NULL, "this help"},
    {OPT_VERSION, REPEAT_LAST, 0, "version", NULL, "the program's version"},
};
static const struct option_table common = OPTION_TABLE(common_rows);

/* What may stand before a command without being every command's. */
static const struct option_row leading_rows[] = {ROW_NETNS};
static const struct option_table leading = OPTION_TABLE(leading_rows);

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[COMMANDS], *near;

    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i]->name;
    near = nearest_word(name, names, COMMANDS);
    if (near)
        return wrong_usage("unknown command %s, did you mean %s?", name, near);
    return wrong_usage("unknown command %s; see connhist --help", name);
}

static int print_help(void)
{
    printf("Usage: connhist [--db FILE] COMMAND [OPTIONS]\n\n"
           "netstat with a memory: asks what connhistd recorded.\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s%s\n", commands[i]->name, commands[i]->summary);
    printf("\nOptions, before or behind the command:\n");
    option_table_help(stdout, &common, NULL);
    option_table_help(stdout, &leading, NULL);
    printf("\nExit status: 0 answered, 2 wrong usage, 3 cannot answer.\n"
           "`connhist COMMAND --help` tells its options, connhist(1) everything.\n");
    return output_finish();
}

static int print_command_help(const struct command *command)
{
    printf("Usage: connhist %s [OPTIONS]%s%s\n\n%s\n", command->name, *command->args ? " " : "",
           command->args, command->summary);
    if (command->notes)
        printf("\n%s\n", command->notes);
    printf("\nOptions:\n");
    option_table_help(stdout, &command->options, NULL);
    option_table_help(stdout, &common, &command->options);
    return output_finish();
}

static int print_version(void)
{
    printf("connhist %s\n", CONNHIST_VERSION);
    return output_finish();
}

/* An option that stood before the command and means nothing to it. */
static int check_leading(const struct context *ctx)
{
    for (size_t i = 0; i < ctx->options.n; i++) {
        unsigned id = ctx->options.items[i].id;

        if (!option_table_find(&ctx->command->options, id) && !option_table_find(&common, id))
            return wrong_usage("%s has no --%s", ctx->command->name,
                               option_table_find(&leading, id)->name);
    }
    return EXIT_ANSWERED;
}

static int run_command(struct context *ctx)
{
    int status = context_init(ctx);

    if (status == EXIT_ANSWERED && ctx->command->needs != NEEDS_NOTHING)
        status = context_open(ctx, ctx->command->needs == NEEDS_RECORD);
    if (status == EXIT_ANSWERED)
        status = ctx->command->run(ctx);
    return status;
}

/* argv[0] is the command's name. */
static int enter_command(struct context *ctx, int argc, char **argv)
{
    struct err err = {0};
    int word, status;

    ctx->command = find_command(argv[0]);
    if (!ctx->command)
        return unknown_command(argv[0]);
    status = check_leading(ctx);
    if (status != EXIT_ANSWERED)
        return status;
    if (options_parse(&ctx->options, &ctx->command->options, &common, argc, argv, false, &word,
                      &err) < 0)
        return wrong_usage("%s: %s; see connhist %s --help", argv[0], err.text, argv[0]);
    if (options_has(&ctx->options, OPT_HELP))
        return print_command_help(ctx->command);
    if (options_has(&ctx->options, OPT_VERSION))
        return print_version();
    ctx->words = argv + word;
    ctx->n_words = argc - word;
    if (ctx->n_words > 0 && !*ctx->command->args)
        return wrong_usage("%s: unexpected word %s; see connhist %s --help", argv[0], ctx->words[0],
                           argv[0]);
    return run_command(ctx);
}

static int enter(struct context *ctx, int argc, char **argv)
{
    struct err err = {0};
    int word;

    if (options_parse(&ctx->options, &leading, &common, argc, argv, true, &word, &err) < 0)
        return wrong_usage("%s (options of a command stand behind it); see connhist --help",
                           err.text);
    if (word < argc && !options_has(&ctx->options, OPT_VERSION))
        return enter_command(ctx, argc - word, argv + word);
    if (options_has(&ctx->options, OPT_HELP))
        return print_help();
    if (options_has(&ctx->options, OPT_VERSION))
        return print_version();
    return wrong_usage("which command? See connhist --help");
}

/* Whether it is all done: else it is to be done again without a pager. */
static bool run(bool no_pager, int argc, char **argv, int *ret_status)
{
    const struct clock clock = clock_system();
    struct context ctx = {.format = FORMAT_TABLE, .no_pager = no_pager};
    bool shown;

    ctx.now_ms = clock_realtime_ns(&clock) / NS_PER_MS;
    config_init(&ctx.config);
    *ret_status = enter(&ctx, argc, argv);
    shown = pager_finish(&ctx);
    context_finish(&ctx);
    return shown;
}

int main(int argc, char **argv)
{
    int status;

    /* Only the character set is the person's: numbers keep their '.'. */
    setlocale(LC_CTYPE, "");
    if (!run(false, argc, argv, &status))
        run(true, argc, argv, &status);
    return status;
}
