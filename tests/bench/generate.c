/* SPDX-License-Identifier: MIT */
/* generate [OPTION]... FILE [CONNECTIONS [DAYS [INTERVAL-S]]]: a record such as a web server's over a
 * year would be, made through the store's own interface; the same for the same arguments. Prints its
 * first and its last instant, in seconds since 1970. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "connhist/base/progress.h"
#include "world.h"

#define EXIT_USAGE 2

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
    va_list args;

    fputs("generate: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_USAGE);
}

static uint64_t number(const char *what, const char *text, uint64_t least, uint64_t most)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < least || value > most)
        refuse("%s: '%s' is not a number from %llu to %llu", what, text, (unsigned long long)least,
               (unsigned long long)most);
    return value;
}

static int64_t date(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    time_t s = timegm(&tm);

    if (!end || *end || s < 0)
        refuse("--begin: '%s' is not a date such as 2025-01-01", text);
    return (int64_t)s * 1000;
}

static bool either(const char *what, const char *text, const char *no, const char *yes)
{
    if (strcmp(text, yes) != 0 && strcmp(text, no) != 0)
        refuse("%s: '%s' is neither %s nor %s", what, text, no, yes);
    return strcmp(text, yes) == 0;
}

_Noreturn static void help(const struct world_options *options)
{
    struct incident incidents[INCIDENT_COUNT];

    fputs(
        "generate [OPTION]... FILE [CONNECTIONS [DAYS [INTERVAL-S]]]\n"
        "Fills a new FILE with the record of a made-up server, the same for the same arguments.\n\n"
        "  --connections N    ordinary connections, 1000000 by default; incidents add to them\n"
        "  --days N           30 by default\n"
        "  --interval N       seconds between snapshots, 10 by default\n"
        "  --begin DATE       first day, 2025-01-01 by default\n"
        "  --seed N           another N, another server\n"
        "  --incidents WHICH  all (by default) or none\n"
        "  --retention WHICH  forever (by default), or default: by age as the default "
        "configuration\n"
        "  --help             this text\n\n",
        stdout);
    if (options->days < INCIDENTS_DAYS || !options->incidents) {
        printf("Incidents: none (they need %d days)\n", INCIDENTS_DAYS);
        exit(EXIT_SUCCESS);
    }
    printf("Incidents of %u days, begin and end:\n", options->days);
    incidents_plan(options->begin_ms, options->days, incidents);
    incidents_print(incidents, stdout);
    exit(EXIT_SUCCESS);
}

static const struct option table[] = {
    {"connections", required_argument, NULL, 'c'},
    {"days", required_argument, NULL, 'd'},
    {"interval", required_argument, NULL, 'i'},
    {"begin", required_argument, NULL, 'b'},
    {"seed", required_argument, NULL, 's'},
    {"incidents", required_argument, NULL, 'x'},
    {"retention", required_argument, NULL, 'r'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void set_connections(struct world_options *options, const char *text)
{
    options->connections = number("connections", text, 1, 1000000000);
}

static void set_days(struct world_options *options, const char *text)
{
    options->days = (uint32_t)number("days", text, 1, 3660);
}

static void set_interval(struct world_options *options, const char *text)
{
    options->interval_ms = (int64_t)number("interval", text, 1, 3600) * 1000;
}

static void take_option(struct world_options *options, int option)
{
    switch (option) {
    case 'c':
        set_connections(options, optarg);
        break;
    case 'd':
        set_days(options, optarg);
        break;
    case 'i':
        set_interval(options, optarg);
        break;
    case 'b':
        options->begin_ms = date(optarg);
        break;
    case 's':
        options->seed = number("seed", optarg, 0, INT64_MAX);
        break;
    case 'x':
        options->incidents = either("--incidents", optarg, "none", "all");
        break;
    default:
        options->prune = either("--retention", optarg, "forever", "default");
    }
}

static void take_arguments(struct world_options *options, int argc, char **argv)
{
    static void (*const places[])(struct world_options *, const char *) = {set_connections,
                                                                           set_days, set_interval};
    struct stat st;

    if (argc == 0)
        refuse("no FILE; --help tells more");
    if (argc > 4)
        refuse("'%s' is one argument too many; --help tells more", argv[4]);
    for (int i = 1; i < argc; i++)
        places[i - 1](options, argv[i]);
    options->path = argv[0];
    if (options->path[0] == '-' || options->path[0] == '\0')
        refuse("'%s' is no FILE: a name that begins with '-' needs a ./ before it", argv[0]);
    if (lstat(options->path, &st) == 0)
        refuse("%s is there already: only a new FILE is filled", options->path);
}

static struct world_options read_options(int argc, char **argv)
{
    struct world_options options = {
        .connections = 1000000,
        .days = 30,
        .interval_ms = 10000,
        .begin_ms = INT64_C(1735689600000), /* 2025-01-01 */
        .seed = 42,
        .incidents = true,
    };
    bool wants_help = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == '?')
            refuse("'%s' is no option; --help tells them", argv[optind - 1]);
        if (option == ':')
            refuse("'%s' needs a value; --help tells more", argv[optind - 1]);
        if (option == 'h')
            wants_help = true;
        else
            take_option(&options, option);
    }
    if (wants_help)
        help(&options);
    take_arguments(&options, argc - optind, argv + optind);
    return options;
}

int main(int argc, char **argv)
{
    struct world_options options = read_options(argc, argv);
    struct progress progress;
    struct world world;

    progress_init(&progress, STDERR_FILENO);
    world_begin(&world, &options);
    while (world_step(&world))
        progress_show(&progress, "filling the file", world.tick, world.n_ticks);
    progress_clear(&progress);
    printf("%lld %lld\n", (long long)options.begin_ms / 1000, (long long)world.before_ms / 1000);
    world_end(&world);
    return EXIT_SUCCESS;
}
