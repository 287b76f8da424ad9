/* SPDX-License-Identifier: MIT */
/* connhist who: who held a port, and when. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/render/text.h"
#include "connhist/report/sockets.h"
#include "connhist/report/who.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"
#include "question.h"
#include "quoted.h"
#include "snapshot_words.h"
#include "users.h"

#define GAPS_TOLD    5
#define ENDPOINT_MAX (ADDRESS_TEXT_MAX + 24)
#define EDGE_MAX     (TIME_TEXT_MAX + 16)

static const struct option_row rows[] = {
    ROW_PORT("the ports asked for: 80, 80,443, 8000-8010, http,\n53/udp"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME", "only tcp or udp"},
    {OPT_AT, REPEAT_NOT, 0, "at", "TIME", "who held it then: 03:14, -2h, yesterday 18:00 …"},
    ROW_SINCE,
    ROW_UNTIL,
    ROW_NETNS,
};

/* Fields for programs, and what people see of them. */
static const struct column columns[] = {
    {"from_ms", "FROM", false},
    {"until_ms", "UNTIL", false},
    {"netns", "NETNS", false, .least = 8},
    {"protocol", "PROTO", false, .gives = 2},
    {"port", NULL, true},
    {"use", "USE", false, .gives = 1},
    {"local_address", "LOCAL", false, .least = 21, .tight = 12},
    {"local_port", NULL, true},
    {"process", "PROCESS", false, .least = 10, .tight = 7},
    {"pid", "PID", true},
    {"exe", "PROGRAM", false, .least = 16, .gives = 6},
    {"uid", "UID", true, .gives = 8},
    {"user", NULL, false},
    {"unit", "UNIT", false, .least = 12, .gives = 5},
    {"container", "CONTAINER", false, .least = 12, .gives = 4},
    {"owner_source", NULL, false},
    {"process_started_ms", NULL, true},
    {"sockets", "SOCKETS", true, .gives = 9},
    {"open", NULL, true},
    {"from_after_ms", NULL, true},
    {"first_seen_ms", NULL, true},
    {"last_seen_ms", NULL, true},
    {"until_before_ms", NULL, true},
};

enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), COLUMN_NETNS = 2, COLUMN_CONTAINER = 14 };

struct who_table {
    const struct context *ctx;      /* not owned */
    struct writer *writer;          /* owned */
    struct users users;             /* owned */
    struct column columns[COLUMNS]; /* of the document */
    uint64_t rows;                  /* so far */
    int failed;                     /* negative errno: the output is broken; 0 */
};

static void who_table_finish(struct who_table *table)
{
    writer_free(table->writer);
    users_finish(&table->users);
}

static struct cell known_int(int64_t value)
{
    return value < 0 ? cell_null() : cell_int(value);
}

static struct cell known_text(const char *text)
{
    return text && *text ? cell_text(text) : cell_null();
}

/* What is not proven people see as a bound. */
static struct cell edge_cell(const struct who_table *table, int64_t known_ms, const char *bound,
                             int64_t bound_ms, char buf[static EDGE_MAX])
{
    char time[TIME_TEXT_MAX];

    if (table->ctx->format != FORMAT_TABLE || known_ms != TIME_UNKNOWN)
        return cell_time(known_ms);
    snprintf(buf, EDGE_MAX, "%s %s", bound, time_format(bound_ms, table->ctx->utc, false, time));
    return cell_text(buf);
}

static struct cell until_cell(const struct who_table *table, const struct who_row *row,
                              char buf[static EDGE_MAX])
{
    if (table->ctx->format == FORMAT_TABLE && row->open)
        return cell_text("open");
    return edge_cell(table, row->until_ms, "after", row->last_seen_ms, buf);
}

/* "0.0.0.0:80", "[::1]:80" for people, the address alone for programs; a client's is any. */
static struct cell local_cell(const struct who_table *table, const struct who_row *row,
                              char buf[static ENDPOINT_MAX])
{
    char address[ADDRESS_TEXT_MAX], scope[16] = "";
    bool people = table->ctx->format == FORMAT_TABLE;

    if (row->use == WHO_CLIENT && people) {
        snprintf(buf, ENDPOINT_MAX, "-> *:%u", (unsigned)row->port);
        return cell_text(buf);
    }
    if (row->use == WHO_CLIENT)
        return cell_null();
    address_format(row->family, &row->local, address);
    if (row->scope_ifindex)
        snprintf(scope, sizeof(scope), "%%%u", (unsigned)row->scope_ifindex);
    if (people)
        snprintf(buf, ENDPOINT_MAX, row->family == AF_INET6 ? "[%s%s]:%u" : "%s%s:%u", address,
                 scope, (unsigned)row->port);
    else
        snprintf(buf, ENDPOINT_MAX, "%s%s", address, scope);
    return cell_text(buf);
}

static struct cell process_cell(const struct who_table *table, const struct who_row *row,
                                char quoted[static QUOTED_MAX])
{
    if (row->owner_source == OWNER_IS_KERNEL)
        return table->ctx->format == FORMAT_TABLE ? cell_text("(kernel)") : cell_null();
    if (row->owner && *row->owner->comm)
        return cell_text(table->ctx->format == FORMAT_TABLE ? quoted_name(row->owner->comm, quoted)
                                                            : row->owner->comm);
    return table->ctx->format == FORMAT_TABLE ? cell_text("(unknown)") : cell_null();
}

static int put_row(void *arg, const struct who_row *row)
{
    static const struct owner nobody = {.comm = "", .exe = "", .unit = "", .container = ""};
    struct who_table *table = arg;
    const struct owner *owner = row->owner ? row->owner : &nobody;
    char from[EDGE_MAX], until[EDGE_MAX], local[ENDPOINT_MAX], quoted[QUOTED_MAX];
    const struct cell cells[COLUMNS] = {
        edge_cell(table, row->from_ms, "before", row->first_seen_ms, from),
        until_cell(table, row, until),
        cell_text(*row->netns || table->ctx->format != FORMAT_TABLE ? row->netns : "(own)"),
        cell_text(protocol_name(row->protocol)),
        cell_int(row->port),
        cell_text(who_use_name(row->use)),
        local_cell(table, row, local),
        row->use == WHO_CLIENT ? cell_null() : cell_int(row->port),
        process_cell(table, row, quoted),
        owner->pid ? cell_int(owner->pid) : cell_null(),
        known_text(owner->exe),
        known_int(row->uid),
        cell_text(users_name(&table->users, row->uid)),
        known_text(owner->unit),
        known_text(owner->container),
        cell_text(owner_source_name(row->owner_source, STATE_LISTEN)),
        cell_time(owner->pid ? row->process_started_ms : TIME_UNKNOWN),
        cell_int((int64_t)row->sockets),
        cell_int(row->open),
        cell_time(row->from_after_ms),
        cell_time(row->first_seen_ms),
        cell_time(row->last_seen_ms),
        cell_time(row->until_before_ms),
    };

    table->rows++;
    table->failed = writer_row(table->writer, cells);
    return table->failed;
}

/* What is asked, as far as words tell it. */
struct who_asked {
    struct who_question question;
    int64_t since_ms, until_ms;    /* wall time; --at: both are the snapshot's */
    int64_t at_ms;                 /* wall time; TIME_UNKNOWN: a span is asked for */
    struct snapshot_choice choice; /* of --at */
};

static int read_filter(struct context *ctx, struct filter *filter)
{
    int status = question_filter(ctx, false, filter);

    if (status == EXIT_ANSWERED && filter->n_ports == 0)
        return wrong_usage("which port? Name it with --port: 80, 80,443, 8000-8010, http, 53/udp");
    if (status == EXIT_ANSWERED && options_has(&ctx->options, OPT_AT) &&
        (options_has(&ctx->options, OPT_SINCE) || options_has(&ctx->options, OPT_UNTIL)))
        return wrong_usage("--at and --since or --until exclude each other: an instant, or a span");
    return status;
}

static int read_at(struct context *ctx, struct who_asked *asked)
{
    struct snapshot_choice *choice = &asked->choice;
    struct err err = {0};
    int status = question_time(ctx, OPT_AT, &asked->at_ms);

    if (status != EXIT_ANSWERED)
        return status;
    if (sockets_choose_in(ctx->db, &ctx->walltime, &asked->question.filter, asked->at_ms, choice,
                          &err) < 0)
        return cannot_answer("%s", err.text);
    if (asked->at_ms > ctx->now_ms && !choice->earlier) /* the clock may have been set back */
        return wrong_usage("--at %s is not in the past", options_text(&ctx->options, OPT_AT));
    if (!choice->found)
        return question_no_snapshot(ctx, asked->at_ms, choice->pruned_ms);
    asked->since_ms = asked->until_ms = choice->snapshot_ms;
    asked->question.from_ms = asked->question.until_ms = choice->record_ms;
    return EXIT_ANSWERED;
}

static int read_span(struct context *ctx, struct who_asked *asked)
{
    struct who_question *question = &asked->question;
    int64_t unused;
    int status = question_span(ctx, &asked->since_ms, &asked->until_ms);

    if (status != EXIT_ANSWERED)
        return status;
    walltime_to_record(&ctx->walltime, asked->since_ms, &question->from_ms, &unused);
    walltime_to_record(&ctx->walltime, asked->until_ms, &unused, &question->until_ms);
    question->until_ms--;                       /* the last instant that belongs to it */
    if (question->until_ms < question->from_ms) /* the clock was set over all of it */
        question->until_ms = question->from_ms;
    return EXIT_ANSWERED;
}

static int read_asked(struct context *ctx, struct who_asked *asked)
{
    int status = read_filter(ctx, &asked->question.filter);

    asked->at_ms = TIME_UNKNOWN;
    if (status != EXIT_ANSWERED)
        return status;
    return options_has(&ctx->options, OPT_AT) ? read_at(ctx, asked) : read_span(ctx, asked);
}

/* People see namespaces where there are several. */
static int choose_columns(struct context *ctx, const struct filter *filter, struct who_table *table)
{
    struct err err = {0};
    size_t n = 0;

    if (filter_count_netns(filter, ctx->db, &n, &err) < 0)
        return cannot_answer("%s", err.text);
    memcpy(table->columns, columns, sizeof(columns));
    if (n <= 1)
        table->columns[COLUMN_NETNS].heading = NULL;
    return EXIT_ANSWERED;
}

/* The line above the table that says how old it is. */
static void print_choice(const struct context *ctx, const struct who_asked *asked)
{
    char shown[TIME_TEXT_MAX], distance[DISTANCE_MAX];

    context_say("Snapshot of %s, %s%s",
                time_format(asked->choice.snapshot_ms, ctx->utc, true, shown),
                snapshot_distance(ctx, asked->choice.distance_ms, asked->at_ms, distance),
                asked->choice.in_gap ? ": NOTHING WAS RECORDED AT THAT TIME" : "");
}

static int put_rows(struct context *ctx, const struct who_asked *asked,
                    const struct coverage *coverage, const struct snapshot_times *times,
                    struct who_table *table)
{
    bool at = asked->at_ms != TIME_UNKNOWN;
    const struct field fields[] = {
        {"since_ms", cell_time(asked->since_ms)},
        {"until_ms", cell_time(asked->until_ms)},
        {"at_ms", cell_time(asked->at_ms)},
        {"distance_ms", at ? cell_int(asked->choice.distance_ms) : cell_null()},
        {"in_gap", at ? cell_int(asked->choice.in_gap) : cell_null()},
    };
    const struct document document = {
        .schema = "connhist/who/1",
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0]),
        .coverage = coverage,
        .columns = table->columns,
        .n_columns = COLUMNS,
    };
    struct err err = {0};
    int r, status = choose_columns(ctx, &asked->question.filter, table);

    if (status == EXIT_ANSWERED)
        status = context_writer(ctx, &table->writer);
    if (status != EXIT_ANSWERED)
        return status;
    if (at && ctx->format == FORMAT_TABLE)
        print_choice(ctx, asked);
    table->failed = writer_begin(table->writer, &document);
    r = table->failed < 0 ? 0
                          : who_ask(ctx->db, &ctx->walltime, &asked->question, times, coverage,
                                    put_row, table, &err);
    if (r < 0 && table->failed == 0)
        return cannot_answer("%s", err.text);
    r = table->failed < 0 ? table->failed : writer_end(table->writer, NULL);
    if (r >= 0 && ctx->format == FORMAT_TABLE)
        coverage_print(stdout, coverage, ctx->utc, GAPS_TOLD, context_width());
    return r < 0 ? output_failed(r) : output_finish();
}

static void put_notes(const struct context *ctx, const struct who_asked *asked,
                      const struct coverage *coverage, const struct who_table *table)
{
    char shown[TIME_TEXT_MAX], distance[TIME_TEXT_MAX];

    if (asked->at_ms != TIME_UNKNOWN && asked->choice.in_gap)
        complain("nothing was recorded at that time: shown is the last snapshot before, of %s, %s "
                 "%s",
                 time_format(asked->choice.snapshot_ms, ctx->utc, false, shown),
                 duration_format(llabs(asked->choice.distance_ms), distance),
                 asked->choice.distance_ms < 0 ? "later by the clock" : "earlier");
    if (asked->choice.ambiguous)
        complain("the clock was set back, so that this time was twice: the later one is shown");
    if (asked->choice.earlier)
        complain("the clock was set back after that time: shown is what was before");
    coverage_tell_detail(coverage, false);
    coverage_tell_pruned(ctx, coverage);
    if (table->rows == 0)
        coverage_nothing(ctx, coverage, "socket", NULL, asked->since_ms, asked->until_ms);
    else
        coverage_warn(ctx, coverage);
}

static int who_run(struct context *ctx)
{
    _cleanup_(who_table_finish) struct who_table table = {.ctx = ctx};
    _cleanup_(coverage_finish) struct coverage coverage = {0};
    struct snapshot_times times = {0};
    struct who_asked asked = {0};
    struct err err = {0};
    int64_t until_ms;
    bool apart = false;
    int status = read_asked(ctx, &asked);

    if (status != EXIT_ANSWERED)
        return status;
    until_ms = asked.at_ms != TIME_UNKNOWN
                   ? snapshot_covered_until(&asked.choice)
                   : asked.question.until_ms + (asked.question.until_ms < INT64_MAX);
    if (coverage_load_in(ctx->db, &ctx->walltime, &asked.question.filter, asked.question.from_ms,
                         until_ms, &coverage, &times, &apart, &err) < 0 ||
        coverage_add_pruned(ctx->db, &ctx->walltime, TIER_DETAIL, asked.question.from_ms,
                            asked.question.until_ms, &coverage, &err) < 0)
        status = cannot_answer("%s", err.text);
    if (status == EXIT_ANSWERED)
        status = put_rows(ctx, &asked, &coverage, apart ? &times : NULL, &table);
    vec_finish(&times);
    if (status == EXIT_ANSWERED)
        put_notes(ctx, &asked, &coverage, &table);
    return status;
}

static int who_check(struct context *ctx)
{
    struct filter filter = {0};
    int64_t at_ms = 0, since_ms, until_ms;
    int status = read_filter(ctx, &filter);

    if (status == EXIT_ANSWERED)
        status = question_time(ctx, OPT_AT, &at_ms);
    return status == EXIT_ANSWERED ? question_span(ctx, &since_ms, &until_ms) : status;
}

const struct command cmd_who = {
    .name = "who",
    .args = "",
    .summary = "who held a port, and when",
    .notes = "First who listened, then whose connections had the port at this end, then whose\n"
             "connections went to it. A row is one stretch of time.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .run = who_run,
    .check = who_check,
};
