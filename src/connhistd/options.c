/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "connhist/base/strutil.h"
#include "connhist/base/timetext.h"

#define INTERVAL_MIN_MS 100
#define INTERVAL_MAX_MS INT64_C(3600000)

enum option_id {
    OPT_CONFIG = 256,
    OPT_DB,
    OPT_INTERVAL,
    OPT_ONCE,
    OPT_COUNT,
    OPT_LOG_LEVEL,
    OPT_CHECK,
    OPT_REPAIR,
    OPT_TO,
    OPT_HELP,
    OPT_VERSION
};

/* One row an option: getopt's table and --help are both made from it. */
static const struct row {
    const char *name;
    const char *arg; /* NULL: takes none */
    const char *help;
    enum option_id id;
} rows[] = {
    {"config", "FILE", "configuration (default: /etc/connhist/connhist.yaml, if it is there)",
     OPT_CONFIG},
    {"db", "FILE", "file to record into", OPT_DB},
    {"interval", "DURATION", "distance of snapshots, 100ms to 1h (default: 10s)", OPT_INTERVAL},
    {"once", NULL, "record one snapshot and end", OPT_ONCE},
    {"count", "N", "record N snapshots and end", OPT_COUNT},
    {"log-level", "LEVEL", "error, warning, notice, info or debug", OPT_LOG_LEVEL},
    {"check", NULL, "tell whether the file is whole, and end", OPT_CHECK},
    {"repair", NULL, "save what can be saved of a damaged file, and end", OPT_REPAIR},
    {"to", "NEW", "the new file that --repair makes", OPT_TO},
    {"help", NULL, "show this help and end", OPT_HELP},
    {"version", NULL, "show the version and end", OPT_VERSION},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void options_help(void)
{
    printf("usage: connhistd [OPTIONS]\n\n"
           "Records the kernel's socket tables into a SQLite file, for connhist(1) to ask.\n\n");
    for (size_t i = 0; i < N_ROWS; i++) {
        char left[40];

        snprintf(left, sizeof(left), "--%s%s%s", rows[i].name, rows[i].arg ? " " : "",
                 rows[i].arg ? rows[i].arg : "");
        printf("      %-22s  %s\n", left, rows[i].help);
    }
}

static int read_level(const char *text, int *ret, struct err *err)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"error", LOG_ERR},
                  {"warning", LOG_WARNING},
                  {"notice", LOG_NOTICE},
                  {"info", LOG_INFO},
                  {"debug", LOG_DEBUG}};

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (same_word(text, levels[i].name)) {
            *ret = levels[i].level;
            return 0;
        }
    return err_set(err, -EINVAL, "--log-level: '%s' is none of error, warning, notice, info, debug",
                   text);
}

static int read_interval(const char *text, int64_t *ret, struct err *err)
{
    int r = duration_parse(text, ret, err);

    if (r < 0)
        return err_prefix(err, r, "--interval");
    if (*ret < INTERVAL_MIN_MS || *ret > INTERVAL_MAX_MS)
        return err_set(err, -EINVAL, "--interval: '%s' is outside 100ms to 1h", text);
    return 0;
}

static int apply(struct daemon_options *options, int id, const char *value, struct err *err)
{
    switch (id) {
    case OPT_CONFIG:
        options->config = value;
        return 0;
    case OPT_DB:
        options->database = value;
        return *value ? 0 : err_set(err, -EINVAL, "--db: needs a file name");
    case OPT_INTERVAL:
        return read_interval(value, &options->interval_ms, err);
    case OPT_ONCE:
        options->count = 1;
        return 0;
    case OPT_COUNT:
        if (parse_u64(value, 1, INT64_MAX, &options->count) < 0)
            return err_set(err, -EINVAL, "--count: '%s' is no number from 1 on", value);
        return 0;
    case OPT_LOG_LEVEL:
        return read_level(value, &options->log_level, err);
    case OPT_CHECK:
        options->check = true;
        return 0;
    case OPT_REPAIR:
        options->repair = true;
        return 0;
    case OPT_TO:
        options->to = value;
        return *value ? 0 : err_set(err, -EINVAL, "--to: needs a file name");
    case OPT_HELP:
        options->help = true;
        return 0;
    default:
        options->version = true;
        return 0;
    }
}

/* What getopt did not understand. */
static int refuse(const char *word, int reason, struct err *err)
{
    const char *names[N_ROWS], *name = word + strspn(word, "-"), *nearest;
    char bare[64];

    if (reason == ':')
        return err_set(err, -EINVAL, "%s: needs a value", word);
    snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(name, "="), name);
    for (size_t i = 0; i < N_ROWS; i++) {
        names[i] = rows[i].name;
        if (!rows[i].arg && strcmp(bare, rows[i].name) == 0)
            return err_set(err, -EINVAL, "--%s: takes no value", bare);
    }
    nearest = nearest_word(bare, names, N_ROWS);
    if (nearest)
        return err_set(err, -EINVAL, "%s: unknown option; did you mean --%s?", word, nearest);
    return err_set(err, -EINVAL, "%s: unknown option; see connhistd --help", word);
}

/* Recording and the two kinds of work on a file are three different things. */
static int check_work(const struct daemon_options *options, struct err *err)
{
    bool records = options->count > 0 || options->interval_ms > 0;

    if (options->check && options->repair)
        return err_set(err, -EINVAL, "--check and --repair contradict each other");
    if ((options->check || options->repair) && records)
        return err_set(err, -EINVAL,
                       "--%s records nothing: --interval, --once and --count mean nothing to it",
                       options->check ? "check" : "repair");
    if (options->repair && !options->to)
        return err_set(err, -EINVAL, "--repair needs --to NEW: the file is not changed");
    if (options->to && !options->repair)
        return err_set(err, -EINVAL, "--to is for --repair alone");
    return 0;
}

int options_read(int argc, char **argv, struct daemon_options *ret, struct err *err)
{
    struct daemon_options options = {.log_level = -1};
    struct option table[N_ROWS + 1] = {0};
    bool once = false, counted = false;
    int id;

    for (size_t i = 0; i < N_ROWS; i++)
        table[i] = (struct option){.name = rows[i].name,
                                   .has_arg = rows[i].arg ? required_argument : no_argument,
                                   .val = (int)rows[i].id};
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":", table, NULL)) >= 0) {
        int r;

        if (id == '?' || id == ':')
            return refuse(argv[optind - 1], id, err);
        once |= id == OPT_ONCE;
        counted |= id == OPT_COUNT;
        r = apply(&options, id, optarg, err);
        if (r < 0)
            return r;
    }
    if (optind < argc)
        return err_set(err, -EINVAL, "'%s': connhistd takes options alone; see connhistd --help",
                       argv[optind]);
    if (once && counted)
        return err_set(err, -EINVAL, "--once and --count contradict each other");
    id = check_work(&options, err);
    if (id < 0)
        return id;
    *ret = options;
    return 0;
}
