/* SPDX-License-Identifier: MIT */
#include "question.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/strutil.h"
#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/report/coverage.h"

#include "complain.h"

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

#define PID_HIGHEST 4194304 /* PID_MAX_LIMIT of a kernel of 64 bits */

#define HOUR_MS INT64_C(3600000)
#define SPAN_MS (24 * HOUR_MS) /* how far back --since reaches unless it says */

int question_time(const struct context *ctx, enum option_id id, int64_t *ret_ms)
{
    const char *text = options_text(&ctx->options, id);
    struct err err = {0};

    if (!text || time_parse(text, ctx->now_ms, ctx->utc, ret_ms, &err) >= 0)
        return EXIT_ANSWERED;
    return wrong_usage("--%s: %s", option_table_find(&ctx->command->options, id)->name, err.text);
}

int question_duration(const struct context *ctx, enum option_id id, int64_t min_ms, int64_t *ret_ms)
{
    const char *text = options_text(&ctx->options, id);
    const char *name = text ? option_table_find(&ctx->command->options, id)->name : NULL;
    struct err err = {0};
    int64_t ms;

    if (!text)
        return EXIT_ANSWERED;
    if (duration_parse(text, &ms, &err) < 0)
        return wrong_usage("--%s: %s", name, err.text);
    if (ms < min_ms)
        return wrong_usage("--%s %s is too short; it must be at least %lldms", name, text,
                           (long long)min_ms);
    *ret_ms = ms;
    return EXIT_ANSWERED;
}

int question_number(const struct context *ctx, enum option_id id, uint64_t max, uint64_t *ret)
{
    const char *text = options_text(&ctx->options, id);

    if (!text || parse_u64(text, 0, max, ret) >= 0)
        return EXIT_ANSWERED;
    return wrong_usage("--%s %s is not a number from 0 to %llu",
                       option_table_find(&ctx->command->options, id)->name, text,
                       (unsigned long long)max);
}

int question_record_begin(struct context *ctx, int64_t *ret_ms)
{
    _cleanup_(cleanup_stmt_free) struct stmt *stmt = NULL;
    int64_t begin_ms = INT64_MAX, first_ms, last_ms;
    struct err err = {0};
    int r;

    if (!ctx->db) {
        *ret_ms = TIME_UNKNOWN;
        return EXIT_ANSWERED;
    }
    r = db_prepare(ctx->db, "SELECT min(start_ms) FROM snapshots", &stmt, &err);
    if (r >= 0)
        r = stmt_step(stmt, &err);
    if (r < 0)
        return cannot_answer("%s", err.text);
    if (r > 0 && !stmt_is_null(stmt, 0))
        begin_ms = stmt_i64(stmt, 0);
    /* its snapshots go before what they were added up to */
    if (coverage_extent(ctx->db, &first_ms, &last_ms, &err) < 0)
        return cannot_answer("%s", err.text);
    if (first_ms <= last_ms && first_ms < begin_ms)
        begin_ms = first_ms;
    *ret_ms = begin_ms == INT64_MAX ? TIME_UNKNOWN : walltime_of_record(&ctx->walltime, begin_ms);
    return EXIT_ANSWERED;
}

int question_no_snapshot(struct context *ctx, int64_t at_ms, int64_t pruned_ms)
{
    char at[TIME_TEXT_MAX], begin[TIME_TEXT_MAX];
    int64_t begin_ms;
    int status = question_record_begin(ctx, &begin_ms);

    if (status != EXIT_ANSWERED)
        return status;
    if (pruned_ms != TIME_UNKNOWN)
        return cannot_answer(
            "sockets of %s are no longer kept one by one: those are there since %s",
            time_format(at_ms, ctx->utc, false, at),
            time_format(pruned_ms, ctx->utc, false, begin));
    if (begin_ms == TIME_UNKNOWN)
        return cannot_answer("nothing is recorded yet in %s", db_path(ctx->db));
    return cannot_answer("no complete snapshot at or before %s: the record begins at %s",
                         time_format(at_ms, ctx->utc, false, at),
                         time_format(begin_ms, ctx->utc, false, begin));
}

/* 24 hours before the end, or the begin of a younger record. */
static int default_since(struct context *ctx, int64_t until_ms, int64_t *ret_ms)
{
    int64_t begin_ms, since_ms = until_ms - SPAN_MS;
    int status = question_record_begin(ctx, &begin_ms);

    if (status != EXIT_ANSWERED)
        return status;
    if (begin_ms != TIME_UNKNOWN && begin_ms > since_ms && begin_ms < until_ms)
        since_ms = begin_ms;
    *ret_ms = since_ms;
    return EXIT_ANSWERED;
}

/* Times may be written so that one does not see which is earlier: both are told as they were
 * understood. */
static int wrong_order(const struct context *ctx, int64_t since_ms, int64_t until_ms)
{
    char since[TIME_TEXT_MAX], until[TIME_TEXT_MAX];

    return wrong_usage(
        "--since %s (%s) is not before --until %s (%s)", options_text(&ctx->options, OPT_SINCE),
        time_format(since_ms, ctx->utc, false, since), options_text(&ctx->options, OPT_UNTIL),
        time_format(until_ms, ctx->utc, false, until));
}

int question_span(struct context *ctx, int64_t *ret_since_ms, int64_t *ret_until_ms)
{
    int64_t since_ms = 0, until_ms = ctx->now_ms;
    int status = question_time(ctx, OPT_UNTIL, &until_ms);

    if (status != EXIT_ANSWERED)
        return status;
    status = options_has(&ctx->options, OPT_SINCE) ? question_time(ctx, OPT_SINCE, &since_ms)
                                                   : default_since(ctx, until_ms, &since_ms);
    if (status != EXIT_ANSWERED)
        return status;
    if (since_ms >= until_ms && options_has(&ctx->options, OPT_UNTIL))
        return wrong_order(ctx, since_ms, until_ms);
    if (since_ms >= ctx->now_ms)
        return wrong_usage("--since %s is not in the past", options_text(&ctx->options, OPT_SINCE));
    *ret_since_ms = since_ms;
    *ret_until_ms = until_ms < ctx->now_ms ? until_ms : ctx->now_ms;
    return EXIT_ANSWERED;
}

/* "tcp", "udpv6" …: protocol, and the family if the name ends in one. */
static int read_protocol(const char *text, bool families, struct filter *filter)
{
    static const char *const other[] = {"ip", "ipv6", "icmp", "icmpv6"};
    static const char *const known[] = {"tcp", "udp", "tcpv4", "udpv4", "tcpv6", "udpv6"};
    enum protocol protocol;
    char name[8] = "";
    const char *near;
    size_t length = strlen(text);

    if (length < sizeof(name))
        snprintf(name, sizeof(name), "%s", text);
    /* tcp6 is what netstat(8) prints */
    if (families && ((length == 5 && (same_word(name + 3, "v4") || same_word(name + 3, "v6"))) ||
                     (length == 4 && (name[3] == '4' || name[3] == '6')))) {
        filter->family = name[length - 1] == '4' ? AF_INET : AF_INET6;
        name[3] = '\0';
    }
    if (protocol_parse(name, &protocol) >= 0) {
        filter->protocol = (uint8_t)protocol;
        return EXIT_ANSWERED;
    }
    if (length == 5 && !families && (same_word(text, "tcpv6") || same_word(text, "udpv6")))
        return wrong_usage("--proto %s: counts are kept for IPv4 and IPv6 together; there are tcp "
                           "and udp (`connhist list --proto %s` tells them apart)",
                           text, text);
    for (size_t i = 0; i < SUM(other); i++)
        if (same_word(text, other[i]))
            return wrong_usage("--proto %s: sockets are tcp or udp%s; counters of %s are shown by "
                               "`connhist netstat -s`, routes of ip and ipv6 by `netstat -r`",
                               text, families ? " (tcpv4, tcpv6, udpv4, udpv6: of one family)" : "",
                               text);
    near = nearest_word(text, known, families ? 6 : 2);
    return wrong_usage("--proto %s is not known%s%s%s; there are tcp, udp%s", text,
                       near ? " (did you mean " : "", near ? near : "", near ? "?)" : "",
                       families ? ", tcpv4, tcpv6, udpv4, udpv6" : "");
}

static int read_role(const char *text, struct filter *filter)
{
    enum role role;

    if (role_parse(text, &role) < 0)
        return wrong_usage("--role %s is not known; there are server, client", text);
    filter->role = (uint8_t)role;
    return EXIT_ANSWERED;
}

static int read_prefix(const char *name, const char *text, bool *ret_has, struct prefix *ret)
{
    if (prefix_parse(text, ret) < 0)
        return wrong_usage("--%s %s is no address; write 192.0.2.7, 10.0.0.0/8, ::1 or "
                           "2001:db8::/32",
                           name, text);
    *ret_has = true;
    return EXIT_ANSWERED;
}

/* A port or state list that was given. */
static int read_list(struct context *ctx, const struct given *given, struct filter *filter)
{
    struct err err = {0};
    int r;

    if (given->id == OPT_STATE) {
        r = filter_add_states(filter, given->text, &err);
        return r < 0 ? wrong_usage("--state: %s", err.text) : EXIT_ANSWERED;
    }
    r = context_names(ctx);
    if (r != EXIT_ANSWERED)
        return r;
    r = filter_add_ports(filter, given->text, ctx->names, &err);
    return r < 0 ? wrong_usage("--port: %s", err.text) : EXIT_ANSWERED;
}

static int read_netns(const char *text, struct filter *filter)
{
    uint64_t inode;

    if (!*text)
        return wrong_usage(
            "--netns wants a name, or inode:4026531840; the recorder's own is `own`");
    if (filter_netns_number(text, &inode) < 0)
        return wrong_usage("--netns %s is no namespace; write a name, inode:4026531840 or "
                           "net:[4026531840]",
                           text);
    filter->netns = text;
    return EXIT_ANSWERED;
}

int question_netns(const struct context *ctx, struct filter *filter)
{
    const char *text = options_text(&ctx->options, OPT_NETNS);

    return text ? read_netns(text, filter) : EXIT_ANSWERED;
}

/* A name of an owner; what can't be one is refused, so that nothing is searched in vain. */
static int read_name(const char *name, const char *text, const char **ret)
{
    if (!*text)
        return wrong_usage("--%s needs a name", name);
    *ret = text;
    return EXIT_ANSWERED;
}

static int read_pid(const char *text, struct filter *filter)
{
    uint64_t pid;

    if (parse_u64(text, 1, PID_HIGHEST, &pid) < 0)
        return wrong_usage("--pid %s is no process id: it is a number from 1 to %d", text,
                           PID_HIGHEST);
    filter->pid = (uint32_t)pid;
    return EXIT_ANSWERED;
}

static int check_netns(struct context *ctx, const struct filter *filter)
{
    struct err err = {0};

    if (ctx->db && filter_check_netns(filter, ctx->db, &err) < 0)
        return cannot_answer("%s", err.text);
    return EXIT_ANSWERED;
}

static int read_filter_option(const struct given *given, bool families, struct filter *filter)
{
    switch (given->id) {
    case OPT_PROTO:
        return read_protocol(given->text, families, filter);
    case OPT_ROLE:
        return read_role(given->text, filter);
    case OPT_PEER:
        return read_prefix("peer", given->text, &filter->has_peer, &filter->peer);
    case OPT_LOCAL:
        return read_prefix("local", given->text, &filter->has_local, &filter->local);
    case OPT_NETNS:
        return read_netns(given->text, filter);
    case OPT_PROCESS:
        return read_name("process", given->text, &filter->process);
    case OPT_UNIT:
        return read_name("unit", given->text, &filter->unit);
    case OPT_CONTAINER:
        return read_name("container", given->text, &filter->container);
    case OPT_PID:
        return read_pid(given->text, filter);
    default:
        return EXIT_ANSWERED;
    }
}

int question_filter(struct context *ctx, bool families, struct filter *ret)
{
    struct filter filter = {0};
    int status = EXIT_ANSWERED;

    /* The protocol is read before the ports: it decides what a name like `syslog` means. */
    for (size_t i = 0; i < ctx->options.n && status == EXIT_ANSWERED; i++)
        status = read_filter_option(&ctx->options.items[i], families, &filter);
    for (size_t i = 0; i < ctx->options.n && status == EXIT_ANSWERED; i++) {
        const struct given *given = &ctx->options.items[i];

        if (given->id == OPT_PORT || given->id == OPT_STATE)
            status = read_list(ctx, given, &filter);
    }
    if (status == EXIT_ANSWERED)
        status = check_netns(ctx, &filter);
    if (status == EXIT_ANSWERED)
        *ret = filter;
    return status;
}
