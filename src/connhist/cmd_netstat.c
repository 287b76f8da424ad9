/* SPDX-License-Identifier: MIT */
/* connhist netstat: the socket table, now or as it was; and the dispatcher of netstat's other
 * tables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/report/sockets.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "netstat_hints.h"
#include "netstat_repeat.h"
#include "netstat_tables.h"
#include "own_sockets.h"
#include "pager.h"
#include "question.h"
#include "snapshot_words.h"
#include "socket_table.h"

static const struct option_row rows[] = {
    {OPT_ALL, REPEAT_LAST, 'a', "all", NULL,
     "listening, bound and unconnected sockets, too; with -s\n"
     "counters that are 0, too; with -r all tables"},
    {OPT_LISTEN, REPEAT_LAST, 'l', "listen", NULL, "only listening ports, TCP and UDP"},
    {OPT_NUMERIC, REPEAT_LAST, 'n', "numeric", NULL, "ports as numbers, not by name"},
    {OPT_OWNER, REPEAT_LAST, 'o', "owner", NULL, "the id of the process that owns each socket"},
    {OPT_PROGRAM, REPEAT_LAST, 'b', "program", NULL,
     "the program that owns each socket, and its systemd\nunit or container"},
    {OPT_FQDN, REPEAT_LAST, 'f', "fqdn", NULL,
     "fully qualified names of remote addresses, as far as\nthey are found within two seconds"},
    {OPT_OFFLOAD, REPEAT_LAST, 't', "offload", NULL,
     "what does the work of each connection: InHost, kTLS,\nMPTCP …"},
    {OPT_PROTO, REPEAT_NOT, 'p', "proto", "NAME",
     "only tcp or udp; tcpv4, udpv4, tcpv6, udpv6: only\nthose of one family; with -s also ip, "
     "ipv6, icmp,\nicmpv6, with -r ip or ipv6"},
    {OPT_ETHERNET, REPEAT_LAST, 'e', "ethernet", NULL,
     "bytes, packets, discards and errors of all network\ninterfaces together"},
    {OPT_BY, REPEAT_NOT, 0, "by", "WHAT", "with -e: interface, each by itself"},
    {OPT_ROUTE, REPEAT_LAST, 'r', "route", NULL, "the routes, IPv4 and IPv6"},
    {OPT_TABLE, REPEAT_NOT, 0, "table", "TABLE",
     "with -r: only of this table: main, local, default, a\nname in rt_tables, or a number; or all "
     "(main)"},
    {OPT_STATISTICS, REPEAT_LAST, 's', "statistics", NULL, "the kernel's counters by protocol"},
    {OPT_AT, REPEAT_NOT, 0, "at", "TIME",
     "as it was then: 03:14, -2h, yesterday 18:00 …\n(now, from the kernel itself)"},
    {OPT_SINCE, REPEAT_NOT, 0, "since", "TIME",
     "with -s and -e: what counters grew by since then, and\nhow fast (24 hours ago, if --until is "
     "given)"},
    {OPT_UNTIL, REPEAT_NOT, 0, "until", "TIME", "with -s and -e: until then (now)"},
    {OPT_REPEATS, REPEAT_NOT, 0, "count", "N",
     "with INTERVAL: end after so many tables (0: none but\nSIGINT ends it)"},
    ROW_PORT("only with these ports at either end: 80, 80,443,\n8000-8010, http, 53/udp"),
    ROW_STATE("only in these states: LISTEN, time-wait …"),
    ROW_ROLE,
    ROW_PEER,
    ROW_LOCAL,
    ROWS_OWNER,
    ROW_NETNS,
    ROW_NO_PAGER,
};

static int read_filter(struct context *ctx, struct filter *filter)
{
    bool listen_only = options_has(&ctx->options, OPT_LISTEN);
    int status = netstat_hints_check(ctx);

    if (status == EXIT_ANSWERED)
        status = question_filter(ctx, true, filter);
    if (status == EXIT_ANSWERED && listen_only && filter->states)
        return wrong_usage("--listen and --state exclude each other");
    /* Who names states means those, listening or not. */
    filter->no_listeners = !options_has(&ctx->options, OPT_ALL) && !listen_only && !filter->states;
    if (status == EXIT_ANSWERED && ctx->format == FORMAT_TABLE &&
        !options_has(&ctx->options, OPT_NUMERIC))
        status = context_names(ctx);
    return status;
}

static void choose_details(const struct context *ctx, struct socket_table *table)
{
    table->offloads = options_has(&ctx->options, OPT_OFFLOAD);
    table->pids = options_has(&ctx->options, OPT_OWNER);
    table->programs = options_has(&ctx->options, OPT_PROGRAM);
    table->listen_only = options_has(&ctx->options, OPT_LISTEN);
}

/* What the kernel's table is asked for, of enum live_bit. */
static unsigned which_of(const struct socket_table *table)
{
    return (table->pids || table->programs ? LIVE_OWNERS : 0U) |
           (table->offloads ? LIVE_OFFLOADS : 0U);
}

static struct names *shown_names(const struct context *ctx)
{
    return options_has(&ctx->options, OPT_NUMERIC) ? NULL : ctx->names;
}

/* What is kept from one repetition to the next. */
struct kept {
    struct resolver *resolver; /* names of remote addresses; NULL: -f was not given; owned */
};

static void kept_finish(struct kept *kept)
{
    resolver_free(kept->resolver);
}

static int kept_init(const struct context *ctx, struct kept *kept)
{
    if (!options_has(&ctx->options, OPT_FQDN))
        return EXIT_ANSWERED;
    kept->resolver = resolver_new();
    return kept->resolver ? EXIT_ANSWERED : cannot_answer("out of memory");
}

/* Where remote addresses are shown by name, a first pass over the table collects them. r: what it
 * gave. What it could not read the second one tells of. */
static void end_names(struct socket_table *table, int r)
{
    size_t unanswered = 0;

    if (r < 0)
        return;
    if (resolver_wait(table->resolver, RESOLVER_PATIENCE_MS, &unanswered) < 0)
        complain("no names of addresses: no thread can be started to ask for them");
    else if (unanswered)
        complain("the resolver had no answer in time for %zu %s", unanswered,
                 unanswered > 1 ? "addresses, shown as numbers" : "address, shown as a number");
}

/* What is said when no row came. */
static void complain_empty(const struct filter *filter)
{
    complain("no socket matches%s",
             filter->no_listeners ? "; -a shows listening and unconnected ones, too" : "");
}

/* Ends the table after its query gave r. */
static int end_table(struct socket_table *table, const struct filter *filter, int r,
                     const struct err *err)
{
    int status;

    if (r < 0 && r != -ECANCELED)
        return cannot_answer("%s", err->text);
    status = socket_table_end(table);
    if (status != EXIT_ANSWERED)
        return status;
    if (table->rows == 0)
        complain_empty(filter);
    if (r > 0) /* the kernel's answer was not whole */
        complain("%s", err->text);
    return status;
}

/* The rows of the live table. Threads that still ask for names of addresses have sockets, too, which
 * nobody asked for. */
struct other_rows {
    struct socket_table *table;
    struct own_sockets own; /* owned */
    socket_row_fn fn;       /* gets those of others */
    struct err *err;
    bool began;
};

static void other_rows_finish(struct other_rows *others)
{
    own_sockets_finish(&others->own);
}

/* A socket_row_fn. */
static int put_others_row(void *arg, const struct socket_row *row)
{
    struct other_rows *others = arg;

    if (!others->began && others->table->resolver) {
        /* the kernel's tables are read by now: and what a thread opened meanwhile */
        int r = own_sockets_add(&others->own);

        if (r < 0)
            return err_set(others->err, r, "out of memory");
    }
    others->began = true;
    return own_sockets_has(&others->own, row->inode) ? 0 : others->fn(others->table, row);
}

/* Gives fn what sockets_live() tells, without this process' own sockets; returns what that does. */
static int give_others(struct socket_table *table, const struct filter *filter, unsigned which,
                       socket_row_fn fn, struct err *err)
{
    _cleanup_(other_rows_finish) struct other_rows others = {.table = table, .fn = fn, .err = err};
    int r = 0;

    if (table->resolver) { /* what opens and closes meanwhile would be taken for another's */
        resolver_pause(table->resolver);
        r = own_sockets_add(&others.own);
    }
    if (r < 0)
        return err_set(err, r, "out of memory");
    return sockets_live(filter, which, put_others_row, &others, err);
}

/* What is asked of the kernel. */
static int read_live_filter(struct context *ctx, struct filter *filter)
{
    int status = read_filter(ctx, filter);

    if (status == EXIT_ANSWERED && filter->role)
        return wrong_usage("--role needs --at: the kernel does not know roles, the record does");
    return status;
}

static int netstat_now(struct context *ctx, const struct kept *kept)
{
    _cleanup_(socket_table_finish) struct socket_table table = {.kind = SOCKETS_LIVE,
                                                                .resolver = kept->resolver};
    const struct field fields[] = {{"at_ms", cell_time(ctx->now_ms)}};
    const struct document document = {
        .schema = "connhist/netstat/1", .fields = fields, .n_fields = 1};
    struct filter filter = {0};
    struct err err = {0};
    int r, status = read_live_filter(ctx, &filter);

    if (status != EXIT_ANSWERED)
        return status;
    if (sockets_live_check(&filter, &err) < 0)
        return cannot_answer("%s", err.text);
    table.names = shown_names(ctx);
    choose_details(ctx, &table);
    table.pids |= filter_by_owner(&filter); /* who chooses by owner sees whom he got */
    if (table.resolver)
        end_names(&table, give_others(&table, &filter, 0, socket_table_want_name, &err));
    status = socket_table_begin(&table, ctx, &document);
    if (status != EXIT_ANSWERED)
        return status;
    r = give_others(&table, &filter, which_of(&table), socket_table_row, &err);
    return end_table(&table, &filter, r, &err);
}

/* The line above the table that says how old it is. */
static void print_choice(const struct context *ctx, const struct snapshot_choice *choice,
                         int64_t at_ms)
{
    char shown[TIME_TEXT_MAX], distance[DISTANCE_MAX], unkept[64] = "";

    if (choice->unkept)
        snprintf(unkept, sizeof(unkept), " BUT FOR %lld SOCKETS", (long long)choice->unkept);
    time_format(choice->snapshot_ms, ctx->utc, true, shown);
    context_say("Snapshot of %s, complete%s, %s%s", shown, unkept,
                snapshot_distance(ctx, choice->distance_ms, at_ms, distance),
                choice->in_gap ? ": NOTHING WAS RECORDED AT THAT TIME" : "");
}

static int read_at(struct context *ctx, struct filter *filter, int64_t *ret_at_ms,
                   struct snapshot_choice *choice)
{
    struct err err = {0};
    int status = question_time(ctx, OPT_AT, ret_at_ms);

    if (status != EXIT_ANSWERED)
        return status;
    status = context_open(ctx, true);
    if (status != EXIT_ANSWERED)
        return status;
    status = read_filter(ctx, filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (sockets_choose_in(ctx->db, &ctx->walltime, filter, *ret_at_ms, choice, &err) < 0)
        return cannot_answer("%s", err.text);
    if (*ret_at_ms > ctx->now_ms && !choice->earlier) /* the clock may have been set back */
        return wrong_usage("--at %s is not in the past", options_text(&ctx->options, OPT_AT));
    return choice->found ? EXIT_ANSWERED : question_no_snapshot(ctx, *ret_at_ms, choice->pruned_ms);
}

static int put_table_at(struct context *ctx, const struct snapshot_choice *choice, int64_t at_ms,
                        const struct filter *filter, const struct kept *kept)
{
    _cleanup_(socket_table_finish) struct socket_table table = {.kind = SOCKETS_AT,
                                                                .resolver = kept->resolver};
    const struct field fields[] = {
        {"at_ms", cell_time(at_ms)},
        {"snapshot_ms", cell_time(choice->snapshot_ms)},
        {"distance_ms", cell_int(choice->distance_ms)},
        {"in_gap", cell_int(choice->in_gap)},
        {"detail", cell_text(choice->detail)},
        {"unkept", cell_int(choice->unkept)},
    };
    const struct document document = {.schema = "connhist/netstat/1",
                                      .fields = fields,
                                      .n_fields = sizeof(fields) / sizeof(fields[0])};
    struct err err = {0};
    int r, status;

    table.names = shown_names(ctx);
    choose_details(ctx, &table);
    if (table.resolver)
        end_names(&table, sockets_at(ctx->db, &ctx->walltime, choice, filter,
                                     socket_table_want_name, &table, &err));
    if (ctx->format == FORMAT_TABLE)
        print_choice(ctx, choice, at_ms);
    status = socket_table_choose_netns(&table, ctx, filter);
    if (status == EXIT_ANSWERED)
        status = socket_table_begin(&table, ctx, &document);
    if (status != EXIT_ANSWERED)
        return status;
    r = sockets_at(ctx->db, &ctx->walltime, choice, filter, socket_table_row, &table, &err);
    return end_table(&table, filter, r, &err);
}

static int netstat_at(struct context *ctx, const struct kept *kept)
{
    struct snapshot_choice choice = {0};
    struct filter filter = {0};
    int64_t at_ms = 0;
    int status = read_at(ctx, &filter, &at_ms, &choice);

    if (status != EXIT_ANSWERED)
        return status;
    snapshot_complain(ctx, &choice);
    return put_table_at(ctx, &choice, at_ms, &filter, kept);
}

/* One table; arg: struct kept. */
static int show(struct context *ctx, void *arg)
{
    const struct kept *kept = arg;
    struct table_choice choice = {0};
    int status;

    if (netstat_tables_asked(ctx))
        return netstat_tables_run(ctx);
    status = netstat_tables_choose(ctx, &choice); /* refuses what goes with other tables */
    if (status != EXIT_ANSWERED)
        return status;
    if (options_has(&ctx->options, OPT_AT))
        return netstat_at(ctx, kept);
    status = netstat_now(ctx, kept);
    if (kept->resolver && ctx->repeats) /* for the tables to come */
        resolver_go_on(kept->resolver);
    return status;
}

/* What is asked wrongly is refused before a first table begins. */
static int check_repeated(struct context *ctx)
{
    struct table_choice choice = {0};
    struct filter filter = {0};
    int status = netstat_tables_choose(ctx, &choice);

    return status != EXIT_ANSWERED || netstat_tables_asked(ctx) ? status
                                                                : read_live_filter(ctx, &filter);
}

static int netstat_run(struct context *ctx)
{
    _cleanup_(kept_finish) struct kept kept = {0};
    struct repetition repetition = {0};
    int status = netstat_repeat_read(ctx, &repetition);

    if (status == EXIT_ANSWERED && repetition.interval_ms)
        status = check_repeated(ctx);
    if (status == EXIT_ANSWERED)
        status = kept_init(ctx, &kept);
    if (status != EXIT_ANSWERED)
        return status;
    if (repetition.interval_ms)
        return netstat_repeat(ctx, &repetition, show, &kept);
    pager_start(ctx);
    return show(ctx, &kept);
}

static int netstat_check(struct context *ctx)
{
    struct repetition repetition = {0};
    struct filter filter = {0};
    int status = netstat_repeat_read(ctx, &repetition);

    return status == EXIT_ANSWERED ? read_filter(ctx, &filter) : status;
}

const struct command cmd_netstat = {
    .name = "netstat",
    .args = "[INTERVAL]",
    .summary = "the socket table, now or at a recorded instant; routes, counters",
    .notes = "Without -a and -l: connections alone. Options combine: -an --at 03:14.\n"
             "Other tables in place of sockets, alone or together: -e, -r, -s; -es, -rn.\n"
             "With INTERVAL (2, 0.5, 500ms, 1m) it shows them again until Ctrl+C.",
    .options = {.rows = rows, .n = sizeof(rows) / sizeof(rows[0]), .hints = netstat_hints},
    .needs = NEEDS_NOTHING,
    .run = netstat_run,
    .check = netstat_check,
};
