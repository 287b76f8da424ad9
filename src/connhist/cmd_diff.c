/* SPDX-License-Identifier: MIT */
/* connhist diff: what changed between two instants. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/render/text.h"
#include "connhist/report/coverage.h"
#include "connhist/report/diff.h"

#include "command.h"
#include "complain.h"
#include "context.h"
#include "coverage_words.h"
#include "pager.h"
#include "question.h"
#include "snapshot_words.h"
#include "socket_table.h"

#define GAPS_TOLD  5
#define WORDS_MAX  40
#define STATES_MAX 32
#define PAIR_MAX   (2 * PROCESS_MAX + 4)

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

static const struct option_row rows[] = {
    {OPT_FROM, REPEAT_NOT, 0, "from", "TIME", "the earlier instant: 03:14, -2h, yesterday 18:00 …"},
    {OPT_TO, REPEAT_NOT, 0, "to", "TIME", "the later one (now: the last snapshot)"},
    {OPT_LISTEN, REPEAT_LAST, 0, "listen", NULL, "only listening ports, TCP and UDP"},
    {OPT_NUMERIC, REPEAT_LAST, 'n', "numeric", NULL, "ports as numbers, not by name"},
    ROW_PORT("only with these ports at either end: 80, 80,443,\n8000-8010, http, 53/udp"),
    {OPT_PROTO, REPEAT_NOT, 0, "proto", "NAME",
     "only tcp or udp; tcpv4, udpv4, tcpv6, udpv6: only\nthose of one family"},
    ROW_STATE("only those in one of these states at one of both\ninstants"),
    ROW_ROLE,
    ROW_PEER,
    ROW_LOCAL,
    ROWS_OWNER,
    ROW_NETNS,
    ROW_NO_PAGER,
};

/* Fields for programs. */
static const struct column fields[] = {
    {"change", NULL, false},
    {"netns", NULL, false},
    {"protocol", NULL, false},
    {"local_address", NULL, false},
    {"local_port", NULL, true},
    {"remote_address", NULL, false},
    {"remote_port", NULL, true},
    {"state_before", NULL, false},
    {"state", NULL, false},
    {"pid_before", NULL, true},
    {"pid", NULL, true},
    {"process_before", NULL, false},
    {"process", NULL, false},
    {"exe_before", NULL, false},
    {"exe", NULL, false},
    {"unit_before", NULL, false},
    {"unit", NULL, false},
    {"container_before", NULL, false},
    {"container", NULL, false},
    {"uid_before", NULL, true},
    {"uid", NULL, true},
    {"owner_source_before", NULL, false},
    {"owner_source", NULL, false},
    {"role", NULL, false},
    {"first_seen_ms", NULL, true},
    {"opened_ms", NULL, true},
    {"opened_after_ms", NULL, true},
    {"state_since_ms", NULL, true},
    {"closed_ms", NULL, true},
    {"closed_after_ms", NULL, true},
};

/* Columns for people. */
static const struct column headings[] = {
    {"netns", "NETNS", false, .least = 8},
    {"change", "CHANGE", false},
    {"proto", "PROTO", false},
    {"local", "LOCAL", false, .least = 21, .tight = 12},
    {"remote", "REMOTE", false, .least = 21, .tight = 12},
    {"state", "STATE", false, .least = 14, .tight = 8},
    {"process", "PROCESS", false, .least = 14, .tight = 8},
    {"since", "SINCE", false, .gives = 5},
};

/* The question and its answer. */
struct answer {
    struct diff_question question;
    int64_t from_ms; /* asked for, wall time */
    int64_t to_ms;
    struct snapshot_choice from;
    struct snapshot_choice to;
    struct coverage coverage;  /* between both snapshots; owned */
    struct diff *diff;         /* owned */
    struct socket_table table; /* how addresses and ports are shown; owned */
};

static void answer_finish(struct answer *answer)
{
    coverage_finish(&answer->coverage);
    diff_free(answer->diff);
    socket_table_finish(&answer->table);
}

static int read_question(struct context *ctx, struct answer *answer)
{
    int status;

    if (!options_has(&ctx->options, OPT_FROM))
        return wrong_usage("diff needs --from TIME, the earlier instant: --from -2h, "
                           "--from 'yesterday 18:00'");
    answer->to_ms = ctx->now_ms;
    status = question_time(ctx, OPT_FROM, &answer->from_ms);
    if (status == EXIT_ANSWERED)
        status = question_time(ctx, OPT_TO, &answer->to_ms);
    if (status == EXIT_ANSWERED)
        status = question_filter(ctx, true, &answer->question.filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (answer->to_ms > ctx->now_ms)
        return wrong_usage("--to %s is not in the past", options_text(&ctx->options, OPT_TO));
    if (answer->from_ms > ctx->now_ms)
        return wrong_usage("--from %s is not in the past", options_text(&ctx->options, OPT_FROM));
    if (answer->from_ms > answer->to_ms)
        return wrong_usage("--from is later than --to: exchange them");
    answer->question.listen_only = options_has(&ctx->options, OPT_LISTEN);
    if (answer->question.listen_only && answer->question.filter.states)
        return wrong_usage("--listen and --state exclude each other");
    return EXIT_ANSWERED;
}

static int choose(struct context *ctx, struct answer *answer, int64_t at_ms,
                  struct snapshot_choice *ret)
{
    struct err err = {0};

    if (sockets_choose_in(ctx->db, &ctx->walltime, &answer->question.filter, at_ms, ret, &err) < 0)
        return cannot_answer("%s", err.text);
    if (!ret->found)
        return question_no_snapshot(ctx, at_ms, ret->pruned_ms);
    return EXIT_ANSWERED;
}

/* Connections can be compared only where both instants have them, and whole. */
static void check_details(struct answer *answer)
{
    const char *from = answer->from.detail, *to = answer->to.detail;

    if (answer->question.listen_only || (strcmp(from, to) == 0 && strcmp(from, "off") != 0))
        return;
    answer->question.listen_only = true;
    complain(
        "only listening sockets are compared: the record was kept with `detail: %s` at the one "
        "time and `detail: %s` at the other",
        from, to);
}

static int load(struct context *ctx, struct answer *answer)
{
    struct err err = {0};
    int status = choose(ctx, answer, answer->from_ms, &answer->from);

    if (status == EXIT_ANSWERED)
        status = choose(ctx, answer, answer->to_ms, &answer->to);
    if (status != EXIT_ANSWERED)
        return status;
    check_details(answer);
    if (coverage_load_in(ctx->db, &ctx->walltime, &answer->question.filter, answer->from.record_ms,
                         snapshot_covered_until(&answer->to), &answer->coverage, NULL, NULL,
                         &err) < 0 ||
        coverage_add_pruned(ctx->db, &ctx->walltime, TIER_DETAIL, answer->from.record_ms,
                            answer->to.record_ms, &answer->coverage, &err) < 0)
        return cannot_answer("%s", err.text);
    status = socket_table_choose_netns(&answer->table, ctx, &answer->question.filter);
    if (status != EXIT_ANSWERED)
        return status;
    if (diff_load(ctx->db, &ctx->walltime, &answer->question, &answer->from, &answer->to,
                  &answer->diff, &err) < 0)
        return cannot_answer("%s", err.text);
    return EXIT_ANSWERED;
}

/* "owner+state" */
static const char *change_words(unsigned changes, char buf[static WORDS_MAX])
{
    static const char *const words[] = {"opened", "closed", "replaced", "owner", "state"};
    size_t used = 0;

    for (size_t i = 0; i < SUM(words); i++)
        if (changes & 1U << i)
            used +=
                (size_t)snprintf(buf + used, WORDS_MAX - used, "%s%s", used ? "+" : "", words[i]);
    return buf;
}

/* Fields of an owner in a row that may lack. */
static struct cell text_of(const struct socket_row *row, size_t member)
{
    const char *text = "";

    if (row && row->owner)
        memcpy(&text, (const char *)row->owner + member, sizeof(text));
    return *text ? cell_text(text) : cell_null();
}

static struct cell state_of(const struct socket_row *row)
{
    return row ? cell_text(state_name(row->state)) : cell_null();
}

static struct cell pid_of(const struct socket_row *row)
{
    return row && row->owner && row->owner->pid ? cell_int(row->owner->pid) : cell_null();
}

static struct cell uid_of(const struct socket_row *row)
{
    return row && row->uid >= 0 ? cell_int(row->uid) : cell_null();
}

static struct cell source_of(const struct socket_row *row)
{
    return row ? cell_text(owner_source_name(row->owner_source, row->state)) : cell_null();
}

static int row_for_programs(const struct answer *answer, struct writer *writer,
                            const struct diff_row *row)
{
    const struct socket_row *before = row->before, *after = row->after;
    const struct socket_row *any = after ? after : before;
    char words[WORDS_MAX], local[SCOPED_MAX], remote[SCOPED_MAX];
    const struct cell cells[SUM(fields)] = {
        cell_text(change_words(row->changes, words)),
        cell_text(any->netns),
        cell_text(protocol_name(any->protocol)),
        cell_text(socket_table_address(&answer->table, any, &any->local, local)),
        cell_int(any->local_port),
        cell_text(socket_table_address(&answer->table, any, &any->remote, remote)),
        cell_int(any->remote_port),
        state_of(before),
        state_of(after),
        pid_of(before),
        pid_of(after),
        text_of(before, offsetof(struct owner, comm)),
        text_of(after, offsetof(struct owner, comm)),
        text_of(before, offsetof(struct owner, exe)),
        text_of(after, offsetof(struct owner, exe)),
        text_of(before, offsetof(struct owner, unit)),
        text_of(after, offsetof(struct owner, unit)),
        text_of(before, offsetof(struct owner, container)),
        text_of(after, offsetof(struct owner, container)),
        uid_of(before),
        uid_of(after),
        source_of(before),
        source_of(after),
        any->role ? cell_text(role_name(any->role)) : cell_null(),
        cell_time(any->first_seen_ms),
        cell_time(any->opened_ms),
        cell_time(any->opened_after_ms),
        after ? cell_time(after->state_since_ms) : cell_null(),
        after ? cell_null() : cell_time(before->closed_ms),
        after ? cell_null() : cell_time(before->closed_after_ms),
    };

    return writer_row(writer, cells);
}

/* "nginx/812 -> caddy/977"; one alone where there is but one, or both are the same. */
static const char *both(const char *before, const char *after, size_t size, char *buf)
{
    bool same = !*before || !*after || strcmp(before, after) == 0;

    snprintf(buf, size, "%s%s%s", same ? "" : before, same ? "" : " -> ", *after ? after : before);
    return buf;
}

/* Since when one that is there is as it is, as far as that is known. */
static int64_t since(const struct diff_row *row)
{
    if (row->changes & (DIFF_OPENED | DIFF_REPLACED))
        return row->after->first_seen_ms;
    return row->changes & DIFF_STATE ? row->after->state_since_ms : TIME_UNKNOWN;
}

static int row_for_people(const struct answer *answer, struct writer *writer,
                          const struct diff_row *row)
{
    const struct socket_row *before = row->before, *after = row->after;
    const struct socket_row *any = after ? after : before;
    char words[WORDS_MAX], local[ENDPOINT_MAX], remote[ENDPOINT_MAX], states[STATES_MAX];
    char one[PROCESS_MAX], other[PROCESS_MAX], processes[PAIR_MAX], closed[CLOSED_MAX];
    const struct cell cells[SUM(headings)] = {
        cell_text(*any->netns ? any->netns : FILTER_NETNS_OWN),
        cell_text(change_words(row->changes, words)),
        cell_text(protocol_name(any->protocol)),
        cell_text(socket_table_endpoint(&answer->table, any, &any->local, any->local_port, local)),
        cell_text(
            socket_table_endpoint(&answer->table, any, &any->remote, any->remote_port, remote)),
        cell_text(both(before ? socket_state_text(before) : "",
                       after ? socket_state_text(after) : "", sizeof(states), states)),
        cell_text(both(before ? socket_process_text(before, one) : "",
                       after ? socket_process_text(after, other) : "", sizeof(processes),
                       processes)),
        after ? cell_time(since(row)) : socket_closed_cell(before, answer->table.utc, closed),
    };

    return writer_row(writer, cells + !answer->table.many_netns);
}

static int put_rows(const struct context *ctx, const struct answer *answer,
                    const struct document *document)
{
    _cleanup_(cleanup_writer_free) struct writer *writer = NULL;
    int r, status = context_writer(ctx, &writer);

    if (status != EXIT_ANSWERED)
        return status;
    r = writer_begin(writer, document);
    for (size_t i = 0; r == 0 && i < diff_count(answer->diff); i++) {
        const struct diff_row row = diff_get(answer->diff, i);

        r = ctx->format == FORMAT_TABLE ? row_for_people(answer, writer, &row)
                                        : row_for_programs(answer, writer, &row);
    }
    if (r == 0)
        r = writer_end(writer, NULL);
    return r < 0 ? output_failed(r) : output_finish();
}

static int put_document(const struct context *ctx, const struct answer *answer)
{
    const struct diff_sums sums = diff_sums(answer->diff);
    const struct snapshot_choice *from = &answer->from, *to = &answer->to;
    const struct field document_fields[] = {
        {"from_ms", cell_time(answer->from_ms)},
        {"from_snapshot_ms", cell_time(from->snapshot_ms)},
        {"from_distance_ms", cell_int(from->distance_ms)},
        {"from_in_gap", cell_int(from->in_gap)},
        {"to_ms", cell_time(answer->to_ms)},
        {"to_snapshot_ms", cell_time(to->snapshot_ms)},
        {"to_distance_ms", cell_int(to->distance_ms)},
        {"to_in_gap", cell_int(to->in_gap)},
        {"sockets_before", cell_int((int64_t)sums.before)},
        {"sockets_after", cell_int((int64_t)sums.after)},
        {"opened", cell_int((int64_t)sums.opened)},
        {"closed", cell_int((int64_t)sums.closed)},
        {"changed", cell_int((int64_t)sums.changed)},
        {"listen_only", cell_int(answer->question.listen_only)},
    };
    const bool people = ctx->format == FORMAT_TABLE;
    const struct document document = {
        .schema = "connhist/diff/1",
        .fields = document_fields,
        .n_fields = SUM(document_fields),
        .coverage = &answer->coverage,
        .columns = people ? headings + !answer->table.many_netns : fields,
        .n_columns = people ? SUM(headings) - !answer->table.many_netns : SUM(fields),
    };

    return put_rows(ctx, answer, &document);
}

/* "Snapshot of 2026-11-22 03:14:00, 4s before 03:14:04" */
static void print_instant(const struct context *ctx, const char *word,
                          const struct snapshot_choice *choice, int64_t at_ms)
{
    char shown[TIME_TEXT_MAX], distance[DISTANCE_MAX];

    time_format(choice->snapshot_ms, ctx->utc, true, shown);
    context_say("%s snapshot of %s, %s%s", word, shown,
                snapshot_distance(ctx, choice->distance_ms, at_ms, distance),
                choice->in_gap ? ": NOTHING WAS RECORDED AT THAT TIME" : "");
}

static void print_sums(const struct diff_sums *sums)
{
    context_say("%llu sockets before, %llu after: %llu opened, %llu closed, %llu changed",
                (unsigned long long)sums->before, (unsigned long long)sums->after,
                (unsigned long long)sums->opened, (unsigned long long)sums->closed,
                (unsigned long long)sums->changed);
}

/* What stands in no row. */
static void tell(const struct context *ctx, const struct answer *answer)
{
    snapshot_complain(ctx, &answer->from);
    if (answer->to.record_ms == answer->from.record_ms)
        complain("both times are shown by the same snapshot: nothing can differ");
    else
        snapshot_complain(ctx, &answer->to);
    if (diff_rebooted(answer->diff))
        complain("the host was booted between both: every socket of the later one is another");
    coverage_warn(ctx, &answer->coverage);
}

static int diff_run(struct context *ctx)
{
    _cleanup_(answer_finish) struct answer answer = {
        .table = {.kind = SOCKETS_AT, .utc = ctx->utc}};
    const bool people = ctx->format == FORMAT_TABLE;
    struct diff_sums sums;
    int status = read_question(ctx, &answer);

    if (status == EXIT_ANSWERED && people && !options_has(&ctx->options, OPT_NUMERIC)) {
        status = context_names(ctx);
        answer.table.names = ctx->names;
    }
    if (status == EXIT_ANSWERED)
        status = load(ctx, &answer);
    if (status != EXIT_ANSWERED)
        return status;
    pager_start(ctx);
    sums = diff_sums(answer.diff);
    if (people) {
        print_instant(ctx, "From", &answer.from, answer.from_ms);
        print_instant(ctx, "To  ", &answer.to, answer.to_ms);
        print_sums(&sums);
    }
    status = put_document(ctx, &answer);
    if (status == EXIT_ANSWERED && people) {
        coverage_print(stdout, &answer.coverage, ctx->utc, GAPS_TOLD, context_width());
        status = output_finish();
    }
    if (status == EXIT_ANSWERED)
        tell(ctx, &answer);
    return status;
}

static int diff_check(struct context *ctx)
{
    _cleanup_(answer_finish) struct answer answer = {0};

    return read_question(ctx, &answer);
}

const struct command cmd_diff = {
    .name = "diff",
    .args = "",
    .summary = "what changed between two instants: opened, closed, owner, state",
    .notes = "Compares the sockets of two snapshots. What came and went between them is in\n"
             "neither: see connhist list.",
    .options = OPTION_TABLE(rows),
    .needs = NEEDS_RECORD,
    .run = diff_run,
    .check = diff_check,
};
