/* SPDX-License-Identifier: MIT */
#include "netstat_tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/strutil.h"

#include "complain.h"
#include "question.h"
#include "route_names.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

enum { TABLE_SOCKETS = 8 }; /* beside enum table_bit */

/* The tables, in the order they are shown. */
static const struct {
    int (*put)(struct writer *writer, const struct context *ctx, const struct table_choice *choice,
               const struct tables *tables, size_t *ret_rows);
    uint8_t option;
    uint8_t bit;
    const char *nothing; /* what is said when no row came */
} kinds[] = {
    {put_interfaces, OPT_ETHERNET, TABLE_INTERFACES, "there is no network interface"},
    {put_statistics, OPT_STATISTICS, TABLE_COUNTERS,
     "no counter is other than 0; -a shows those that are 0"},
    {put_routes, OPT_ROUTE, TABLE_ROUTES, "no route matches"},
};

/* Options that mean something to some tables alone. */
static const struct {
    uint8_t option;
    uint8_t tables; /* bits */
    const char *why;
} meanings[] = {
    {OPT_ALL, TABLE_SOCKETS | TABLE_COUNTERS | TABLE_ROUTES,
     "that shows all interfaces anyway; sockets are shown without -e"},
    {OPT_LISTEN, TABLE_SOCKETS, "it is about sockets"},
    {OPT_PROTO, TABLE_SOCKETS | TABLE_COUNTERS | TABLE_ROUTES,
     "interfaces count all protocols together"},
    {OPT_BY, TABLE_INTERFACES, "it goes with -e"},
    {OPT_TABLE, TABLE_ROUTES, "it goes with -r"},
    {OPT_SINCE, TABLE_COUNTERS | TABLE_INTERFACES, "it goes with -s and -e; --at shows an instant"},
    {OPT_UNTIL, TABLE_COUNTERS | TABLE_INTERFACES, "it goes with -s and -e; --at shows an instant"},
    {OPT_OWNER, TABLE_SOCKETS, "it is about sockets"},
    {OPT_PROGRAM, TABLE_SOCKETS, "it is about sockets"},
    {OPT_OFFLOAD, TABLE_SOCKETS, "it is about connections"},
    {OPT_FQDN, TABLE_SOCKETS, "it is about remote addresses of sockets"},
    {OPT_PORT, TABLE_SOCKETS, "it is about sockets"},
    {OPT_STATE, TABLE_SOCKETS, "it is about sockets"},
    {OPT_ROLE, TABLE_SOCKETS, "it is about sockets"},
    {OPT_PEER, TABLE_SOCKETS, "it is about sockets"},
    {OPT_LOCAL, TABLE_SOCKETS, "it is about sockets"},
    {OPT_PROCESS, TABLE_SOCKETS, "it is about sockets"},
    {OPT_UNIT, TABLE_SOCKETS, "it is about sockets"},
    {OPT_CONTAINER, TABLE_SOCKETS, "it is about sockets"},
    {OPT_PID, TABLE_SOCKETS, "it is about sockets"},
};

static unsigned asked_for(const struct context *ctx)
{
    unsigned which = 0;

    for (size_t i = 0; i < SUM(kinds); i++)
        if (options_has(&ctx->options, kinds[i].option))
            which |= kinds[i].bit;
    return which;
}

bool netstat_tables_asked(const struct context *ctx)
{
    return asked_for(ctx) != 0;
}

/* "-e -s": the letters of the tables asked for. */
static const char *letters(const struct context *ctx, char buf[static 16])
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < SUM(kinds); i++)
        if (options_has(&ctx->options, kinds[i].option))
            used += (size_t)snprintf(
                buf + used, 16 - used, "%s-%c", used ? " " : "",
                option_table_find(&ctx->command->options, kinds[i].option)->letter);
    return buf;
}

static bool asks_growth(const struct context *ctx)
{
    return options_has(&ctx->options, OPT_SINCE) || options_has(&ctx->options, OPT_UNTIL);
}

static int check_meanings(const struct context *ctx, unsigned which)
{
    char buf[16];

    for (size_t i = 0; i < SUM(meanings); i++) {
        const char *name;

        if (!options_has(&ctx->options, meanings[i].option) || meanings[i].tables & which)
            continue;
        name = option_table_find(&ctx->command->options, meanings[i].option)->name;
        if (which == TABLE_SOCKETS)
            return wrong_usage("--%s does not go with the table of sockets: %s", name,
                               meanings[i].why);
        return wrong_usage("--%s does not go with netstat %s: %s", name, letters(ctx, buf),
                           meanings[i].why);
    }
    return EXIT_ANSWERED;
}

static int read_by(const struct context *ctx, bool *ret)
{
    const char *text = options_text(&ctx->options, OPT_BY);

    if (text && !same_word(text, "interface"))
        return wrong_usage("--by %s is not known; netstat -e has --by interface", text);
    *ret = text != NULL;
    return EXIT_ANSWERED;
}

/* A name that is known on every host, or on this one, or a number. 0, or -EINVAL: none of them. */
static int parse_table(const char *text, const struct route_names *names, uint32_t *ret)
{
    static const struct {
        const char *name;
        uint32_t table;
    } known[] = {{"all", 0},
                 {"main", ROUTE_TABLE_MAIN},
                 {"local", ROUTE_TABLE_LOCAL},
                 {"default", ROUTE_TABLE_DEFAULT}};
    uint32_t named = route_names_find(names, text);
    uint64_t number = named;

    for (size_t i = 0; !named && i < SUM(known); i++)
        if (same_word(text, known[i].name)) {
            *ret = known[i].table;
            return 0;
        }
    if (!named && parse_u64(text, 1, UINT32_MAX, &number) < 0)
        return -EINVAL;
    *ret = (uint32_t)number;
    return 0;
}

/* "main" unless -a or --table says otherwise. */
static int read_table(const struct context *ctx, uint32_t *ret)
{
    _cleanup_(route_names_finish) struct route_names names = {0};
    const char *text = options_text(&ctx->options, OPT_TABLE);

    if (!text) {
        *ret = options_has(&ctx->options, OPT_ALL) ? 0 : ROUTE_TABLE_MAIN;
        return EXIT_ANSWERED;
    }
    if (route_names_read(&names) < 0)
        return cannot_answer("out of memory");
    if (parse_table(text, &names, ret) < 0)
        return wrong_usage("--table %s is not known; there are main, local, default, all, other "
                           "names in iproute2's rt_tables, and numbers from 1 to %u",
                           text, UINT32_MAX);
    return EXIT_ANSWERED;
}

/* What -s has counters of, -r routes of. */
static int read_protocol(const struct context *ctx, unsigned which, enum counter_protocol *ret)
{
    const char *text = options_text(&ctx->options, OPT_PROTO);
    enum counter_protocol protocol = 0;

    if (!text)
        return EXIT_ANSWERED;
    if (counter_protocol_parse(text, &protocol) < 0)
        return wrong_usage("--proto %s is not known; %s", text,
                           which & TABLE_ROUTES ? "-r has ip and ipv6"
                                                : "-s has ip, ipv6, icmp, icmpv6, tcp, tcpv6, "
                                                  "udp and udpv6");
    if (which & TABLE_ROUTES && protocol != COUNTER_IP && protocol != COUNTER_IPV6)
        return wrong_usage("--proto %s has no routes of its own; -r has ip and ipv6", text);
    *ret = protocol;
    return EXIT_ANSWERED;
}

int netstat_tables_choose(const struct context *ctx, struct table_choice *ret)
{
    struct table_choice choice = {.which = asked_for(ctx),
                                  .zeros = options_has(&ctx->options, OPT_ALL)};
    int status = check_meanings(ctx, choice.which ? choice.which : TABLE_SOCKETS);
    char buf[16];

    if (status != EXIT_ANSWERED || !choice.which)
        return status;
    if (asks_growth(ctx) && options_has(&ctx->options, OPT_AT))
        return wrong_usage("--at does not go with --since and --until: an instant, or a span");
    if (asks_growth(ctx) && choice.which & TABLE_ROUTES)
        return wrong_usage(
            "netstat %s with --since or --until: routes do not grow; --at shows them "
            "as they were",
            letters(ctx, buf));
    if (ctx->format == FORMAT_CSV && choice.which & (choice.which - 1))
        return wrong_usage("netstat %s: csv holds one table; ask one by one, or for json or jsonl",
                           letters(ctx, buf));
    status = read_by(ctx, &choice.each);
    if (status == EXIT_ANSWERED)
        status = read_table(ctx, &choice.table);
    if (status == EXIT_ANSWERED)
        status = read_protocol(ctx, choice.which, &choice.protocol);
    if (status == EXIT_ANSWERED)
        status = question_netns(ctx, &choice.filter);
    if (status == EXIT_ANSWERED)
        *ret = choice;
    return status;
}

static int put_all(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables)
{
    size_t shown = 0;

    for (size_t i = 0; i < SUM(kinds); i++) {
        size_t rows = 0;
        int r;

        if (!(choice->which & kinds[i].bit))
            continue;
        if (shown++ > 0 && ctx->format == FORMAT_TABLE)
            putchar('\n');
        r = kinds[i].put(writer, ctx, choice, tables, &rows);
        if (r < 0)
            return r;
        if (rows == 0 && !(kinds[i].bit == TABLE_ROUTES && choice->left_out)) /* nobody knows */
            complain("%s", kinds[i].nothing);
    }
    return 0;
}

/* More than one table is a set of documents. */
static int put_set(struct writer *writer, const struct context *ctx,
                   const struct table_choice *choice, const struct tables *tables)
{
    struct field fields[TABLE_FIELDS_MAX];
    size_t n_fields = table_fields(ctx, choice, NULL, fields);
    bool many = (choice->which & (choice->which - 1)) != 0;
    int r = many ? writer_set_begin(writer, "connhist/netstat/1", fields, n_fields) : 0;

    if (r == 0)
        r = put_all(writer, ctx, choice, tables);
    if (r == 0 && many)
        r = writer_set_end(writer, NULL);
    return r;
}

static void cleanup_tables(struct tables *tables)
{
    tables_finish(tables);
}

int netstat_tables_put(const struct context *ctx, const struct table_choice *choice,
                       const struct tables *tables)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    int r, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    if (choice->which & TABLE_COUNTERS && choice->protocol == COUNTER_TCPV6)
        complain("Linux counts TCP over IPv4 and IPv6 together: see -p tcp; of TCPv6 alone it "
                 "tells how many sockets are in use");
    r = put_set(writer, ctx, choice, tables);
    return r < 0 ? output_failed(r) : output_finish();
}

static int show_now(struct context *ctx, const struct table_choice *choice)
{
    _cleanup_(cleanup_tables) struct tables tables = {0};
    struct err err = {0};
    int lacks = tables_live(&choice->filter,
                            choice->which |
                                (choice->which & TABLE_ROUTES ? (unsigned)TABLE_INTERFACES : 0U),
                            &tables, &err);

    if (lacks < 0)
        return cannot_answer("%s", err.text);
    if (lacks)
        complain("%s", err.text);
    return netstat_tables_put(ctx, choice, &tables);
}

int netstat_tables_run(struct context *ctx)
{
    struct table_choice choice = {0};
    int status = netstat_tables_choose(ctx, &choice);

    if (status != EXIT_ANSWERED)
        return status;
    if (asks_growth(ctx))
        return netstat_tables_grown(ctx, &choice);
    return options_has(&ctx->options, OPT_AT) ? netstat_tables_at(ctx, &choice)
                                              : show_now(ctx, &choice);
}
